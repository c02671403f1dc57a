"""``mapscope watch`` over fifty services, real Go processes and broken ones among them, as a user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.report.schema import json_schema
from tests.groundtruth import harness
from tests.groundtruth.harness import Running, answer
from tests.groundtruth.variants import Variant
from tests.services import fakes as kinds
from tests.services.watching import SOURCE, Watching, fakes, wait_for, watching
from tests.unit.report.schema_check import problems

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(240), pytest.mark.xdist_group("watch")]

BAD = sorted(kinds.REASON)
GOOD = ["replay"] * 28 + ["moved", "encoded"]
SETTINGS = """\
global: {{scrape_interval: 1500ms, scrape_timeout: 1500ms}}
window: 10m
web: {{listen: "127.0.0.1:0"}}
store: {{path: kept/store.db}}
limits: {{max_backoff: 2s, response_size: 2MB, inflated_size: 50MB}}
scrape_configs:
- job_name: go
  executables: ["{programs}/*/served"]
  goroutine_interval: 2s
  static_configs:
  - {{targets: ["{leaky}"], labels: {{service: leaky}}}}
  - {{targets: ["{healthy}"{more}], labels: {{service: healthy}}}}
- job_name: fakes
  file_sd_configs: [{{files: ["targets*.json"], refresh_interval: 500ms}}]
