"""From the store to the document of ``mapscope history``, and raw profiles out of it.

``mapscope.cli.history`` calls this; rooms of one floor know each other by name only.
"""

from __future__ import annotations

import difflib
import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from mapscope.errors import EvidenceError, UsageError
from mapscope.fleet.courses import NANOS, courses
from mapscope.fleet.store import reading
from mapscope.fleet.store.choosing import ProfileStore, open_store
from mapscope.fleet.store.opening import StoreError, said, shown
from mapscope.report.escape import valid
from mapscope.report.history_document import (
    TITLES,
    FindingHistory,
    HistoryDocument,
    IndicatorSeries,
    InstanceHistory,
    StoredProfile,
)
from mapscope.report.history_view import stamp
from mapscope.report.writing import SCHEMA, tool

_MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """Which service, in which store, from when to when (seconds since 1970), of which instance (None: all)."""

    service: str
    place: str
    password: str | None
    since: float
    until: float
    instance: str | None


def place_of_config(path: str) -> tuple[str, str | None]:
    """The store that a configuration names, and its password. Raises ConfigError."""
    from mapscope.fleet.config import load
    from mapscope.fleet.running import place_of

    return place_of(load(path).store)


def history(asked: Asked) -> HistoryDocument:
    """What the store knows of the service. Raises UsageError, StoreError, EvidenceError."""
    store = open_store(asked.place, asked.password, write=False)
    try:
        rows = store.read(asked.service, round(asked.since * 1e6), round(asked.until * 1e6), asked.instance)
        notes = []
        if not rows.indicators and not rows.profiles:
            notes.append(_nothing(store, asked))
        return _document(asked, rows, notes)
    except SQLAlchemyError as error:
        raise StoreError(
            f"cannot read the store {shown(asked.place)}: {said(error)}", "is it a store of mapscope watch?"
        ) from error  # fmt: skip
    finally:
        store.close()


def raw_profile(asked: Asked, kind: str) -> tuple[bytes, str, int]:
    """The last raw profile of this kind up to ``until``: its bytes, instance, and time in nanoseconds since 1970."""
    store = open_store(asked.place, asked.password, write=False)
    try:
        found = store.near(asked.service, round(asked.until * 1e6), kind, asked.instance)
        if found is None:
            _known(store, asked.service)
            raise EvidenceError(
                f"the store has no {kind} profile of {asked.service} at {stamp(round(asked.until * 1e9))} or before",
                "mapscope history lists what it has; retention drops the oldest",
            )
        return store.raw(asked.service, found.id), found.instance, found.taken_us * NANOS
    except SQLAlchemyError as error:
        raise StoreError(
            f"cannot read the store {shown(asked.place)}: {said(error)}", "is it a store of mapscope watch?"
        ) from error  # fmt: skip
    finally:
        store.close()


