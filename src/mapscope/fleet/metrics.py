"""/metrics: what the watch knows, in Prometheus' own text. Series of targets that are gone are gone with them.

docs/reference/metrics.md is made from METRICS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mapscope import __version__
from mapscope.fleet.asking import REASONS
from mapscope.fleet.state import State, TargetState
from mapscope.fleet.targets import Target
from mapscope.fleet.writer import Counts

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
OF_TARGET = ("service", "target")
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Described:
    """One metric: its name without ``mapscope_``, kind, labels and meaning. ``indicator``: what it is the value of."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    indicator: str = ""


METRICS = (
    Described("target_up", GAUGE, OF_TARGET, "1 when the last heap profile of the target was had, else 0."),
    Described("target_maps_known", GAUGE, OF_TARGET, "1 when map memory can be told (an executable fits), else 0."),
    Described(
        "target_last_success_timestamp_seconds", GAUGE, OF_TARGET, "When a heap profile of the target was last had."
    ),
    Described("heap_inuse_bytes", GAUGE, OF_TARGET, "Bytes of the heap in use.", "heap_inuse_bytes"),
    Described("map_inuse_bytes", GAUGE, OF_TARGET, "P1: bytes of maps in use.", "P1"),
    Described("map_inuse_ratio", GAUGE, OF_TARGET, "P1s: their share of the heap in use.", "P1s"),
    Described("map_growth_bytes_per_second", GAUGE, OF_TARGET, "P2: growth of map bytes over the window."),
    Described("map_growth_low_bytes_per_second", GAUGE, OF_TARGET, "P2: the lower bound of its 95 % interval."),
    Described("map_array_pairs", GAUGE, OF_TARGET, "P3: places with two generations of arrays in use.", "P3"),
    Described("map_alloc_ratio", GAUGE, OF_TARGET, "P4: allocated to live map bytes.", "P4"),
    Described("map_rising_places", GAUGE, OF_TARGET, "P5: places whose map bytes only rise over the window.", "P5"),
    Described("map_loop_goroutines", GAUGE, OF_TARGET, "P7: goroutines that stand in loops over maps.", "P7"),
    Described("goroutines", GAUGE, OF_TARGET, "Goroutines of the target.", "goroutines"),
    Described("suspects", GAUGE, (*OF_TARGET, "indicator"), "Findings that last now: P3, P5 and P7."),
    Described("targets", GAUGE, ("job",), "Targets that are watched."),
    Described("targets_over_limit", GAUGE, (), "Targets that are not watched because of limits.targets."),
    Described("scrapes_total", COUNTER, ("profile", "outcome"), "Requests for profiles; outcome is ok or why not."),
    Described("scrape_duration_seconds", HISTOGRAM, ("profile",), "Time of a request, until the last byte."),
    Described("judge_duration_seconds", HISTOGRAM, ("profile",), "Time until a profile was worked out."),
    Described("discovery_failures_total", COUNTER, ("kind",), "Looks for targets that failed."),
    Described("config_last_reload_successful", GAUGE, (), "1 when the settings in force are those in the file."),
    Described("config_last_reload_success_timestamp_seconds", GAUGE, (), "When the settings in force were read."),
    Described("store_up", GAUGE, (), "1 when the store could be written last time."),
    Described("store_profiles_total", COUNTER, (), "Profiles that were committed."),
    Described("store_write_failures_total", COUNTER, (), "Tries to write that failed."),
    Described("store_waiting_profiles", GAUGE, (), "Profiles in memory that wait to be written."),
    Described("store_waiting_bytes", GAUGE, (), "Their size in memory, about."),
    Described("store_buffer_dropped_total", COUNTER, (), "Profiles that were dropped because too many waited."),
    Described("store_retention_dropped_total", COUNTER, ("reason",), "Profiles that were dropped for age or size."),
    Described("store_profile_bytes", GAUGE, (), "Bytes of raw profiles in the store, compressed, at the last sweep."),
    Described("build_info", GAUGE, ("version",), "Always 1."),
)
"""All metrics of the watch, beside those of its process."""
_BY_NAME = {one.name: one for one in METRICS}


class WatchCollector(Collector):
    """Makes the families anew at each request."""

    def __init__(self, state: State, counts: Counts) -> None:
        self._state, self._counts = state, counts

    def describe(self) -> Iterable[Metric]:
        """Nothing to look at while it is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All families but the histograms."""
        targets = list(self._state.targets.items())
        yield from _of_targets(targets)
        yield from _of_watch(self._state, targets)
        yield from _of_store(self._counts)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The registry, and the histograms that the watch fills."""

    registry: CollectorRegistry
    scrape_seconds: Histogram
    judge_seconds: Histogram


def make_metrics(state: State, counts: Counts) -> Metrics:
    """A registry of our own with everything in it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WatchCollector(state, counts))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return Metrics(
        registry, _histogram("scrape_duration_seconds", registry), _histogram("judge_duration_seconds", registry)
    )


