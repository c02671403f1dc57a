"""Where the runtime's map functions touch one field of the map's header: every instruction, from machine code alone.

Which register or stack slot holds the header is followed from the function's arguments (ABIInternal,
cmd/compile/abi-internal.md) through copies and spills; where two ways meet, only what both agree on is believed. So an
instruction at the same offset of another struct (``hiter.h`` lies at 0x18 too) is not taken for one of the map.

A store is guarded by a write barrier when it is reached straight from a branch whose other way comes to a call of
``runtime.gcWriteBarrier*``: that branch is on ``runtime.writeBarrier`` (cmd/compile/internal/ssa/writebarrier.go).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mapscope.binary.executable import Executable
from mapscope.binary.machine import Code, Machine, Op, decoder
from mapscope.errors import ExecutableError, FormatError
from mapscope.goruntime import layout

_MAX_CODE = 1 << 18
"""Bytes of the largest function that is looked at; the runtime's map functions have less than 4096."""
_MAX_STRAIGHT = 32
"""Operations between a branch on the write barrier's flag and the store that it guards."""
_FAST = r"(?:_fast32(?:ptr)?|_fast64(?:ptr)?|_faststr)?"
_CLASSIC = {
    # name: which argument is the *hmap (runtime/map.go, map_fast32.go …; map_noswiss.go in 1.24 and 1.25)
    rf"runtime\.mapaccess[12]{_FAST}": 1,
    r"runtime\.mapaccess(?:K|[12]_fat)": 1,
    rf"runtime\.mapassign{_FAST}": 1,
    rf"runtime\.mapdelete{_FAST}": 1,
    rf"runtime\.growWork{_FAST}": 1,
    rf"runtime\.evacuate{_FAST}": 1,
    r"runtime\.hashGrow": 1,
    r"runtime\.mapiterinit": 1,
    r"runtime\.mapclear": 1,
    r"runtime\.mapclone2": 1,
    r"runtime\.makemap": 2,
    r"runtime\.advanceEvacuationMark": 0,
    r"runtime\.\(\*hmap\)\.\w+": 0,
    r"runtime\.mapiternext": -1,
}
_SWISS = {
    # name: which argument is the *maps.Map (internal/runtime/maps/map.go, runtime_swiss.go, runtime_fast*.go)
    r"internal/runtime/maps\.\(\*Map\)\.\w+": 0,
    rf"(?:internal/runtime/maps\.runtime_|runtime\.)mapaccess[12]{_FAST}": 1,
    r"(?:internal/runtime/maps\.runtime_|runtime\.)mapaccess(?:K|[12]_fat)": 1,
    rf"(?:internal/runtime/maps\.runtime_|runtime\.)mapassign{_FAST}": 1,
    r"(?:internal/runtime/maps\.runtime_|runtime\.)mapdelete": 1,
    r"internal/runtime/maps\.\(\*Iter\)\.Init": 2,
    r"internal/runtime/maps\.\(\*Iter\)\.Next": -1,
}
"""-1: the only argument is an iterator, whose header is a field of it."""
_BARRIER = re.compile(r"(?:runtime\.)?gcWriteBarrier")
_INDEXED = re.compile(r"\[(\w+)(?: \+ (0x[0-9a-f]+|\d+)|, #(0x[0-9a-f]+|\d+))?\]")
_SIZED = re.compile(r"(\w+) ptr \[")
_ARM_WIDTHS = {"x": 8, "w": 4, "q": 16, "d": 8, "s": 4}
_WIDTHS = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32}
_READERS = ("cmp", "test", "bt", "ucomis", "comis")
_WRITES = frozenset((Code.ADDRESS, Code.ADD, Code.LOAD_GLOBAL, Code.STACK_ADDRESS, Code.KILL))

State = frozenset[tuple[str, int]]
"""What holds what: ``("map", register)``, ``("iter", register)``; with the name in capitals stack slots."""


