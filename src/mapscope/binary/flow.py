"""A light dataflow over the operations of one function: what constants and globals reach calls and stores.

It is conservative: where two ways meet, only what both agree on stays; at the head of a loop, registers are forgotten,
and stack slots too unless the whole function writes them once. Values name where a word came from; they are no numbers
to compute with. The work is done by a kernel (see _kernels/reference/flow.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load
from mapscope.arrays import unique
from mapscope.binary.machine import Machine, Ops
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
    """A call: ``target`` is the callee, ``values`` its first arguments, ``slots`` the stack slots that hold one."""
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


_ROOM = 4096
_REPORTED = 5
_VALUES = {EventKind.STORE_GLOBAL: 1, EventKind.STORE: 2}
"""How many values an event has; a call has one for each argument."""
_KINDS = tuple(EventKind)
_NO_SLOTS: Mapping[int, Value] = {}
_NONE = np.zeros(0, np.int64)
_CONSTANT, _WORD, _CONTEXT, _ARGUMENT, _FIELD = range(5)  # kinds of values in _kernels/reference/flow.py


def addresses(numbers: Iterable[int]) -> npt.NDArray[np.int64]:
    """Addresses as ``Tracer.trace`` and its kernel want them: sorted, each once, signed."""
    return unique(np.array(list(numbers), np.uint64).view(np.int64))


class SpecialCallees:
    """Which addresses of a program belong to callees that do not follow the calling convention.

    ``barriers``: runtime.gcWriteBarrier*, which keep every register but the one with the address of their buffer.
    ``duffs``: duffzero and duffcopy (up to Go 1.25), which are called at places inside them and change the registers of
    source and destination only; rows of begin and end.
    """

    def __init__(self, table: FunctionTable) -> None:
        """Look them up by name in ``table``."""
        suffixes = ("", *(str(n) for n in range(1, 9)), "CX", "DX", "BX", "BP", "SI", "R8", "R9")
        names = ["runtime.gcWriteBarrier" + suffix for suffix in suffixes] + ["gcWriteBarrier"]
        self.barriers = addresses(int(table.entry[i]) for name in names for i in table.indices_of(name))
        found = [i for name in ("runtime.duffzero", "runtime.duffcopy") for i in table.indices_of(name)]
        ranges = [(int(table.entry[i]), table.end_of(i)) for i in found]
        self.duffs = np.array(ranges, np.uint64).view(np.int64).reshape(-1, 2)


class Tracer:
    """Follows functions of one program, one after the other. Attributes are what the kernel reads and fills."""

    def __init__(self, machine: Machine, special: SpecialCallees) -> None:
        """``special``: those of the program."""
        self._kernel = load("flow")
        self.registers, self.context, self.barrier = machine.registers, machine.context, machine.barrier_register
        self.arguments, self.scratch = np.array(machine.arguments, np.int64), np.array(machine.scratch, np.int64)
        self.barriers, self.duffs = special.barriers, special.duffs
        self.wanted, self.every = np.zeros(0, np.int64), False
        self.nevents = self.nvalues = self.nheld = 0
        self._make_room(_ROOM)

    def _make_room(self, most: int) -> None:
        self.events = np.empty((most, 9), np.int64)
        self.values = np.empty((most + len(self.arguments) + 1, 4), np.int64)
        self.held = np.empty((4 * most, 3), np.int64)

    def trace(
        self, ops: Ops, depths: tuple[Sequence[int], Sequence[int]], entry: int, wanted: npt.NDArray[np.int64] | None
    ) -> list[Event]:
        """Events in ``ops``, the code of the function at ``entry`` or a piece of it, in the order of its code.

        ``depths`` is the function's pcsp table (``FunctionTable.pcvalues``), ``wanted`` the callees whose calls are
        reported, as ``addresses`` gives them (None: all, with the other kinds of events, too: for single functions).
        """
        if len(ops) > len(self.events):
            self._make_room(2 * len(ops))
        self.every, self.wanted = wanted is None, _NONE if wanted is None else wanted
        ends, deep = (np.array(column, np.int64) for column in depths)
        self._kernel.trace(ops, ends, deep, entry - (1 << 64) if entry >> 63 else entry, self)
        return self._told() if self.nevents else []

    def _told(self) -> list[Event]:
        """What the kernel wrote, in words."""
        values: list[Value | None] = []
        for kind, x, y, z in self.values[: self.nvalues].tolist():
            values.append(
                ("address", x) if kind == _CONSTANT
                else ("load", x) if kind == _WORD
                else ("context",) if kind == _CONTEXT
                else ("argument", x) if kind == _ARGUMENT
                else ("field", values[x], y) if kind == _FIELD
                else ("call", x, y, None if z < 0 else values[z])
            )  # fmt: skip
        values.append(None)  # for -1
        slots: dict[int, dict[int, Value]] = {}
        for event, key, value in self.held[: self.nheld].tolist():
            slots.setdefault(event, {})[key] = values[value]
        events = []
        for row, (kind, address, target, depth, *found) in enumerate(self.events[: self.nevents].tolist()):
            count = min(len(self.arguments), _REPORTED) if kind == EventKind.CALL else _VALUES.get(kind, 0)
            told = tuple(values[one] for one in found[:count])
            events.append(Event(_KINDS[kind], address, target, told, slots.get(row, _NO_SLOTS), depth))
        return events
