"""Whether a frame of a goroutine stands inside a loop over a map: from the machine code of its function alone.

A loop over a map is a call that starts an iterator and one that takes the next entry (mapiterinit and mapiternext, from
Go 1.24 on mapIterStart and mapIterNext; cmd/compile/internal/walk/range.go). Both take the address of an iterator in
the frame. A frame is inside the loop when from its return address control can come to the second call without passing
the first for the same iterator: so code after a loop, and code between two loops, is not inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from mapscope.binary.disassembler import have_capstone
from mapscope.binary.machine import Code, Machine, Op, decoder
from mapscope.binary.pclntab import shown_name
from mapscope.profiles.parts import INFERRED, POSSIBLE
from mapscope.profiles.symbols import Symbols

START = ("runtime.mapiterinit", "runtime.mapIterStart", "internal/runtime/maps.(*Iter).Init")
NEXT = (
    *("runtime.mapiternext", "runtime.mapIterNext", "internal/runtime/maps.(*Iter).Next"),
    *("reflect.mapiternext", "reflect.mapIterNext", "reflect.(*MapIter).Next"),
)
_ITERATOR_OF_START = 2
"""Arguments of mapiterinit: type, map, iterator (runtime/map.go); mapiternext has the iterator alone."""
_MAX_CODE = 1 << 20
"""Bytes of the largest function that is decoded."""
_NOT_KNOWN = -1
_STOPS = frozenset((Code.STOP, Code.JUMP))
_WRITES = frozenset((Code.ADDRESS, Code.ADD, Code.LOAD, Code.LOAD_GLOBAL, Code.LOAD_STACK, Code.KILL))


class Loop(Struct, frozen=True):
    """A loop over a map around a frame. ``type``: of the map, where its address is a constant at the start.

    ``how``: inferred (the code leads back to the next entry), possible (the function has such calls; not decoded, or
    the iterator is not in its frame).
    """

    type: str | None
    how: str


class _Body(Struct, frozen=True):
    """The operations of a function; ``calls``: operation → (is it a start, offset of the iterator in the frame)."""

    ops: tuple[Op, ...]
    at: dict[int, int]
    calls: dict[int, tuple[bool, int]]


@dataclass(slots=True)
class Loops:
    """Loops over maps in one executable, looked for where frames stand."""

    symbols: Symbols
    _machine: Machine | None = field(init=False)
    _entries: dict[int, bool] = field(init=False)
    _bodies: dict[int, _Body | None] = field(default_factory=dict)
    _known: dict[int, Loop | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        table = self.symbols.table
        self._machine = decoder(self.symbols.executable.arch) if have_capstone() else None
        named = [(name, True) for name in START] + [(name, False) for name in NEXT]
        self._entries = {
            int(table.entry[index]): start for name, start in named for index in table.indices_of(name)
        }  # fmt: skip

    def at(self, pc: int) -> Loop | None:
        """The loop over a map that return address ``pc`` stands in; None when it stands in none."""
        if pc not in self._known:
            self._known[pc] = self._find(pc)
        return self._known[pc]

    def _find(self, pc: int) -> Loop | None:
        index = self.symbols.table.find(pc - 1)
        if index < 0 or shown_name(self.symbols.table.name(index)) in (*START, *NEXT):
            return None
        if index not in self._bodies:
            self._bodies[index] = self._body(index)
        body = self._bodies[index]
        if body is None:
            return None
        if not body.ops:
            return Loop(None, POSSIBLE)
        start = body.at.get(pc)
        if start is None:  # no instruction begins there: not the address after a call
            return None
        iterator = next((found for found in self._iterators(body) if self._leads(body, start, found)), None)
        if iterator is None:
            return None
        return Loop(self._type(body, iterator), INFERRED if iterator != _NOT_KNOWN else POSSIBLE)

    def _body(self, index: int) -> _Body | None:
        """None for a function without calls for the next entry of a map; no operations where it is not decoded."""
        table = self.symbols.table
        low, high = int(table.entry[index]), table.end_of(index)
        code = self.symbols.code(low, min(high, low + _MAX_CODE))
        targets = code.calls(anywhere=True).target.tolist()
        if not any(self._entries.get(target) is False for target in targets):
            return None
        if self._machine is None or high - low > _MAX_CODE:
            return _Body((), {}, {})
        ops = tuple(self._machine.decode(code.data.tobytes(), low))
        calls = {}
        for row, op in enumerate(ops):
            if op.code in (Code.CALL, Code.JUMP) and (start := self._entries.get(op.a)) is not None:
                register = self._machine.arguments[_ITERATOR_OF_START if start else 0]
                calls[row] = start, _in_frame(ops, row, register)
        return _Body(ops, {op.address: row for row, op in reversed(list(enumerate(ops)))}, calls)

    @staticmethod
    def _iterators(body: _Body) -> list[int]:
        """Iterators that an entry is asked of, those in the frame first."""
        return sorted({offset for start, offset in body.calls.values() if not start}, reverse=True)

    @staticmethod
    def _leads(body: _Body, start: int, iterator: int) -> bool:
        """Whether control comes from operation ``start`` to the next entry of ``iterator`` before it is started."""
        seen, todo = {start}, [start]
        while todo:
            row = todo.pop()
            op = body.ops[row]
            call = body.calls.get(row)
            if call is not None and call[1] == iterator:
                if not call[0]:
                    return True
                continue
            following = [] if op.code in _STOPS or row + 1 >= len(body.ops) else [row + 1]
            if op.code in (Code.JUMP, Code.BRANCH) and op.a in body.at:
                following.append(body.at[op.a])
            for one in following:
                if one not in seen:
                    seen.add(one)
                    todo.append(one)
        return False

    def _type(self, body: _Body, iterator: int) -> str | None:
        """The one map type that the iterator is started with."""
        ends = [body.ops[row].end for row, (start, at) in body.calls.items() if start and at == iterator]
        found = {one.name if (one := self.symbols.map_type(end)) is not None else None for end in ends}
        return found.pop() if len(found) == 1 else None


def _in_frame(ops: Sequence[Op], call: int, register: int) -> int:
    """Offset from the stack pointer that ``register`` holds at operation ``call``; -1 where it is not seen."""
    for row in range(call - 1, -1, -1):
        op = ops[row]
        if op.code in (Code.CALL, Code.JUMP, Code.BRANCH, Code.STOP):
            return _NOT_KNOWN
        if op.code is Code.STACK_ADDRESS and op.a == register:
            return op.b
        if op.code is Code.MOVE and op.a == register:
            register = op.b
        elif op.code in _WRITES and op.a == register:
            return _NOT_KNOWN
    return _NOT_KNOWN
