"""Lists of targets in files, and what a restart knows of before."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from mapscope.errors import MapscopeError
from mapscope.fleet.config import FileSD, ScrapeConfig, StaticConfig
from mapscope.fleet.discovery import Discovery, Files
from mapscope.fleet.marks import Duration, FilePath
from mapscope.fleet.restoring import restore
from mapscope.fleet.state import TargetState
from mapscope.fleet.store.choosing import open_store
from mapscope.fleet.targets import Target
from mapscope.fleet.window import Window
from tests.unit.fleet.records import record


def instances(files: Files) -> list[str]:
    """What a look finds."""
    return [one.instance for one in asyncio.run(files.targets())]


def test_files_of_targets(tmp_path: Path):
    """A file that becomes wrong keeps what it said; one that goes takes its targets with it."""
    one, two = tmp_path / "a.yml", tmp_path / "b.json"
    one.write_text("- targets: ['one:1']\n  labels: {service: shop}\n")
    two.write_text('[{"targets": ["two:1", "two:2"]}]')
    files = Files("job", FileSD(files=[FilePath(str(tmp_path / "*"))]))
    assert asyncio.run(files.targets()) == [
        Target("job", "shop", "one:1"), Target("job", "job", "two:1"), Target("job", "job", "two:2"),
    ]  # fmt: skip
    two.write_text('[{"targets": ["two:1", "nonsense"]}]')
    one.write_text("- targets: ['one:2']\n")
    with pytest.raises(MapscopeError, match=r"b.json:1:24: 'nonsense' is not HOST:PORT"):
        instances(files)
    assert [target.instance for target in files.known()] == ["one:2", "two:1", "two:2"]
    with pytest.raises(MapscopeError):  # it is still wrong, though it did not change
        instances(files)
    two.write_text('[{"targets": ["two:3"]}]')
    assert instances(files) == ["one:2", "two:3"]
    one.unlink()
    assert instances(files) == ["two:3"]


def test_a_file_that_stays_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.yml"
    path.write_text("- targets: ['one:1']\n")
    files = Files("job", FileSD(files=[FilePath(str(path))]))
    assert instances(files) == ["one:1"]
    monkeypatch.setattr("mapscope.fleet.discovery.read_yaml", lambda name: pytest.fail("it was read again"))
    assert instances(files) == ["one:1"]
    monkeypatch.undo()
    path.write_text("- targets: ['one:2']\n")
    os.utime(path, ns=(1, 1))
    assert instances(files) == ["one:2"]


def test_a_reload_loses_no_target(tmp_path: Path):
    """What sources of the same settings found is taken over before they are asked again."""
    path = tmp_path / "a.yml"
    path.write_text("- targets: ['one:1']\n")
    job = ScrapeConfig(
        job_name="job",
        static_configs=[StaticConfig(targets=["static:1"])],
        file_sd_configs=[FileSD(files=[FilePath(str(path))], refresh_interval=Duration(3600.0))],
    )
    changes: list[int] = []

    async def run() -> list[list[str]]:
        first = Discovery([job], lambda: changes.append(1), lambda kind: None)
        first.start()
        seen = [[one.instance for one in first.targets()]]
        while not first.ready:
            await asyncio.sleep(0.01)
        seen.append([one.instance for one in first.targets()])
        second = Discovery([job], lambda: changes.append(2), lambda kind: None)
        second.adopt(first)
        seen.append([one.instance for one in second.targets()])
        other = Discovery([ScrapeConfig(job_name="other")], lambda: None, lambda kind: None)
        other.adopt(first)
        seen.append([one.instance for one in other.targets()])
        await first.stop()
        return seen

    assert asyncio.run(run()) == [["static:1"], ["static:1", "one:1"], ["static:1", "one:1"], []]
    assert changes == [1, 1]


def test_a_restart_knows_what_was_before(tmp_path: Path):
    """The window begins with what the store has of the last hour, by the clock that never jumps."""
    store = open_store(str(tmp_path / "store.db"))
    wall, now = time.time(), time.monotonic()
    ages = {9: 7200, 10: 1800, 11: 1200, 12: 600}
    store.write(0, [record(number, taken_us=int((wall - age) * 1e6)) for number, age in ages.items()])
    store.write(0, [record(9, instance="other:1", taken_us=int(wall * 1e6))])
    target, state = Target("job", "shop", "one:6060"), TargetState(Window(3600.0))
    restore(store, target, state)
    assert [round(now - one.at, -1) for one in state.window.points] == [1800, 1200, 600]
    assert [one.map_bytes for one in state.window.points] == [10, 11, 12]  # P1 of these records
    assert [one.complete for one in state.window.points] == [True, False, False]  # each has one place, of 10 bytes
    assert state.window.points[0].places == {("main.fill", "map[int]int"): 10}
    store.close()
    (tmp_path / "store.db").unlink()
    empty = TargetState(Window(3600.0))
    new = open_store(str(tmp_path / "new.db"))
    restore(new, target, empty)
    new.close()
    assert not empty.window.points
