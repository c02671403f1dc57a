"""Programs with C in them: maps, chains, goroutines inside C and inside Go that C called, and memory that is not Go's.

Built by internal and external linking, as PIE by the C linker (where pclntab has no section of its own), and stripped.
"""

from __future__ import annotations

import functools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.goruntime.frames import Goroutine
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.headers import differences
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

THREAD = 16 << 10
"""Bytes on the heap for the record of a thread that starts after the program read its figures."""
VARIANTS = [Variant(series, f"cgo{how}") for series in ("1.23", "1.26") for how in ("", "-stripped", "-pie")]
VARIANTS += [Variant("1.23", "cgo-pie-stripped", evidence="gcore"), Variant("1.26", "cgo-pie-stripped")]
VARIANTS += [Variant(series, "cgo", evidence="kernel") for series in ("1.23", "1.26")]
VARIANTS += [Variant("1.19", "cgo"), Variant("1.21", "cgo"), Variant("1.27", "cgo-pie")]
GLOBALS = {"words": "main.words", "session": "main.current", "sizes": "main.sizes", "foreign": "main.foreign"}
STACKS = {
    "in-c": ("in_c", "main.inC"),
    "before-callback": ("in_callback", "main.inCallback"),
    "in-callback-1": ("in_callback", "main.comeBack"),
    "in-callback-2": ("on_foreign_thread", "main.comeBack"),
}
"""Maps that only a stack keeps: the name under which the program tells the goroutine, and the function."""


@dataclass(frozen=True)
class Seen:
    """What the program said and what mapscope sees in its core."""

    truth: dict[str, Any]
    snapshot: Snapshot

    def address(self, name: str) -> int:
        """Where the header of a map lies."""
        (found,) = [one["address"] for one in self.truth["maps"] if one["name"] == name]
        return int(found)

    def goroutine(self, role: str) -> Goroutine:
        """The goroutine that plays a part."""
        (found,) = [one for one in self.snapshot.goroutines if one.id == self.truth[role] and one.status != "dead"]
        return found


@functools.lru_cache(maxsize=2)
def observe(variant: Variant) -> Seen:
    """Builds, runs, takes the core and reads it."""
    executable = harness.build("cgo", variant)
    with tempfile.TemporaryDirectory(prefix="cgo-") as name:
        folder = Path(name)
        with harness.running(executable, folder=folder) as program:
            core = harness.take_core(program, variant.evidence, folder)
        return Seen(program.truth, open_snapshot(core, executable))


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    """One way to build and to take evidence."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def seen(variant: Variant) -> Seen:
    """Its run."""
    return observe(variant)


def test_maps_and_headers(seen: Seen, variant: Variant) -> None:
    assert {one["name"] for one in seen.truth["maps"]} == {*GLOBALS, *STACKS}
    wrong = differences(seen.snapshot, seen.truth, variant)
    assert not wrong, "\n".join(wrong)
    assert not seen.snapshot.evidence.warnings


def test_live_bytes(seen: Seen) -> None:
    heap, told = seen.snapshot.heap, seen.truth["memstats"]
    assert heap.runtime is not None
    assert heap.live_bytes == pytest.approx(heap.runtime.heap_alloc_bytes, rel=0.01)
    assert abs(heap.live_bytes - told["HeapAlloc"]) <= THREAD


def test_memory_of_c_is_outside_go(seen: Seen) -> None:
    """What C holds, and little more; nothing of it is called Go's or unexplained."""
    where = seen.snapshot.heap.reconciliation
    # the kernel makes one mapping of C's memory and a chunk of the runtime's beside it: the border is not known
    assert -(1 << 20) < where.outside_go_bytes - seen.truth["c_bytes"] < 8 << 20, where
    assert where.unexplained_bytes < where.rss_bytes * 0.01


def test_chains(seen: Seen, variant: Variant) -> None:
    for name, variable in GLOBALS.items():
        root = seen.snapshot.chain(seen.address(name))[0]
        assert root.kind == "global", name
        want = r"(data|bss)\+0x[0-9a-f]+, used by main\.main" if variant.stripped else re.escape(variable)
        assert re.fullmatch(want, root.name or ""), name
    for name, (role, function) in STACKS.items():
        steps = seen.snapshot.chain(seen.address(name))
        assert (steps[0].kind, len(steps)) == ("goroutine", 2)
        want = rf"goroutine {seen.truth[role]} in {re.escape(function)} \(main\.go:\d+\)"
        assert re.fullmatch(want, steps[0].name or ""), name


def test_goroutines_beside_c(seen: Seen) -> None:
    """Frames on both sides of C, and of a goroutine whose thread C has made."""
    assert [(one.id, one.problem) for one in seen.snapshot.goroutines if one.problem] == []
    inside = seen.goroutine("in_c")
    assert inside.status == "syscall"
    names = [frame.function for frame in inside.frames]
    assert names[-3:] == ["runtime.cgocall", "main._Cfunc_block", "main.inC"]
    back = seen.goroutine("in_callback")
    assert (back.status, back.wait_reason) == ("waiting", "chan receive")
    names = [frame.function for frame in back.frames]
    assert names.index("main.comeBack") < names.index("runtime.cgocallback") < names.index("main.inCallback")
    other = seen.goroutine("on_foreign_thread")
    assert other.wait_reason == "chan receive"
    names = [frame.function for frame in other.frames]
    assert names.index("main.comeBack") < names.index("runtime.cgocallback") == len(names) - 1


def test_threads_of_c_make_no_finding(seen: Seen) -> None:
    """Each has its registers in the core, the one in a signal handler too; the finding is the hint of one map."""
    assert len(seen.snapshot._process.core.threads) >= 5
    assert [(one.rule, one.subject) for one in seen.snapshot.findings] == [("R10", seen.address("sizes"))]