def raw_series(asked: Asked, most: int) -> Iterator[tuple[bytes, str, int, int]]:
    """Raw heap profiles of one instance over the time, at most ``most`` (evenly spread), and its last goroutines.

    Each as its bytes, its kind, its number among those of the kind, and how many there were in all. UsageError where
    there are several instances, EvidenceError where there is no profile.
    """
    store = open_store(asked.place, asked.password, write=False)
    since, until = round(asked.since * 1e6), round(asked.until * 1e6)
    try:
        found = store.kept(asked.service, since, until, "heap", asked.instance)
        instances = sorted({one.instance for one in found})
        if not found:
            _known(store, asked.service)
            hint = "give a longer --since; retention drops the oldest"
            raise EvidenceError(f"the store has no heap profile of {asked.service} in this time", hint)
        if len(instances) > 1:
            some = ", ".join(map(valid, instances[:5])) + (" …" if len(instances) > 5 else "")
            raise UsageError(f"{asked.service} has {len(instances)} instances", f"give --instance: {some}")
        last = len(found) - 1
        chosen = found if last < most else [found[last * k // (most - 1)] for k in range(most)]
        for number, one in enumerate(chosen, 1):
            yield store.raw(asked.service, one.id), "heap", number, len(found)
        for one in store.kept(asked.service, since, until, "goroutine", instances[0])[-1:]:
            yield store.raw(asked.service, one.id), "goroutine", 1, 1
    except SQLAlchemyError as error:
        raise StoreError(
            f"cannot read the store {shown(asked.place)}: {said(error)}", "is it a store of mapscope watch?"
        ) from error  # fmt: skip
    finally:
        store.close()


def _nothing(store: ProfileStore, asked: Asked) -> str:
    _known(store, asked.service)
    last = store.newest(asked.service)
    when = "" if last is None else f"; it was seen last at {stamp(last * NANOS)}"
    return f"Nothing of {valid(asked.service)} in this time{when}."


def _known(store: ProfileStore, service: str) -> None:
    """UsageError where the store does not know the service, with those that it knows."""
    names = store.services()
    if service in names:
        return
    near = difflib.get_close_matches(service, names, 3) or names[:_MAX_NAMED]
    hint = "it knows: " + ", ".join(map(valid, near)) if names else "it is empty: is mapscope watch running?"
    raise UsageError(f"the store knows no service {service!r}", hint)


def _document(asked: Asked, rows: reading.Rows, notes: list[str]) -> HistoryDocument:
    place = shown(asked.place)
    following = []
    if any(one.kind == "heap" for one in rows.profiles):
        name = shlex.quote(asked.service)
        following.append(f"mapscope history {name} --store {shlex.quote(place)} -f pprof -o heap.pb.gz")
        following.append("mapscope profile heap.pb.gz -e EXECUTABLE")
    return HistoryDocument(
        schema=SCHEMA,
        tool=tool(),
        service=valid(asked.service),
        store=valid(place),
        since_nanos=round(asked.since * 1e6) * NANOS,
        until_nanos=round(asked.until * 1e6) * NANOS,
        instances=_instances(rows.indicators),
        places=courses(rows.places, rows.indicators),
        findings=[_finding(row) for row in rows.findings],
        profiles=[
            StoredProfile(
                instance=valid(one.instance), kind=valid(one.kind), time_nanos=one.taken_us * NANOS,
                raw_bytes=one.raw_size, stored_bytes=one.stored_size,
            )
            for one in rows.profiles
        ],
        notes=notes,
        next=following,
    )  # fmt: skip


def _instances(rows: list[RowMapping]) -> list[InstanceHistory]:
    by_instance: dict[str, dict[str, list[RowMapping]]] = defaultdict(lambda: defaultdict(list))
    profiles: dict[str, dict[object, int]] = defaultdict(dict)
    for row in rows:
        by_instance[row["instance"]][row["name"]].append(row)
        profiles[row["instance"]][row["profile_id"]] = row["taken_us"]
    found = []
    for instance, series in sorted(by_instance.items()):
        times = profiles[instance].values()
        found.append(
            InstanceHistory(
                instance=valid(instance), profiles=len(times), first_nanos=min(times) * NANOS,
                last_nanos=max(times) * NANOS, indicators=[_series(name, of) for name, of in sorted(series.items())],
            )
        )  # fmt: skip
    return found


def _series(name: str, rows: list[RowMapping]) -> IndicatorSeries:
    title, unit = TITLES.get(name, (name, ""))
    bounded = any(row["low"] is not None or row["high"] is not None for row in rows)
    return IndicatorSeries(
        id=valid(name),
        title=valid(title),
        unit=unit,
        time_nanos=[row["taken_us"] * NANOS for row in rows],
        values=[row["value"] for row in rows],
        low=[row["low"] for row in rows] if bounded else [],
        high=[row["high"] for row in rows] if bounded else [],
    )


def _finding(row: RowMapping) -> FindingHistory:
    ended = row["ended_us"]
    return FindingHistory(
        instance=valid(row["instance"]), indicator=row["indicator"], function=valid(row["function"]),
        file=valid(row["file"]), line=row["line"], type=None if row["type"] is None else valid(row["type"]),
        told=row["told"], bytes=row["bytes"], goroutines=row["goroutines"], began_nanos=row["began_us"] * NANOS,
        last_nanos=row["last_us"] * NANOS, ended_nanos=None if ended is None else ended * NANOS,
    )  # fmt: skip
