"""What exists under which name and where: types from DWARF, functions from pclntab, instructions from the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.executable import Executable
from mapscope.binary.machine import Code, decoder
from mapscope.binary.structs import StructLayout
from mapscope.errors import UsageError
from mapscope.lab.asm import Listing, accesses
from mapscope.lab.scenario import Check, Run, Scenario

_POINTERS: Final = ("unsafe.Pointer", "*", "map[", "func(", "chan ")
_DEFER: Final = ("runtime.deferproc", "runtime.deferprocStack", "runtime.deferreturn")
_GROWTH: Final = re.compile(
    r"runtime\.(hashGrow|growWork\w*|evacuate\w*|mapassign\w*)|internal/runtime/maps\.\(\*(Map|table)\)\.\w+"
)
_SCAN: Final = re.compile(r"runtime\.(scanobject|scanObject\w*|scanobjects\w*)")


class _Program:
    """The executable, as a reader of it sees it."""

    def __init__(self, run: Run) -> None:
        self.executable = Executable.open(run.executable)
        dwarf = Dwarf.from_elf(self.executable.elf)
        if dwarf is None:
            raise UsageError(f"{run.executable} has no DWARF", "the scenario builds its program with it")
        self.dwarf = dwarf
        self.functions = frozenset(self.executable.functions.names())

    @cached_property
    def listing(self) -> Listing:
        return accesses(self.executable.path)

    def fields(self, name: str) -> dict[str, int]:
        """Fields of a struct with their offsets; empty where the program has no such type."""
        found = self.dwarf.struct(name)
        return {} if found is None else {field: one.offset for field, one in found.fields.items()}

    def mask(self, name: str) -> str:
        """Which words of a struct are pointers, as the runtime writes pointer masks."""
        found: StructLayout | None = self.dwarf.struct(name)
        if found is None:
            return ""
        words = {one.offset // 8 for one in found.fields.values() if one.type.startswith(_POINTERS)}
        return "".join("1" if word in words else "0" for word in range(found.size // 8)).rstrip("0")

    def calls(self, names: tuple[str, ...], among: tuple[str, ...]) -> list[str]:
        """Functions of ``among`` that call one of ``names``."""
        table = self.executable.functions
        targets = {int(table.entry[index]) for name in names for index in table.indices_of(name)}
        machine = decoder(self.executable.arch)
        out = []
        for name in among:
            for index in table.indices_of(name):
                low = int(table.entry[index])
                code = self.executable.image.view(low, table.end_of(index) - low)
                if code is not None and any(
                    op.code in (Code.CALL, Code.JUMP) and op.a in targets for op in machine.decode(bytes(code), low)
                ):
                    out.append(name)
        return out


def _truth(value: bool) -> str:
    return "true" if value else "false"


def judge(run: Run) -> Iterator[Check]:
    """Fields, functions and instructions that the article names."""
    program = _Program(run)
    header = program.fields("runtime.hmap" if run.classic else "internal/runtime/maps.Map")
    wanted = ("buckets", "oldbuckets", "nevacuate")
    there = [name for name in wanted if name in header]
    yield Check(
        "the header's fields",
        len(there) == (3 if run.classic else 0) and "noldbuckets" not in header and bool(header),
        {"fields": " ".join(sorted(header, key=lambda name: header[name]))},
        {20: _truth(len(there) == 3), 32: _truth("noldbuckets" in header)},
    )
    g = program.fields("runtime.g")
    yield Check("gcscandone is a field of g", "gcscandone" in g and "gcscandone" not in header,
                {"in g": str("gcscandone" in g), "in the header": str("gcscandone" in header)},
                {38: _truth("gcscandone" in header)})  # fmt: skip
    yield from _functions(run, program)
    iterator = program.fields("runtime.hiter" if run.classic else "internal/runtime/maps.Iter")
    named = [name for name in ("key", "value", "bucket", "bptr", "overflow") if name in iterator]
    yield Check(
        "the iterator's fields",
        "t0" not in iterator and len(named) == (4 if run.classic else 1),
        {"fields": " ".join(sorted(iterator, key=lambda name: iterator[name]))},
        {78: _truth("t0" in iterator), 57: "partly" if 1 < len(named) < 5 else _truth(len(named) == 5)},
    )
    yield from _sync(run, program)
    if run.classic:
        yield from _code(program)
    growing = tuple(sorted(name for name in program.functions if _GROWTH.fullmatch(name)))
    deferring = program.calls(_DEFER, growing)
    yield Check("no growth uses a defer", not deferring, {"functions": len(growing), "with a defer": len(deferring)},
                {96: _truth(bool(deferring))})  # fmt: skip


def _functions(run: Run, program: _Program) -> Iterator[Check]:
    absent = {"runtime.scanmap": 35, "runtime.gcmarkwb": 42}
    found = {name: str(name in program.functions) for name in (*absent, "runtime.freeOldBucket")}
    claims = {number: _truth(name in program.functions) for name, number in absent.items()}
    clears = "runtime.advanceEvacuationMark" in program.functions or not run.classic
    yield Check(
        "functions that do not exist",
        "True" not in found.values() and clears,
        found,
        {**claims, 65: _truth("runtime.freeOldBucket" in program.functions)},
    )
    heap = program.fields("runtime.mheap")
    variable = any(one.name == "runtime.gcBlackenEnabled" for one in program.dwarf.globals)
    names = {"mheap.spanalloc": str("spanalloc" in heap), "gcBlackenEnabled": str(variable)}
    both = "spanalloc" in heap and variable
    yield Check("names that exist", both, names, {48: _truth(both)})
    if run.classic:
        mask = program.mask("runtime.hmap")
        scans = sorted(name for name in program.functions if _SCAN.fullmatch(name))
        yield Check("oldbuckets is a pointer to the collector like any other", mask == "001101", {"mask of hmap": mask},
                    {33: _truth(mask != "001101")})  # fmt: skip
        yield Check("one function scans all objects", "runtime.scanobject" in scans, {"functions": " ".join(scans)},
                    {34: "partly" if "runtime.scanobject" in scans else "false"})  # fmt: skip


def _sync(run: Run, program: _Program) -> Iterator[Check]:
    fields = program.fields("sync.Map")
    found = program.dwarf.struct("sync.Map")
    kind = found.fields["read"].type if found is not None and "read" in found.fields else "none"
    old = {"read", "dirty", "misses"} <= set(fields)
    yield Check(
        "what a sync.Map holds",
        old == run.classic,
        {"read": kind, "fields": " ".join(name for name in fields if "." not in name)},
        {83: _truth(old), 84: _truth(kind == "sync/atomic.Value")},
    )


def _code(program: _Program) -> Iterator[Check]:
    listing = program.listing
    yield Check("oldbuckets is at 0x18", listing.field_offset == 0x18,
                {"offset": hex(listing.field_offset), "size of hmap": hex(listing.structure_size)},
                {41: _truth(listing.field_offset == 0x30)})  # fmt: skip
    stores = [one for one in listing.accesses if one.store]
    bare = [one for one in stores if not one.barrier]
    plain = not any(one.text.startswith(("lock", "xchg", "stlr", "swp")) for one in stores)
    yield Check(
        "every store of it is plain and behind a write barrier",
        bool(stores) and not bare and plain,
        {"stores": " ".join(f"{one.function}: {one.barrier}" for one in stores)},
        {43: _truth(bool(bare)), 66: _truth(plain and bool(stores))},
    )
    functions = sorted({one.function for one in listing.accesses})
    yield Check("many functions refer to it", len(functions) > 10, {"functions": len(functions)},
                {44: _truth(len(functions) == 1)})  # fmt: skip
    evacuating = [one for one in listing.accesses if "evacuate" in one.function]
    loads = bool(evacuating) and not any(one.store for one in evacuating)
    yield Check("evacuate only reads it", loads, {"loads": len(evacuating)}, {47: _truth(loads)})


SCENARIO = Scenario(
    name="names",
    section="2.3",
    shows="which fields, functions and instructions that the article names exist",
    judge=judge,
)