@dataclass(frozen=True, slots=True)
class Access:
    """One instruction that loads or stores the field.

    ``barrier``: of a store, the ``gcWriteBarrier`` function that is called when a collection runs, else empty;
    ``flag_at``: address of the branch on the write barrier's flag that guards it, 0 where none does.
    """

    function: str
    address: int
    offset_in_function: int
    store: bool
    text: str
    barrier: str = ""
    flag_at: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """All accesses of an executable. ``structure``.``field`` lies at ``field_offset``; ``note`` is for the reader."""

    path: str
    go_version: str
    arch: str
    structure: str
    field: str
    field_offset: int
    structure_size: int
    functions: tuple[str, ...]
    """The functions of the runtime that were looked at."""
    accesses: tuple[Access, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Body:
    """The operations of one function, row by row; ``texts`` of instructions by address."""

    ops: Sequence[Op]
    at: dict[int, int]
    texts: dict[int, tuple[str, str]]

    def after(self, row: int) -> list[int]:
        """The rows that control may come to from ``row``."""
        op = self.ops[row]
        out = [] if op.code in (Code.STOP, Code.JUMP) or row + 1 >= len(self.ops) else [row + 1]
        if op.code in (Code.JUMP, Code.BRANCH) and self.at.get(op.a, 0):
            out.append(self.at[op.a])  # not back to the entry: after the stack grew the arguments are what they were
        return out


def accesses(path: str | os.PathLike[str]) -> Listing:
    """The listing of the executable at ``path``.

    Raises ExecutableError where it is no Go program or holds no map functions, UsageError without capstone.
    """
    executable = Executable.open(path)
    machine = decoder(executable.arch)
    layouts = layout.load(executable.go_version, executable.arch)
    swiss = executable.swiss_maps
    header = layouts.struct("swissmap" if swiss else "hmap")
    wanted = "dirPtr" if swiss else "oldbuckets"
    place = header.fields[wanted].offset
    iterator = layouts.struct("mapiter").fields["m" if swiss else "h"].offset
    table = executable.functions
    names = {re.compile(name): argument for name, argument in (_SWISS if swiss else _CLASSIC).items()}
    barriers = {int(table.entry[i]): name for i, name in enumerate(table.names()) if _BARRIER.match(name)}
    functions: list[str] = []
    found: list[Access] = []
    for index, name in enumerate(table.names()):
        argument = next((each for pattern, each in names.items() if pattern.fullmatch(name)), None)
        if argument is None:
            continue
        low, high = int(table.entry[index]), table.end_of(index)
        data = executable.image.view(low, min(high - low, _MAX_CODE))
        if data is None:
            raise FormatError(f"the text of {executable.path} is not in the file", "use the whole executable")
        body = _body(machine, bytes(data), low)
        start: State = frozenset(
            {("iter", machine.arguments[0])} if argument < 0 else {("map", machine.arguments[argument])}
        )
        functions.append(name)
        found += _in_function(name, body, _states(body, start, iterator, barriers), place, barriers, machine)
    if not functions:
        raise ExecutableError(
            f"{executable.path} holds none of the runtime's map functions", "give a Go program that uses maps"
        )
    note = ""
    if swiss:
        note = (
            "Swiss maps (Go 1.24 on) have no oldbuckets: a table is replaced at once. What is listed is dirPtr, the "
            "directory of tables, or the only group of a small map"
        )
    return Listing(
        str(executable.path), executable.go_version, executable.arch, "maps.Map" if swiss else "hmap", wanted, place,
        header.size, tuple(functions), tuple(sorted(found, key=lambda one: one.address)), note,
    )  # fmt: skip


def _body(machine: Machine, code: bytes, address: int) -> _Body:
    ops = machine.decode(code, address)
    texts = {at: (mnemonic, text) for at, _, mnemonic, text in machine.disassemble(code, address)}
    return _Body(ops, {op.address: row for row, op in reversed(list(enumerate(ops)))}, texts)


def _states(body: _Body, start: State, iterator: int, barriers: dict[int, str]) -> list[State | None]:
    """What holds the header before each operation; None where control never comes."""
    before: list[State | None] = [None] * len(body.ops)
    if not body.ops:
        return before
    before[0], todo = start, [0]
    while todo:  # a state only ever loses members, so this ends
        row = todo.pop()
        state = before[row]
        assert state is not None
        after = _step(state, body.ops[row], iterator, barriers)
        for target in body.after(row):
            known = before[target]
            met = after if known is None else known & after
            if met != known:
                before[target] = met
                todo.append(target)
    return before


def _step(state: State, op: Op, iterator: int, barriers: dict[int, str]) -> State:
    match op.code:
        case Code.CALL if op.a not in barriers:
            return frozenset(one for one in state if one[0].isupper())
        case Code.MOVE:
            return _set(state, "", op.a, _held(state, "", op.b))
        case Code.LOAD_STACK:
            return _set(state, "", op.a, _held(state, "slot", op.b))
        case Code.STORE_STACK:
            return _set(state, "slot", op.a, _held(state, "", op.b))
        case Code.LOAD:
            is_header = op.c == iterator and ("iter", op.b) in state
            return _set(state, "", op.a, {"map"} if is_header else set())
        case code if code in _WRITES:
            return _set(state, "", op.a, set())
        case _:
            return state


def _held(state: State, where: str, place: int) -> set[str]:
    """``map``, ``iter``, or nothing: what a register, or a slot of the stack, holds."""
    names = {"map": "MAP", "iter": "ITER"} if where else {"map": "map", "iter": "iter"}
    return {plain for plain, name in names.items() if (name, place) in state}


def _set(state: State, where: str, place: int, what: set[str]) -> State:
    names = ("MAP", "ITER") if where else ("map", "iter")
    kept = {one for one in state if one[1] != place or one[0] not in names}
    return frozenset(kept | {(one.upper() if where else one, place) for one in what})


def _in_function(
    name: str, body: _Body, states: list[State | None], place: int, barriers: dict[int, str], machine: Machine
) -> Iterator[Access]:
    entry = body.ops[0].address if body.ops else 0
    seen: set[int] = set()
    for row, op in enumerate(body.ops):
        state = states[row]
        if state is None or op.address in seen:  # an instruction may be several operations; the first has its state
            continue
        seen.add(op.address)
        mnemonic, text = body.texts[op.address]
        bases = {name for name, number in machine.numbers.items() if ("map", number) in state}
        kind = _touches((mnemonic, text), bases, place)
        if kind is None:
            continue
        flag, callee = _guard(body, row, barriers) if kind else (0, "")
        yield Access(name, op.address, op.address - entry, kind, f"{mnemonic} {text}", callee, flag)


def _touches(instruction: tuple[str, str], bases: set[str], place: int) -> bool | None:
    """Whether an instruction stores (True) or loads (False) the word at ``place`` of what ``bases`` point to."""
    mnemonic, text = instruction
    found = _INDEXED.search(text)
    if found is None or found[1] not in bases or mnemonic in ("lea", "nop"):
        return None
    low = int(found[2] or found[3] or "0", 0)
    sized = _SIZED.search(text)  # amd64 alone names the size
    if not low <= place < low + (_WIDTHS.get(sized[1], 8) if sized else _arm_width(mnemonic, text)):
        return None
    if sized is None:
        return mnemonic.startswith("st")
    return text.find("[") < text.find(",") and not mnemonic.startswith(_READERS)


def _arm_width(mnemonic: str, text: str) -> int:
    each = {"b": 1, "h": 2}.get(mnemonic[-1]) or _ARM_WIDTHS.get(text[:1], 8)
    return each * (2 if mnemonic in ("ldp", "stp") else 1)


def _guard(body: _Body, row: int, barriers: dict[int, str]) -> tuple[int, str]:
    """The branch on the write barrier's flag that guards the store at ``row``, and the function that is called then."""
    for at, op in enumerate(body.ops):
        if op.code is not Code.BRANCH or op.a not in body.at:
            continue
        ways = (at + 1, body.at[op.a])
        for way, other in (ways, ways[::-1]):
            last = _straight(body, other)[-1:]
            callee = barriers.get(body.ops[last[0]].a, "") if last and body.ops[last[0]].code is Code.CALL else ""
            if callee and row in _straight(body, way):
                return op.address, callee
    return 0, ""


def _straight(body: _Body, row: int) -> list[int]:
    """The rows that control takes from ``row`` up to, and with, the next call, branch or end."""
    rows: list[int] = []
    while 0 <= row < len(body.ops) and len(rows) < _MAX_STRAIGHT:
        op = body.ops[row]
        rows.append(row)
        if op.code in (Code.CALL, Code.BRANCH, Code.STOP):
            break
        row = body.at.get(op.a, -1) if op.code is Code.JUMP else row + 1
    return rows
