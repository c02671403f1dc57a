"""Follows the operations of one function: what constants, globals and arguments reach its calls and stores.

The plain version of _flow.pyx. What the operations mean is said in mapscope/binary/machine.py (``Code``), what is found
in mapscope/binary/flow.py (``EventKind``, ``Value``). Numbers are taken modulo 2^64, as signed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

(
    MOVE, ADDRESS, ADD, LOAD, LOAD_GLOBAL, LOAD_STACK, STORE, STORE_GLOBAL, STORE_STACK, STACK_ADDRESS, KILL, CALL,
    JUMP, BRANCH, STOP, EXCHANGE, EXCHANGE_GLOBAL, COMPARE_GLOBAL, OTHER,
) = range(19)  # fmt: skip
"""Operations."""
CALLED, STORED_GLOBAL, STORED, LOADED_GLOBAL, EXCHANGED, COMPARED, MADE = range(7)
"""Kinds of events."""
CONSTANT, WORD, CONTEXT, ARGUMENT, FIELD, RESULT = range(6)
"""Kinds of values: an address; the word at one; the closure that runs; the argument of a number; the word at an offset
(third column) from another value (second column), so many deep (fourth); what the call at an address (second) of
another (third) with such a first argument (fourth, -1: not known) gave."""
NO_VALUE = -1
EVENT, VALUE, HELD = 9, 4, 3
"""Columns of the outputs. An event: kind, address, target, depth, five values (numbers of rows). Held: number of the
event, offset of the slot, value."""
MAX_STATES = 4096
"""Places ahead whose state is kept; of what jumps to others nothing is known there."""
MAX_SLOTS = 4096
"""Slots of a frame that are followed: the ones nearest to its lowest address."""
_DEEPEST, _WIDEST, _ARGUMENTS = 3, 64, 5
_SIGN, _ALL = 1 << 63, (1 << 64) - 1

State = tuple[list[int], dict[int, int]]


def trace(
    ops: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], deep: npt.NDArray[np.int64], entry: int, w: Any
) -> None:
    """Fills the outputs of ``w`` with what happens in ``ops`` (rows: address, end, code, a, b, c, by address).

    ``ends``, ``deep``: until which offsets from ``entry`` the stack is how deep. ``w``: of the machine ``registers``
    (how many), ``arguments``, ``scratch`` (int64), ``context``, ``barrier``; of the program ``barriers``, ``wanted``
    (int64, sorted), ``duffs`` (int64, rows of begin and end), ``every`` (report all, not calls of ``wanted`` and stores
    alone); outputs ``events``, ``values``, ``held`` (int64, tables) with their fill ``nevents``, ``nvalues``,
    ``nheld``. There must be room for an event for each operation, and for a value for each, each argument and one more;
    slots that no longer fit are left out.
    """
    _Walk(ends.tolist(), deep.tolist(), entry, w).run([tuple(row) for row in ops.tolist()])


def _signed(number: int) -> int:
    return ((number & _ALL) ^ _SIGN) - _SIGN


class _Walk:
    def __init__(self, ends: list[int], deep: list[int], entry: int, w: Any) -> None:
        self.ends, self.deep, self.entry, self.w = ends, deep, entry, w
        self.barriers, self.wanted = set(w.barriers.tolist()), set(w.wanted.tolist())
        self.known: dict[tuple[int, int, int, int], int] = {}
        self.run_of_code = 1, 0, 0
        """Offsets from the entry, and how deep the stack is there; none yet."""
        self.registers = [NO_VALUE] * w.registers
        self.slots: dict[int, int] = {}
        self.fixed: dict[int, int] = {}
        w.nevents = w.nvalues = w.nheld = 0

    def run(self, ops: list[tuple[int, ...]]) -> None:
        w, there = self.w, {op[0] for op in ops}
        forward: set[int] = set()
        backward: set[int] = set()
        for address, _, code, a, *_ in ops:
            # (the jump back to the entry comes after the stack grew: the arguments are what they were)
            if code in (BRANCH, JUMP) and a and a != self.entry and a in there:
                (backward if a <= address else forward).add(a)
        self._find_slots(ops)
        if ops and ops[0][0] == self.entry:
            for number, register in enumerate(w.arguments.tolist()):
                self._set(register, self._value(ARGUMENT, number))
            self._set(w.context, self._value(CONTEXT))
        saved: dict[int, State | None] = {}
        reached = True
        for op in ops:
            address, _, code, a, b, _ = op
            if address in backward:
                self._forget()
            elif address in forward and address in saved:
                arriving = saved.pop(address)
                if arriving is None:
                    self._forget()
                else:
                    self.registers, self.slots = self._common(arriving) if reached else arriving
            elif not reached:
                # by a jump that is not constant (a table of a switch)
                self._forget()
            reached = True
            if code in (BRANCH, JUMP):
                if a > address and a in forward and a not in backward:
                    known = saved.get(a)
                    if known is not None:
                        saved[a] = self._common(known)
                    elif a not in saved:
                        full = sum(one is not None for one in saved.values()) >= MAX_STATES
                        saved[a] = None if full else (list(self.registers), dict(self.slots))
                reached = code == BRANCH
            elif code == STOP:
                reached = False
            elif code == MOVE:
                self._set(a, self._get(b))
            elif code == KILL:
                self._set(a, NO_VALUE)
            elif code != OTHER:
                self._step(op)

    def _find_slots(self, ops: list[tuple[int, ...]]) -> None:
        """Which slots are followed, and which of them are written once only."""
        writes: Counter[int] = Counter()
        keys: set[int] = set()
        for address, _, code, a, b, c in ops:
            if code == STORE_STACK:
                depth = self._depth(address)
                key = _signed(a - depth)
                if b >= 0 and not key & 7:
                    keys.add(key)
                if depth:
                    # (with no frame there is only the path that saves the arguments before the stack grows)
                    writes.update(self._words(key, c))
            elif code == STACK_ADDRESS:
                writes[_signed(b - self._depth(address)) & ~7] += 2
        self.keys = set(sorted(keys)[:MAX_SLOTS])
        self.once = {key for key in self.keys if writes[key] == 1}

    @staticmethod
    def _words(key: int, width: int) -> range:
        """The words that a write touches."""
        return range(key & ~7, key + min(max(width, 1), _WIDEST), 8)

    def _depth(self, address: int) -> int:
        """Of the stack. Most questions are about the same run of code as the one before."""
        offset = address - self.entry
        low, high, depth = self.run_of_code
        if not low <= offset < high:
            at = bisect_right(self.ends, offset)
            depth = self.deep[at] if at < len(self.deep) else 0
            low = self.ends[at - 1] if at else -_SIGN
            self.run_of_code = low, self.ends[at] if at < len(self.ends) else _SIGN, depth
        return depth

    def _forget(self) -> None:
        self.registers, self.slots = [NO_VALUE] * self.w.registers, {}

    def _common(self, one: State) -> State:
        """What a state and the present one agree on."""
        both = [a if a == b else NO_VALUE for a, b in zip(one[0], self.registers, strict=True)]
        return both, {key: value for key, value in one[1].items() if self.slots.get(key) == value}

    def _get(self, register: int) -> int:
        return self.registers[register] if 0 <= register < self.w.registers else NO_VALUE

    def _set(self, register: int, value: int) -> None:
        if 0 <= register < self.w.registers:
            self.registers[register] = value

    def _value(self, *parts: int) -> int:
        """The row of a value, which is made when it is new."""
        kind, x, y, z = (*map(_signed, parts), 0, 0, 0)[:VALUE]
        row = (kind, x, y, z)
        found = self.known.get(row)
        if found is None:
            found = self.known[row] = self.w.nvalues
            self.w.values[found] = row
            self.w.nvalues += 1
        return found

    def _event(self, kind: int, op: tuple[int, ...], target: int, values: tuple[int, ...] = (), depth: int = 0) -> None:
        padded = (*values, *[NO_VALUE] * _ARGUMENTS)[:_ARGUMENTS]
        self.w.events[self.w.nevents] = kind, op[0], _signed(target), depth, *padded
        self.w.nevents += 1

    def _address_in(self, register: int) -> int | None:
        """The constant in a register."""
        value = self._get(register)
        return int(self.w.values[value, 1]) if value >= 0 and self.w.values[value, 0] == CONSTANT else None

    def _step(self, op: tuple[int, ...]) -> None:
        address, _, code, a, b, c = op
        every = bool(self.w.every)
        if code == ADDRESS:
            self._set(a, self._value(CONSTANT, b))
            if every:
                self._event(MADE, op, b)
        elif code == ADD:
            base = self._address_in(b)
            self._set(a, NO_VALUE if base is None else self._value(CONSTANT, base + c))
            if every and base is not None:
                self._event(MADE, op, base + c)
        elif code == LOAD:
            self._load(op, every)
        elif code == LOAD_GLOBAL:
            self._set(a, self._value(WORD, b))
            if every:
                self._event(LOADED_GLOBAL, op, b)
        elif code == LOAD_STACK:
            key = _signed(b - self._depth(address))
            self._set(a, self.fixed.get(key, self.slots.get(key, NO_VALUE)))
        elif code == STORE:
            base, value = self._address_in(a), self._get(c)
            if base is not None:
                self._event(STORED_GLOBAL, op, base + b, (value,))
            elif self._get(a) >= 0 and value >= 0:
                self._event(STORED, op, b, (self._get(a), value))
        elif code == STORE_GLOBAL:
            self._event(STORED_GLOBAL, op, a, (self._get(b),))
        elif code == STORE_STACK:
            self._store_stack(op)
        elif code == STACK_ADDRESS:
            self._set(a, NO_VALUE)
            self.slots.pop(_signed(b - self._depth(address)), None)
        elif code == CALL:
            self._call(op, every)
        elif every:
            self._atomic(op)

    def _load(self, op: tuple[int, ...], every: bool) -> None:
        _, _, _, a, b, c = op
        base, made = self._get(b), NO_VALUE
        if base >= 0 and (at := self._address_in(b)) is not None:
            made = self._value(WORD, at + c)
            if every:
                self._event(LOADED_GLOBAL, op, at + c)
        elif base >= 0:
            deep = int(self.w.values[base, 3]) if self.w.values[base, 0] == FIELD else 0
            if deep < _DEEPEST:
                made = self._value(FIELD, base, c, deep + 1)
        self._set(a, made)

    def _store_stack(self, op: tuple[int, ...]) -> None:
        address, _, _, a, b, c = op
        key, value = _signed(a - self._depth(address)), self._get(b)
        for word in self._words(key, c):
            self.slots.pop(word, None)
        if value >= 0 and key in self.keys:
            self.slots[key] = value
            if key in self.once:
                self.fixed[key] = value

    def _call(self, op: tuple[int, ...], every: bool) -> None:
        w, (address, _, _, target, _, _) = self.w, op
        if target in self.barriers:
            self._set(w.barrier, NO_VALUE)
            return
        if any(low <= target < high for low, high in w.duffs.tolist()):
            for register in w.scratch.tolist():
                self._set(register, NO_VALUE)
            return
        values = tuple(self._get(register) for register in w.arguments.tolist()[:_ARGUMENTS])
        if every or target in self.wanted:
            for key, value in sorted({**self.slots, **self.fixed}.items()):
                if value in values and w.nheld < len(w.held):
                    w.held[w.nheld] = w.nevents, key, value
                    w.nheld += 1
            self._event(CALLED, op, target, values, self._depth(address))
        first = values[0] if values and values[0] >= 0 and w.values[values[0], 0] == CONSTANT else NO_VALUE
        self.registers = [NO_VALUE] * w.registers
        if len(w.arguments):
            self._set(int(w.arguments[0]), self._value(RESULT, address, target, first))

    def _atomic(self, op: tuple[int, ...]) -> None:
        _, _, code, a, _, _ = op
        if code == EXCHANGE_GLOBAL:
            self._event(EXCHANGED, op, a)
        elif code == COMPARE_GLOBAL:
            self._event(COMPARED, op, a)
        elif code == EXCHANGE and (base := self._address_in(a)) is not None:
            self._event(EXCHANGED, op, base)
