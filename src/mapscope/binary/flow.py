"""A light dataflow over the operations of one function: what constants and globals reach calls and stores.

It is conservative: where two ways meet, only what both agree on stays; at the head of a loop, registers are forgotten,
and stack slots too unless the whole function writes them once. Values name where a word came from; they are no numbers
to compute with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from enum import IntEnum
from typing import NamedTuple

from mapscope.binary.machine import Code, Machine, Op
from mapscope.binary.pclntab import FunctionTable

Value = tuple[object, ...]
"""Where a word came from.

``("address", a)`` a constant; ``("load", a)`` the word at address a; ``("context",)`` the closure that runs;
``("argument", n)`` the n-th integer argument; ``("field", value, offset)`` the word at an offset from another value
(at most three deep); ``("call", site, target, first argument)`` the first result of a call.
"""


class EventKind(IntEnum):
    """What an ``Event`` tells."""

    CALL = 0
    """A call: ``target`` is the callee, ``values`` its first arguments, ``slots`` the known stack slots."""
    STORE_GLOBAL = 1
    """``values[0]`` is stored at address ``target``."""
    STORE = 2
    """``values[1]`` is stored at ``values[0]`` plus ``target``."""
    LOAD_GLOBAL = 3
    """The word at address ``target`` is loaded."""
    EXCHANGE_GLOBAL = 4
    """The word at address ``target`` is exchanged or added to atomically."""
    COMPARE_GLOBAL = 5
    """The word at address ``target`` is compared."""
    ADDRESS = 6
    """The address ``target`` is made."""


class Event(NamedTuple):
    """One thing that happens in a function, at ``address`` and with the stack ``depth`` bytes deep (from pcsp)."""

    kind: EventKind
    address: int
    target: int
    values: tuple[Value | None, ...] = ()
    slots: Mapping[int, Value] = {}
    depth: int = 0


class Special(IntEnum):
    """Callees that do not follow the calling convention."""

    BARRIER = 0
    """runtime.gcWriteBarrier*: keeps every register but the one with the address of its buffer."""
    DUFF = 1
    """runtime.duffzero, duffcopy (up to Go 1.25): changes the registers of source and destination only."""


class SpecialCallees:
    """Which addresses of a program belong to such callees. duffzero and duffcopy are called at places inside them."""

    def __init__(self, table: FunctionTable) -> None:
        """Look them up by name in ``table``."""
        suffixes = ("", *(str(n) for n in range(1, 9)), "CX", "DX", "BX", "BP", "SI", "R8", "R9")
        names = ["runtime.gcWriteBarrier" + suffix for suffix in suffixes] + ["gcWriteBarrier"]
        self._barriers = frozenset(int(table.entry[i]) for name in names for i in table.indices_of(name))
        found = [i for name in ("runtime.duffzero", "runtime.duffcopy") for i in table.indices_of(name)]
        self._duff = tuple((int(table.entry[i]), table.end_of(i)) for i in found)
        self._lowest = min((low for low, _ in self._duff), default=0)
        self._highest = max((high for _, high in self._duff), default=0)

    def of(self, target: int) -> Special | None:
        """What ``target`` is, None for an ordinary function."""
        if target in self._barriers:
            return Special.BARRIER
        if not self._lowest <= target < self._highest:
            return None
        return Special.DUFF if any(low <= target < high for low, high in self._duff) else None


_MAX_DEEP = 3
_BRANCH, _JUMP, _OTHER, _KILL, _MOVE = Code.BRANCH, Code.JUMP, Code.OTHER, Code.KILL, Code.MOVE
_STORE_STACK, _STACK_ADDRESS = Code.STORE_STACK, Code.STACK_ADDRESS
_MAX_STATES = 4096


def trace(
    machine: Machine,
    ops: list[Op],
    depths: tuple[list[int], list[int]],
    entry: int,
    special: SpecialCallees,
    wanted: Collection[int] | None = None,
) -> list[Event]:
    """Events in ``ops``, the code of the function at ``entry`` or a piece of it, in the order of its code.

    ``depths`` is the function's pcsp table (``FunctionTable.pcvalues``), ``wanted`` the callees whose calls are
    reported (None: all, with the other kinds of events, too: for single functions).
    """
    return _Walk(machine, depths, entry, special, wanted).run(ops)


class _Walk:
    def __init__(
        self,
        machine: Machine,
        depths: tuple[list[int], list[int]],
        entry: int,
        special: SpecialCallees,
        wanted: Collection[int] | None,
    ) -> None:
        self.machine = machine
        self.ends, self.deep = depths
        self.entry = entry
        self.special = special
        self.wanted = wanted
        self.events: list[Event] = []
        self.registers: list[Value | None] = [None] * machine.registers
        self.slots: dict[int, Value] = {}
        self.fixed: dict[int, Value] = {}
        self.reached = True
        self._low = self._high = self._depth = 0

    def depth(self, pc: int) -> int:
        """Of the stack at ``pc``. Most questions are about the same run of code as the one before."""
        offset = pc - self.entry
        if not self._low <= offset < self._high:
            at = bisect_right(self.ends, offset)
            self._low = self.ends[at - 1] if at else 0
            self._high = self.ends[at] if at < len(self.ends) else 1 << 63
            self._depth = self.deep[at] if at < len(self.deep) else 0
        return self._depth

    def run(self, ops: list[Op]) -> list[Event]:
        forward: set[int] = set()
        backward: set[int] = set()
        writes: Counter[int] = Counter()
        for address, _, code, a, b, c in ops:
            if code is _BRANCH or code is _JUMP:
                if a and a != self.entry:
                    # (the jump back to the entry comes after the stack grew: the arguments are what they were)
                    (backward if a <= address else forward).add(a)
            elif code is _STORE_STACK:
                if depth := self.depth(address):
                    # (with no frame there is only the path that saves the arguments before the stack grows)
                    for word in range(a - depth & ~7, a - depth + max(c, 1), 8):
                        writes[word] += 1
            elif code is _STACK_ADDRESS:
                writes[b - self.depth(address) & ~7] += 2
        self.once = {key for key, count in writes.items() if count == 1}
        if ops and ops[0].address == self.entry:
            for number, register in enumerate(self.machine.arguments):
                self.registers[register] = ("argument", number)
            self.registers[self.machine.context] = ("context",)
        saved: dict[int, tuple[list[Value | None], dict[int, Value]]] = {}
        labels = forward | backward
        for op in ops:
            address, _, code, target, source, _ = op
            if address in labels:
                if address in backward:
                    self.registers = [None] * self.machine.registers
                    self.slots = {}
                    self.reached = True
                else:
                    self._meet(saved.pop(address, None))
            elif not self.reached:
                # reached by a jump that is not constant (a table of a switch): nothing is known
                self.registers, self.slots, self.reached = [None] * self.machine.registers, {}, True
            if code is _KILL:
                self.registers[target] = None
            elif code is _MOVE:
                self.registers[target] = self.registers[source]
            elif code is _BRANCH or code is _JUMP:
                if target > address and len(saved) < _MAX_STATES:
                    known = saved.get(target)
                    saved[target] = (
                        (list(self.registers), dict(self.slots))
                        if known is None
                        else _common(known, self.registers, self.slots)
                    )
                if code is _JUMP:
                    self.reached = False
            elif code is not _OTHER:
                _STEPS[code](self, op)
        return self.events

    def _meet(self, arriving: tuple[list[Value | None], dict[int, Value]] | None) -> None:
        if arriving is None:
            if not self.reached:
                self.registers, self.slots = [None] * self.machine.registers, {}
        elif self.reached:
            self.registers, self.slots = _common(arriving, self.registers, self.slots)
        else:
            self.registers, self.slots = arriving
        self.reached = True

    def _event(self, kind: EventKind, op: Op, target: int, *values: Value | None) -> None:
        self.events.append(Event(kind, op.address, target, values))

    def _load_stack(self, op: Op) -> None:
        key = op.b - self.depth(op.address)
        self.registers[op.a] = self.fixed.get(key) or self.slots.get(key)

    def _address(self, op: Op) -> None:
        self.registers[op.a] = ("address", op.b)
        if self.wanted is None:
            self._event(EventKind.ADDRESS, op, op.b)

    def _load_global(self, op: Op) -> None:
        self.registers[op.a] = ("load", op.b)
        if self.wanted is None:
            self._event(EventKind.LOAD_GLOBAL, op, op.b)

    def _store_global(self, op: Op) -> None:
        self._event(EventKind.STORE_GLOBAL, op, op.a, self.registers[op.b] if op.b >= 0 else None)

    def _add(self, op: Op) -> None:
        base = self.registers[op.b]
        if base is not None and base[0] == "address":
            self.registers[op.a] = ("address", int(str(base[1])) + op.c)
            if self.wanted is None:
                self._event(EventKind.ADDRESS, op, int(str(base[1])) + op.c)
        else:
            self.registers[op.a] = None

    def _stack_address(self, op: Op) -> None:
        self.registers[op.a] = None
        self.slots.pop(op.b - self.depth(op.address), None)

    def _stop(self, _: Op) -> None:
        self.reached = False

    def _store_stack(self, op: Op) -> None:
        key = op.a - self.depth(op.address)
        value = self.registers[op.b] if op.b >= 0 else None
        for word in range(key & ~7, key + max(op.c, 1), 8):
            self.slots.pop(word, None)
        if value is None or key & 7:
            return
        self.slots[key] = value
        if key in self.once:
            self.fixed[key] = value

    def _load(self, op: Op) -> None:
        base = self.registers[op.b]
        if base is None:
            self.registers[op.a] = None
        elif base[0] == "address":
            self.registers[op.a] = ("load", int(str(base[1])) + op.c)
            if self.wanted is None:
                self._event(EventKind.LOAD_GLOBAL, op, int(str(base[1])) + op.c)
        else:
            self.registers[op.a] = ("field", base, op.c) if _deep(base) < _MAX_DEEP else None

    def _store(self, op: Op) -> None:
        base = self.registers[op.a]
        value = self.registers[op.c] if op.c >= 0 else None
        if base is not None and base[0] == "address":
            self._event(EventKind.STORE_GLOBAL, op, int(str(base[1])) + op.b, value)
        elif base is not None and value is not None:
            self._event(EventKind.STORE, op, op.b, base, value)

    def _call(self, op: Op) -> None:
        special = self.special.of(op.a)
        if special is Special.BARRIER:
            self.registers[self.machine.barrier_register] = None
            return
        if special is Special.DUFF:
            for register in self.machine.scratch:
                self.registers[register] = None
            return
        values = tuple(self.registers[register] for register in self.machine.arguments[:5])
        if self.wanted is None or op.a in self.wanted:
            slots = {**self.slots, **self.fixed}
            self.events.append(Event(EventKind.CALL, op.address, op.a, values, slots, self.depth(op.address)))
        first = values[0] if values[0] is not None and values[0][0] == "address" else None
        self.registers = [None] * self.machine.registers
        self.registers[self.machine.arguments[0]] = ("call", op.address, op.a, first)

    def _atomic(self, op: Op) -> None:
        if self.wanted is not None:
            return
        if op.code is Code.EXCHANGE_GLOBAL:
            self._event(EventKind.EXCHANGE_GLOBAL, op, op.a)
        elif op.code is Code.COMPARE_GLOBAL:
            self._event(EventKind.COMPARE_GLOBAL, op, op.a)
        elif op.code is Code.EXCHANGE:
            base = self.registers[op.a]
            if base is not None and base[0] == "address":
                self._event(EventKind.EXCHANGE_GLOBAL, op, int(str(base[1])))


_STEPS: dict[Code, Callable[[_Walk, Op], None]] = {
    Code.LOAD_STACK: _Walk._load_stack,
    Code.STORE_STACK: _Walk._store_stack,
    Code.LOAD: _Walk._load,
    Code.ADDRESS: _Walk._address,
    Code.LOAD_GLOBAL: _Walk._load_global,
    Code.STORE_GLOBAL: _Walk._store_global,
    Code.STORE: _Walk._store,
    Code.CALL: _Walk._call,
    Code.ADD: _Walk._add,
    Code.STACK_ADDRESS: _Walk._stack_address,
    Code.STOP: _Walk._stop,
    Code.EXCHANGE: _Walk._atomic,
    Code.EXCHANGE_GLOBAL: _Walk._atomic,
    Code.COMPARE_GLOBAL: _Walk._atomic,
}
"""What an operation changes; the few that are half of all are not here but in ``run``."""


def _deep(value: Value) -> int:
    count = 0
    while value[0] == "field" and isinstance(value[1], tuple):
        value = value[1]
        count += 1
    return count


def _common(
    one: tuple[list[Value | None], dict[int, Value]], registers: list[Value | None], slots: dict[int, Value]
) -> tuple[list[Value | None], dict[int, Value]]:
    """What two states agree on."""
    both = [a if a == b else None for a, b in zip(one[0], registers, strict=True)]
    return both, {key: value for key, value in one[1].items() if slots.get(key) == value}
