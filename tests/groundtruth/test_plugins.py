"""A program with a plugin: a second module, with types, variables and code of its own, at an address of its own.

A core of the kernel has neither the plugin's code nor its pclntab: they come from its file, which NT_FILE names.
"""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.headers import differences
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

VARIANTS = [Variant(series, mode) for series in ("1.23", "1.26") for mode in ("plugin", "plugin-stripped")]
VARIANTS += [Variant("1.23", "plugin", evidence="kernel"), Variant("1.26", "plugin-stripped", evidence="kernel")]
VARIANTS += [Variant("1.19", "plugin"), Variant("1.21", "plugin"), Variant("1.27", "plugin", evidence="gcore")]
MINE = "truth/plugin/extra."
"""Import path of the plugin: what its names begin with."""
ROOTS = {
    "host/words": "main.words",
    "host/own": "main.own",
    "plugin/held": f"{MINE}Held",
    "plugin/quiet": f"{MINE}quiet",
    "plugin/common": f"{MINE}common",
    "plugin/inside": f"{MINE}inside",
    "plugin/literal": f"{MINE}literal",
    "plugin/itab": f"{MINE}lister",
    "plugin/given/5": "main.kept",
    "plugin/given/800": "main.kept",
    "plugin/list": "main.list",
    "plugin/ranged": f"{MINE}ranged",
}
"""Maps and the variables that hold them."""


@dataclass(frozen=True)
class Seen:
    """What the program said and what mapscope sees in its core."""

    truth: dict[str, Any]
    snapshot: Snapshot

    def address(self, name: str) -> int:
        """Where the header of a map lies."""
        (found,) = [one["address"] for one in self.truth["maps"] if one["name"] == name]
        return int(found)


def files(variant: Variant) -> tuple[Path, Path]:
    """The program and its plugin."""
    return harness.build("plugin", variant), harness.build("plugin", variant, "extra", "plugin")


@functools.lru_cache(maxsize=2)
def observe(variant: Variant) -> Seen:
    """Builds, runs, takes the core and reads it."""
    executable, plugin = files(variant)
    with tempfile.TemporaryDirectory(prefix="plugin-") as name:
        folder = Path(name)
        with harness.running(executable, str(plugin), folder=folder) as program:
            core = harness.take_core(program, variant.evidence, folder)
        return Seen(program.truth, open_snapshot(core))


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    """One way to build and to take evidence."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def seen(variant: Variant) -> Seen:
    """Its run."""
    return observe(variant)


def test_maps_and_headers(seen: Seen, variant: Variant) -> None:
    assert {one["name"] for one in seen.truth["maps"]} == {*ROOTS, "plugin/stack"}
    wrong = differences(seen.snapshot, seen.truth, variant)
    assert not wrong, "\n".join(wrong)
    assert not seen.snapshot.evidence.warnings


def test_live_bytes(seen: Seen) -> None:
    heap, told = seen.snapshot.heap, seen.truth["memstats"]
    assert heap.runtime is not None
    assert heap.live_bytes == pytest.approx(heap.runtime.heap_alloc_bytes, rel=0.01)
    assert abs(heap.live_bytes - told["HeapAlloc"]) <= 16 << 10


def test_chains_begin_in_the_right_module(seen: Seen, variant: Variant) -> None:
    for name, variable in ROOTS.items():
        root = seen.snapshot.chain(seen.address(name))[0]
        want = re.escape(variable)
        if variant.stripped:
            where, user = (
                (r"extra\.so:", rf"{re.escape(MINE)}\w+") if variable.startswith(MINE) else ("", r"main\.main")
            )
            want = rf"{where}(data|bss)\+0x[0-9a-f]+, used by {user}"
        assert root.kind == "global", name
        assert re.fullmatch(want, root.name or ""), name


def test_fields_of_types_that_only_the_plugin_has(seen: Seen, variant: Variant) -> None:
    steps = seen.snapshot.chain(seen.address("plugin/given/800"))
    assert [step.type for step in steps[1:3]] == ["main.shelf", "[]map[main.color]*main.Only"]
    assert (steps[1].field, steps[2].field) == (".maps", "[1]")
    if not variant.stripped:
        assert seen.snapshot.chain(seen.address("plugin/inside"))[0].field == ".m"


def test_goroutines_in_the_plugin(seen: Seen) -> None:
    assert [(one.id, one.problem) for one in seen.snapshot.goroutines if one.problem] == []
    (one,) = [one for one in seen.snapshot.goroutines if one.id == seen.truth["in_plugin"] and one.status != "dead"]
    names = [frame.function for frame in one.frames]
    assert names[-2:] == [f"{MINE}wait", f"{MINE}Wait.func1"]
    assert one.creator_function == f"{MINE}Wait"
    assert all(frame.file.endswith("extra.go") and frame.line > 0 for frame in one.frames[-2:])
    chain = seen.snapshot.chain(seen.address("plugin/stack"))
    assert re.fullmatch(rf"goroutine {one.id} in {re.escape(MINE)}wait \(extra\.go:\d+\)", chain[0].name or "")


def test_a_loop_in_the_plugin(seen: Seen, variant: Variant) -> None:
    """Its iterator is found by the type of the map, which only the plugin has."""
    address = seen.address("plugin/ranged")
    (one,) = [one for one in seen.snapshot.iterators if one.map == address]
    assert (one.goroutine, one.liveness, one.state) == (seen.truth["in_loop"], "exact", "running")
    assert one.type_name == "map[main.color]*main.Only"
    assert one.caller is not None
    assert one.caller.function == f"{MINE}loop"
    (finding,) = [one for one in seen.snapshot.findings if one.rule in ("R4", "R5")]
    assert (finding.rule, finding.subject) == ("R5" if variant.swiss else "R4", address)


def test_a_plugin_whose_file_is_gone(tmp_path: Path) -> None:
    """One line says so; the maps are found by what the core itself has."""
    variant = Variant("1.26", "plugin")
    executable, plugin = files(variant)
    here = Path(shutil.copy(plugin, tmp_path / "moved.so"))
    with harness.running(executable, str(here), folder=tmp_path) as program:
        core = harness.take_core(program, "capture", tmp_path)
    here.unlink()
    snapshot = open_snapshot(core, executable)
    (warning,) = [one for one in snapshot.evidence.warnings if "module 2" in one]
    assert "moved.so: cannot open" in warning
    (held,) = [one["address"] for one in program.truth["maps"] if one["name"] == "host/words"]
    assert snapshot.maps.at(held) is not None
    shutil.copy(plugin, tmp_path / "moved.so")
    assert not open_snapshot(core, executable).evidence.warnings
    shutil.copy(files(Variant("1.23", "plugin"))[1], tmp_path / "moved.so")
    (warning,) = open_snapshot(core, executable).evidence.warnings
    assert "moved.so is not the file that was loaded" in warning
