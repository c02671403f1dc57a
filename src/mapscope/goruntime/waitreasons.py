"""Why and how long goroutines wait, in the process's own words and by its own clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mapscope.evidence.memory import Memory
from mapscope.goruntime.goroutines import GoroutineTable
from mapscope.goruntime.layout import Layouts

STATUS = {
    0: "idle", 1: "runnable", 2: "running", 3: "syscall", 4: "waiting", 6: "dead", 8: "copystack", 9: "preempted",
    10: "leaked", 11: "waiting for cgo callback",
}  # fmt: skip
"""Names of ``g.atomicstatus`` as the runtime prints them (runtime/traceback.go: gStatusStrings)."""

_MAX_TEXT = 128
_MAX_PROCESSORS = 1 << 12
_MAX_TIME = 1 << 60
"""Nanoseconds; 36 years after the machine was started."""


def wait_reasons(memory: Memory, globals_: Mapping[str, int], wanted: set[int]) -> dict[int, str]:
    """The texts of ``runtime.waitReasonStrings`` (runtime/runtime2.go) for the numbers in ``wanted``.

    Read from the process, since numbers and texts change with the release. What is not there, or is no text, is left
    out; so is number 0, which stands for no reason.
    """
    base = globals_.get("runtime.waitReasonStrings", 0)
    found = {}
    for number in sorted(wanted - {0}) if base else ():
        head = memory.words(base + 16 * number, 2)
        if head is None or not 0 < int(head[1]) <= _MAX_TEXT:
            continue
        text = (memory.read(int(head[0]), int(head[1])) or b"").decode("ascii", "replace")
        if text.isprintable() and text.isascii() and text:
            found[number] = text
    return found


def newest_time(memory: Memory, layouts: Layouts, globals_: Mapping[str, int], table: GoroutineTable) -> int:
    """The latest moment of the runtime's clock (``nanotime``) that the evidence shows; 0 when it shows none.

    The process was seen at that moment or later, so what is measured against it is a lower bound. Looked at are the
    stamps of the collector (runtime.work, memstats, gcController), of the scheduler (sched.lastpoll, which is 0 while a
    thread polls), of its monitor (p.sysmontick), and those on goroutines.
    """
    times = [int(table.waitsince.max())] if len(table.waitsince) else []
    times += [value for value in _stamps(memory, layouts, globals_) if 0 < value < _MAX_TIME]
    return max((value for value in times if value < _MAX_TIME), default=0)


def _stamps(memory: Memory, layouts: Layouts, globals_: Mapping[str, int]) -> Iterator[int]:
    for variable, name, fields in (
        ("runtime.work", "workType", ("tstart", "tSweepTerm", "tMark", "tMarkTerm", "tEnd")),
        ("runtime.memstats", "mstats", ("last_gc_nanotime",)),
        ("runtime.gcController", "gcControllerState", ("markStartTime",)),
        ("runtime.sched", "sched", ("lastpoll", "procresizetime")),
    ):
        if variable not in globals_ or not layouts.has(name):
            continue
        layout = layouts.struct(name)
        for field in fields:
            if field in layout:
                yield memory.word(globals_[variable] + layout.offset(field)) or 0
    head = memory.words(globals_["runtime.allp"], 2) if "runtime.allp" in globals_ else None
    if head is None:
        return
    layout = layouts.struct("p")
    stamps = [f for f in ("sysmontick.schedwhen", "sysmontick.syscallwhen", "gcStopTime") if f in layout]
    processors = memory.words(int(head[0]), min(int(head[1]), _MAX_PROCESSORS))
    for address in processors.tolist() if processors is not None else ():
        for field in stamps:
            yield memory.word(address + layout.offset(field)) or 0