def _histogram(name: str, registry: CollectorRegistry) -> Histogram:
    one = _BY_NAME[name]
    buckets = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
    return Histogram(f"mapscope_{name}", one.help, one.labels, registry=registry, buckets=buckets)


def _gauge(name: str) -> GaugeMetricFamily:
    one = _BY_NAME[name]
    return GaugeMetricFamily(f"mapscope_{name}", one.help, labels=one.labels)


def _counter(name: str) -> CounterMetricFamily:
    one = _BY_NAME[name]
    return CounterMetricFamily(f"mapscope_{name}".removesuffix("_total"), one.help, labels=one.labels)


def _simple(name: str, value: float) -> Metric:
    family = _counter(name) if _BY_NAME[name].kind == COUNTER else _gauge(name)
    family.add_metric([], value)
    return family


def _per_target(
    name: str, targets: list[tuple[Target, TargetState]], value: Callable[[TargetState], float | None]
) -> Metric:
    family = _gauge(name)
    for target, state in targets:
        found = value(state)
        if found is not None:
            family.add_metric([target.service, target.instance], found)
    return family


def _of_targets(targets: list[tuple[Target, TargetState]]) -> Iterable[Metric]:
    seen = [(target, state) for target, state in targets if state.up is not None]
    up = [(target, state) for target, state in seen if state.up]
    yield _per_target("target_up", seen, lambda one: float(one.up or False))
    yield _per_target("target_maps_known", up, lambda one: float(one.told))
    yield _per_target("target_last_success_timestamp_seconds", seen, lambda one: one.seen_at or None)
    for one in METRICS:
        if one.indicator:
            yield _per_target(one.name, up, lambda state, key=one.indicator: _value(state, key))  # type: ignore[misc]
    yield _per_target("map_growth_bytes_per_second", up, lambda one: _per_second(_value(one, "P2")))
    yield _per_target("map_growth_low_bytes_per_second", up, _low)
    suspects = _gauge("suspects")
    for target, state in up:
        for indicator in ("P3", "P5", "P7"):
            suspects.add_metric([target.service, target.instance, indicator], state.suspects[indicator])
    yield suspects


def _value(state: TargetState, key: str) -> float | None:
    found = state.values.get(key)
    return None if found is None else found.value


def _low(state: TargetState) -> float | None:
    found = state.values.get("P2")
    return None if found is None else _per_second(found.low)


def _per_second(value: float | None) -> float | None:
    return None if value is None else value / _HOUR


def _of_watch(state: State, targets: list[tuple[Target, TargetState]]) -> Iterable[Metric]:
    jobs: dict[str, int] = {}
    for target, _ in targets:
        jobs[target.job] = jobs.get(target.job, 0) + 1
    family: Metric = _gauge("targets")
    for job, count in sorted(jobs.items()):
        family.add_sample("mapscope_targets", {"job": job}, count)
    yield family
    yield _simple("targets_over_limit", state.targets_over_limit)
    scrapes = _counter("scrapes_total")
    for profile in ("heap", "goroutine"):
        for outcome in ("ok", *REASONS):
            scrapes.add_metric([profile, outcome], state.scrapes[profile, outcome])
    yield scrapes
    failures = _counter("discovery_failures_total")
    for kind in ("file", "kubernetes"):
        failures.add_metric([kind], state.discovery_failures[kind])
    yield failures
    yield _simple("config_last_reload_successful", float(state.reload_ok))
    yield _simple("config_last_reload_success_timestamp_seconds", state.reloaded_at)
    build = _gauge("build_info")
    build.add_metric([__version__], 1)
    yield build


def _of_store(counts: Counts) -> Iterable[Metric]:
    yield _simple("store_up", float(counts.working))
    yield _simple("store_profiles_total", counts.written)
    yield _simple("store_write_failures_total", counts.failures)
    yield _simple("store_waiting_profiles", counts.waiting)
    yield _simple("store_waiting_bytes", counts.waiting_bytes)
    yield _simple("store_buffer_dropped_total", counts.dropped)
    yield _simple("store_profile_bytes", counts.stored_bytes)
    dropped = _counter("store_retention_dropped_total")
    dropped.add_metric(["age"], counts.by_age)
    dropped.add_metric(["size"], counts.by_size)
    yield dropped


def healthy(state: State, longest: float = 15.0) -> bool:
    """Whether the event loop turns."""
    return time.monotonic() - state.beat < longest