"""


@dataclass
class Ended:
    """What is left when the watch has ended."""

    folder: Path
    leaky: str
    healthy: str
    late: str
    executable: Path
    metrics: dict[str, list[tuple[dict[str, str], float]]]
    log: list[dict[str, Any]]
    status: int
    seconds: float
    sizes: list[float]
    growth: dict[str, float]

    @property
    def store(self) -> Path:
        """The store."""
        return self.folder / "kept" / "store.db"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """The whole life of a watch; what is only to be seen while it runs is asserted here."""
    folder = tmp_path_factory.mktemp("watch")
    old, new = (harness.build("served", Variant(series)) for series in ("1.23", "1.26"))
    for number, program in enumerate((old, new)):
        (folder / "programs" / str(number)).mkdir(parents=True)
        (folder / "programs" / str(number) / "served").symlink_to(program)
    with contextlib.ExitStack() as stack:
        leaky, healthy, late = (
            stack.enter_context(harness.running(program, folder=folder)) for program in (old, old, new)
        )
        with urllib.request.urlopen(f"http://{healthy.truth['address']}/debug/pprof/heap", timeout=10) as found:
            (folder / "heap.pb.gz").write_bytes(found.read())
        addresses = stack.enter_context(fakes(folder / "heap.pb.gz", [*GOOD, *BAD]))
        good, bad = addresses[: len(GOOD)], dict(zip(BAD, addresses[len(GOOD) :], strict=True))
        listed = [{"targets": good, "labels": {"service": "fake"}}]
        listed += [{"targets": [address], "labels": {"service": kind}} for kind, address in bad.items()]
        (folder / "targets.json").write_text(json.dumps(listed))

        def configure(more: str = "", leaky: str = leaky.truth["address"]) -> None:
            text = SETTINGS.format(
                programs=folder / "programs", leaky=leaky, healthy=healthy.truth["address"], more=more
            )
            (folder / "fleet.yml").write_text(text)

        configure()
        watch = stack.enter_context(watching(folder / "fleet.yml", "--log-level", "debug"))
        sizes, growth = _grows(watch, leaky, healthy)
        _tells_the_broken(watch, bad, good)
        _reloads(watch, late, folder, configure)
        metrics = watch.until(lambda: _both_up(watch, leaky, healthy))
        children = _children(watch.process.pid)
        assert children
        status, seconds = watch.terminate()
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children))
        yield Ended(
            folder,
            leaky.truth["address"],
            healthy.truth["address"],
            late.truth["address"],
            old,
            metrics,
            watch.log(),
            status,
            seconds,
            sizes,
            growth,
        )


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _both_up(watch: Watching, *programs: Running) -> dict[str, list[tuple[dict[str, str], float]]] | None:
    """Metrics in which these services answered last time."""
    found = watch.samples()
    up = {labels["target"] for labels, value in found["mapscope_target_up"] if value}
    return found if {one.truth["address"] for one in programs} <= up else None


def _grows(watch: Watching, leaky: Running, healthy: Running) -> tuple[list[float], dict[str, float]]:
    """One service puts more into its map before each of four profiles, the other makes maps and forgets them.

    The sizes, and what was said of the growth of both then.
    """
    target = leaky.truth["address"]
    watch.until(lambda: watch.value("mapscope_map_inuse_bytes", target=target) is not None)  # there was nothing yet
    sizes: list[float] = []
    for step in range(4):
        before = watch.value("mapscope_map_inuse_bytes", target=target)  # of the last step; it changes no more
        assert before is not None
        answer(leaky, f"grow {4000 << 2 * step}")
        answer(healthy, "churn 40000")

        def larger(least: float = max(1.5 * before, 100_000)) -> float | None:
            now = watch.value("mapscope_map_inuse_bytes", target=target)
            return now if now is not None and now >= least else None

        sizes.append(watch.until(larger))
    watch.until(lambda: watch.value("mapscope_suspects", target=target, indicator="P5") == 1)
    watch.until(lambda: watch.value("mapscope_goroutines", target=target))
    still = healthy.truth["address"]
    growth: dict[str, float] = {}

    def told() -> bool:
        for service, one in (("leaky", target), ("healthy", still)):
            if (found := watch.value("mapscope_map_growth_bytes_per_second", target=one)) is not None:
                growth[service] = found
        return len(growth) == 2

    watch.until(told)
    assert watch.get("/healthz") == (200, "ok\n")
    assert watch.get("/readyz") == (200, "ok\n")
    assert watch.get("/other")[0] == 404
    return sizes, growth


def _tells_the_broken(watch: Watching, bad: dict[str, str], good: list[str]) -> None:
    """Every target has been asked, and every failure has its name."""

    def asked() -> bool:
        ups = {labels["target"]: value for labels, value in watch.samples().get("mapscope_target_up", [])}
        return {*bad.values(), *good} <= ups.keys() and all(ups[one] == 1 for one in good)

    def failures() -> dict[tuple[str, str], str]:
        return {
            (line["service"], line["reason"]): line["error"]
            for line in watch.log()
            if line["message"] == "a profile was not had"
        }

    watch.until(asked)
    wanted = {(kind, kinds.REASON[kind]) for kind in bad}
    watch.until(lambda: wanted <= failures().keys())  # any of them may have taken too long as well
    words = failures()
    assert "is a page, not a profile" in words["html", kinds.REASON["html"]]
    assert "answers 404" in words["missing", kinds.REASON["missing"]]
    assert "another host" in words["elsewhere", kinds.REASON["elsewhere"]]


def _reloads(watch: Watching, late: Running, folder: Path, configure: Any) -> None:
    """A wrong file changes nothing and is told; a right one adds a target; a list of targets loses one."""
    (folder / "fleet.yml").write_text("scrape_configs: [{job_name: x, intervall: 5s}]\n")
    watch.process.send_signal(signal.SIGHUP)
    watch.until(lambda: watch.value("mapscope_config_last_reload_successful") == 0)
    assert "unknown key intervall" in next(line["error"] for line in watch.log() if line["level"] == "error")
    before = len(watch.samples()["mapscope_target_up"])
    configure(more=f', "{late.truth["address"]}"')
    watch.process.send_signal(signal.SIGHUP)
    watch.until(lambda: watch.value("mapscope_target_up", target=late.truth["address"]) == 1)
    assert watch.value("mapscope_config_last_reload_successful") == 1
    assert len(watch.samples()["mapscope_target_up"]) == before + 1  # nobody else was lost
    assert watch.value("mapscope_target_maps_known", target=late.truth["address"]) == 1
    listed = json.loads((folder / "targets.json").read_text())
    gone = listed[0]["targets"].pop()
    (folder / "targets.json").write_text(json.dumps(listed))
    watch.until(lambda: watch.value("mapscope_target_up", target=gone) is None)
    assert gone not in watch.get("/metrics")[1]


def test_it_ends_in_time_and_loses_nothing(ended: Ended):
    assert ended.status == 0
    assert ended.seconds < 15
    assert ended.log[-1]["message"] == "stopped"
    assert ended.log[-1]["lost"] == 0


def test_the_leak_rises_and_the_healthy_are_silent(ended: Ended):
    assert ended.sizes == sorted(ended.sizes)
    suspects = {
        (labels["service"], labels["indicator"]): value for labels, value in ended.metrics["mapscope_suspects"] if value
    }
    assert suspects == {("leaky", "P5"): 1.0}
    assert ended.growth["leaky"] > 10_000
    assert abs(ended.growth["healthy"]) < ended.growth["leaky"] / 50  # what serving profiles takes comes and goes
    assert {"leaky", "healthy"} <= {of["service"] for of, _ in ended.metrics["mapscope_map_inuse_bytes"]}


def test_what_the_log_holds(ended: Ended):
    """No contents of answers; no bug of ours; each line has time, level and message."""
    text = json.dumps(ended.log)
    assert "secret-of-the-page" not in text
    assert "bug of ours" not in text
    assert all(line["time"].endswith("Z") and line["level"] and line["message"] for line in ended.log)
    assert {line["level"] for line in ended.log} <= {"debug", "info", "warning", "error"}


def test_the_store_has_what_the_metrics_say(ended: Ended):
    with contextlib.closing(sqlite3.connect(ended.store)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        rows = Counter(dict(connection.execute("select service, count(*) from profiles where kind='heap' group by 1")))
        total = connection.execute("select count(*) from profiles").fetchone()[0]
    assert rows.keys() == {"leaky", "healthy", "fake"}
    assert rows["leaky"] >= 4
    (_, counted), *_ = ended.metrics["mapscope_store_profiles_total"]
    assert total >= counted >= 40
    oks = [value for labels, value in ended.metrics["mapscope_scrapes_total"] if labels["outcome"] == "ok"]
    assert total >= sum(oks) - 60  # what was asked but not written yet when the metrics were read


def test_each_failure_has_its_own_reason_to_the_end(ended: Ended):
    """Behind the settings that were read again, too: requests that were under way then ended as they would have.

    On a machine with much to do any of them may take too long.
    """
    told: dict[str, set[str]] = {}
    for line in ended.log:
        if line["message"] == "a profile was not had" and line["service"] in kinds.REASON:
            told.setdefault(line["service"], set()).add(line["reason"])
    assert told.keys() == kinds.REASON.keys()
    for kind, reasons in told.items():
        assert {kinds.REASON[kind]} <= reasons <= {kinds.REASON[kind], "timeout"}, (kind, reasons)


def test_each_reason_was_counted(ended: Ended):
    counted = {
        labels["outcome"] for labels, value in ended.metrics["mapscope_scrapes_total"]
        if value and labels["profile"] == "heap"
    }  # fmt: skip
    assert counted == {"ok", *kinds.REASON.values()}


def history(ended: Ended, *arguments: str) -> bytes:
    """What ``mapscope history`` writes."""
    command = [sys.executable, "-W", "error", "-m", "mapscope", "history", *arguments, "--store", str(ended.store)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_the_history_of_the_leak(ended: Ended):
    document = json.loads(history(ended, "leaky", "-f", "json"))
    schema = json_schema()
    assert not problems(document, schema["$defs"]["HistoryDocument"], schema)
    (instance,) = document["instances"]
    assert instance["instance"] == ended.leaky
    series = {one["id"]: one for one in instance["indicators"]}
    values = series["P1"]["values"]
    assert set(ended.sizes) <= set(values)  # what /metrics said is what was kept
    assert series["P1"]["time_nanos"] == sorted(series["P1"]["time_nanos"])
    assert len(series["P2"]["low"]) in (0, len(series["P2"]["values"]))
    place = next(one for one in document["places"] if one["function"] == "main.(*store).grow")
    assert place["type"] == "map[uint64][4]uint64"
    assert place["inuse_bytes"] == sorted(place["inuse_bytes"])
    (finding,) = document["findings"]
    assert (finding["indicator"], finding["function"], finding["ended_nanos"]) == ("P5", "main.(*store).grow", None)
    assert finding["told"] == "inferred"
    assert any(one["kind"] == "goroutine" for one in document["profiles"])


def test_the_history_as_text_and_csv(ended: Ended):
    text = history(ended, "leaky").decode()
    assert max(map(len, text.partition("NEXT")[0].splitlines())) <= 80
    for words in ("map bytes in use", "▁", "P5 only rises", "main.(*store).grow", "lasts"):
        assert words in text
    assert "FINDINGS  none" in history(ended, "healthy").decode()
    lines = history(ended, "leaky", "-f", "csv").decode().splitlines()
    assert lines[0] == "time,service,instance,indicator,value,low,high,unit"
    assert [float(line.split(",")[4]) for line in lines if ",P1," in line][-1] == ended.sizes[-1]


def test_a_history_that_was_kept_is_shown_again(ended: Ended, tmp_path: Path):
    kept = tmp_path / "leaky.json"
    kept.write_bytes(history(ended, "leaky", "-f", "json"))
    for form, word in (("text", b"P5 only rises"), ("csv", b",leaky,")):
        command = [sys.executable, "-m", "mapscope", "report", str(kept), "-f", form]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"}
        assert word in subprocess.run(command, capture_output=True, timeout=60, check=True, env=environment).stdout


def test_the_raw_profiles_of_a_time(ended: Ended, tmp_path: Path):
    """A folder that ``mapscope profile`` takes as a series, with the same bytes; one process at a time."""
    history(ended, "leaky", "--keep", str(tmp_path / "night"))
    document = json.loads(history(ended, "leaky", "-f", "json"))
    kept = Counter(one["kind"] for one in document["profiles"])
    files = sorted(one.name for one in (tmp_path / "night").iterdir())
    assert files == ["goroutine-0001.txt", *(f"heap-{n:04}.pb.gz" for n in range(1, kept["heap"] + 1))]
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "night").iterdir()} == {0o600}
    command = [sys.executable, "-m", "mapscope"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    options = {"capture_output": True, "timeout": 60, "env": environment, "check": False}
    again = [*command, "profile", str(tmp_path / "night"), "-e", str(ended.executable), "-f", "json"]
    found = json.loads(subprocess.run(again, **options).stdout)
    (place,) = [one for one in document["places"] if one["function"] == "main.(*store).grow"]
    (course,) = [one for one in found["series"] if one["function"] == place["function"]]
    assert course["inuse_bytes"] == place["inuse_bytes"]
    several = [*command, "history", "healthy", "--store", str(ended.store), "--keep", str(tmp_path / "two")]
    done = subprocess.run(several, **options)
    assert done.returncode == 2
    assert b"healthy has 2 instances" in done.stderr
    assert f"give --instance: {min(ended.healthy, ended.late)}".encode() in done.stderr


def test_a_stored_profile_comes_out_again(ended: Ended, tmp_path: Path):
    """mapscope itself reads it, and sees the bytes that the history tells of that moment."""
    out = tmp_path / "then.pb.gz"
    history(ended, "leaky", "-f", "pprof", "-o", str(out))
    command = [sys.executable, "-m", "mapscope", "profile", str(out), "-e", str(ended.executable), "-f", "json"]
    done = subprocess.run(
        command, capture_output=True, timeout=60, check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )
    series = json.loads(history(ended, "leaky", "-f", "json"))["instances"][0]["indicators"]
    kept = next(one["values"] for one in series if one["id"] == "P1")
    assert json.loads(done.stdout)["maps"]["inuse_bytes"] == kept[-1]
    waits = history(ended, "leaky", "-f", "pprof", "--kind", "goroutine", "-o", "-")
    assert waits.startswith(b"goroutine ")
