"""Where the runtime keeps its global variables, in executables with and without a symbol table.

Without symbols each is found in the code of a small runtime function that must touch it, named by pclntab. The sites
were chosen in the sources of Go 1.19 to 1.27; each recipe says which. What cannot be found is left out of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from mapscope.binary.disassembler import have_capstone
from mapscope.binary.executable import Executable
from mapscope.binary.flow import Event, EventKind, SpecialCallees, Tracer
from mapscope.binary.machine import Machine, decoder
from mapscope.binary.pclntab import FunctionTable
from mapscope.binary.textcode import TextCode

_MAX_CODE = 1 << 16
_NEAR = 16
_RECEIVERS = (
    ("runtime.mheap_", "runtime.mallocinit", "runtime.(*mheap).init"),
    ("runtime.memstats", "runtime.(*mheap).grow", "runtime.(*consistentHeapStats).acquire"),
    ("runtime.gcController", "runtime.gcinit", "runtime.(*gcControllerState).init"),
    ("runtime.work", "runtime.putfull", "runtime.(*lfstack).push"),
    ("runtime.gcCleanups", "runtime.freeSpecial", "runtime.(*cleanupQueue).enqueue"),
)
"""Global, function, method that the function calls on the global.

HeapStats is the first field of mstats, full of work.
"""

NAMES = (
    "runtime.mheap_",
    "runtime.memstats",
    "runtime.gcController",
    "runtime.allgs",
    "runtime.allglen",
    "runtime.allgptr",
    "runtime.allp",
    "runtime.allm",
    "runtime.sched",
    "runtime.work",
    "runtime.finq",
    "runtime.allfin",
    "runtime.finc",
    "runtime.gcCleanups",
    "runtime.gcphase",
    "runtime.itabTable",
    "runtime.waitReasonStrings",
    "runtime.firstmoduledata",
)
"""The globals that ``decoded_globals`` looks for (gcCleanups is there from Go 1.25 on)."""


def runtime_globals(exe: Executable) -> dict[str, int]:
    """Static addresses of the globals in ``NAMES``: from the symbol table where it is, else from the code.

    Without capstone only those that CALL and STORE patterns give away are found in a stripped executable: mheap_,
    memstats, gcController, work, allgs, allfin, finc, gcCleanups and itabTable.
    """
    found: dict[str, int] = {}
    if not exe.stripped:
        for name in NAMES:
            symbol = exe.elf.symbols.find(name)
            if symbol is not None:
                found[name] = symbol[0]
    if "runtime.mheap_" not in found:
        decoded = decoded_globals(exe) if have_capstone() else plain_globals(exe)
        found = {**decoded, **found}
    return found


def decoded_globals(exe: Executable) -> dict[str, int]:
    """The globals in ``NAMES`` that the machine code gives away; the symbol table is not looked at."""
    code = RuntimeCode(exe)
    found: dict[str, int] = {"runtime.firstmoduledata": exe.module.address}
    for recipe in _RECIPES:
        found.update(recipe(code))
    low, high = min(a.start for a in exe.image.areas), exe.module.end
    return {name: address for name, address in found.items() if low <= address < high}


def plain_globals(exe: Executable) -> dict[str, int]:
    """The globals that patterns of bytes give away; needs no capstone. The sites are those of ``decoded_globals``."""
    table = exe.functions
    found = {"runtime.firstmoduledata": exe.module.address}
    for name, function, callee in _RECEIVERS:
        before, _ = _around_call(exe, table, function, callee)
        if before is None:
            continue
        made = before.addresses(0, 1 << 63)
        # the first argument's register has number 0 on both architectures; compilers put it right before the call
        first = np.flatnonzero(made.register == 0).tolist()
        if first and before.end - int(made.end[first[-1]]) <= _NEAR:
            found[name] = int(made.target[first[-1]])
    _, after = _around_call(exe, table, "runtime.allgadd", "runtime.growslice")
    if after is not None:
        stores = after.stores(0, 1 << 63)
        _first(found, "runtime.allgs", stores.target[stores.register == 0])
    _, after = _around_call(exe, table, "runtime.queuefinalizer", "runtime.persistentalloc")
    if after is not None:
        _first(found, "runtime.finc", after.stores(0, 1 << 63).target)
        loads = after.loads(0, 1 << 63).target  # (arm64 loads finc again first)
        _first(found, "runtime.allfin", loads[loads != np.uint64(found.get("runtime.finc", 0))])
    whole = _code_of(exe, table, "runtime.itabAdd")
    if whole is not None:
        _first(found, "runtime.itabTable", whole.loads(0, 1 << 63).target)
    return found


def _first(found: dict[str, int], name: str, targets: npt.NDArray[np.uint64]) -> None:
    if len(targets):
        found[name] = int(targets[0])


def _around_call(
    exe: Executable, table: FunctionTable, function: str, callee: str
) -> tuple[TextCode | None, TextCode | None]:
    """The code of ``function`` before and after its first call of ``callee``."""
    code, target = _code_of(exe, table, function), table.index_of(callee)
    if code is None or target < 0:
        return None, None
    calls = code.calls(anywhere=True)
    sites = np.flatnonzero(calls.target == table.entry[target])
    if not len(sites):
        return None, None
    site, end, data = int(calls.site[sites[0]]), int(calls.end[sites[0]]), code.data.tobytes()
    before = TextCode(data[: site - code.start], code.start, exe.arch)
    return before, TextCode(data[end - code.start :], end, exe.arch)


def _code_of(exe: Executable, table: FunctionTable, name: str) -> TextCode | None:
    index = table.index_of(name)
    if index < 0:
        return None
    entry = int(table.entry[index])
    data = exe.image.read(entry, min(table.end_of(index) - entry, _MAX_CODE))
    return None if data is None else TextCode(data, entry, exe.arch)


class RuntimeCode:
    """Functions of an executable as events of the light dataflow."""

    def __init__(self, exe: Executable) -> None:
        """UsageError when capstone is missing."""
        self.exe = exe
        self.machine: Machine = decoder(exe.arch)
        self.table: FunctionTable = exe.functions
        self.tracer = Tracer(self.machine, SpecialCallees(self.table))

    def events(self, name: str) -> list[Event]:
        """Every event in function ``name``; empty when there is no such function."""
        index = self.table.index_of(name)
        if index < 0:
            return []
        entry = int(self.table.entry[index])
        data = self.exe.image.read(entry, min(self.table.end_of(index) - entry, _MAX_CODE))
        if data is None:
            return []
        depths = self.table.pcvalues(int(self.table.pcsp[index]))
        return self.tracer.trace(self.machine.operations(data, entry), depths, entry, None)

    def callee(self, event: Event) -> str:
        """Name of the function that a CALL event calls."""
        index = self.table.find(event.target) if event.kind is EventKind.CALL else -1
        return self.table.name(index) if index >= 0 and int(self.table.entry[index]) == event.target else ""


def _allgs(code: RuntimeCode) -> Iterator[tuple[str, int]]:
    """allgadd: allgs = append(allgs, gp), then allgptr and allglen are stored atomically."""
    events = code.events("runtime.allgadd")
    growths = [event.address for event in events if code.callee(event) == "runtime.growslice"]
    for event in events:
        value = event.values[0] if event.kind is EventKind.STORE_GLOBAL else None
        if value is not None and value[0] == "call" and value[1] in growths:
            yield "runtime.allgs", event.target
    exchanged = [event.target for event in events if event.kind is EventKind.EXCHANGE_GLOBAL]
    if len(exchanged) == 2:
        yield "runtime.allgptr", exchanged[0]
        yield "runtime.allglen", exchanged[1]


def _allp(code: RuntimeCode) -> Iterator[tuple[str, int]]:
    """preemptall: for _, pp := range allp."""
    loads = [event.target for event in code.events("runtime.preemptall") if event.kind is EventKind.LOAD_GLOBAL]
    if len(loads) >= 2 and abs(loads[1] - loads[0]) == 8:
        yield "runtime.allp", min(loads[:2])


def _allm(code: RuntimeCode) -> Iterator[tuple[str, int]]:
    """mcommoninit: atomicstorep(&allm, mp), the only atomic store there."""
    events = code.events("runtime.mcommoninit")
    exchanged = {event.target for event in events if event.kind is EventKind.EXCHANGE_GLOBAL}
    if len(exchanged) == 1:
        yield "runtime.allm", exchanged.pop()


def _sched(code: RuntimeCode) -> Iterator[tuple[str, int]]:
    """newproc1: sched.ngsys.Add(1), later sched.goidgen.Add(…), which is the first field of schedt."""
    events = code.events("runtime.newproc1")
    exchanged = [event.target for event in events if event.kind is EventKind.EXCHANGE_GLOBAL]
    near = [target for target in exchanged if exchanged[0] - 0x100 <= target < exchanged[0]]
    if len(set(near)) == 1:
        yield "runtime.sched", near[0]


def _finalizers(code: RuntimeCode) -> Iterator[tuple[str, int]]:
    """queuefinalizer: if gcphase …, lock, finq is looked at, finc = persistentalloc(…), finc.alllink = allfin."""
    events = code.events("runtime.queuefinalizer")
    blocks = [event.address for event in events if code.callee(event) == "runtime.persistentalloc"]
    locks = [event.address for event in events if code.callee(event).startswith("runtime.lock")]
    compared = [event.target for event in events if event.kind is EventKind.COMPARE_GLOBAL]
    if compared:
        yield "runtime.gcphase", compared[0]
    if locks:
        loads = [e.target for e in events if e.kind is EventKind.LOAD_GLOBAL and e.address > locks[0]]
        yield from (("runtime.finq", target) for target in loads[:1])
    block = 0
    for event in events:
        base = event.values[0] if event.values else None
        if base is None:
            continue
        new = base[0] == "call" and base[1] in blocks
        if new and event.kind is EventKind.STORE_GLOBAL:
            block = event.target
            yield "runtime.finc", block
        elif (new or base == ("load", block)) and event.kind is EventKind.STORE and event.target == 0:
            value = event.values[1]
            if value is not None and value[0] == "load":
                yield "runtime.allfin", int(str(value[1]))


def _itab_table(code: RuntimeCode) -> Iterator[tuple[str, int]]:
    """itabAdd: t := itabTable, before anything else is loaded."""
    loads = [event.target for event in code.events("runtime.itabAdd") if event.kind is EventKind.LOAD_GLOBAL]
    yield from (("runtime.itabTable", target) for target in loads[:1])


def _wait_reasons(code: RuntimeCode) -> Iterator[tuple[str, int]]:
    """waitReason.String: waitReasonStrings[w] comes after the text for numbers that are out of range."""
    made = [event.target for event in code.events("runtime.waitReason.String") if event.kind is EventKind.ADDRESS]
    yield from (("runtime.waitReasonStrings", target) for target in made[-1:])


def _receivers(code: RuntimeCode) -> Iterator[tuple[str, int]]:
    """``_RECEIVERS``: the first argument, if all such calls of the function agree on it."""
    for name, function, callee in _RECEIVERS:
        found = {
            value[1]
            for event in code.events(function)
            if code.callee(event) == callee and (value := event.values[0]) is not None and value[0] == "address"
        }
        if len(found) == 1:
            yield name, int(str(found.pop()))


_RECIPES: tuple[Callable[[RuntimeCode], Iterator[tuple[str, int]]], ...] = (
    *(_receivers, _allgs, _allp, _allm, _sched, _finalizers, _itab_table, _wait_reasons),
)
