"""Package-level variables by address: from DWARF, else from symbols, else single words of ``.data`` and ``.bss``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.binary.symbols import SymbolTable
from mapscope.goruntime.dwarftypes import Variable
from mapscope.goruntime.process import Process

U8 = npt.NDArray[np.uint64]

_STT_OBJECT = 1
_MAX_SIZE = 1 << 40


class Static(Struct, frozen=True):
    """A variable, or a word that no name is known for. ``offset``: of the address that was asked for, in bytes."""

    address: int
    offset: int
    name: str | None
    """None in a stripped executable."""
    type_name: str | None
    type_id: int
    section: str
    """``data``, ``bss``, ``noptrdata`` or ``noptrbss``; in a plugin with the name of its file before it."""
    section_offset: int


class Statics:
    """Where the variables of a process lie."""

    def __init__(self, process: Process, variables: list[Variable]) -> None:
        """``variables``: those that DWARF names."""
        self._variables = variables
        files = {one.module.address: f"{one.name}:" for one in process.plugins}
        self._sections = [
            (files.get(module.address, "") + name, low, high)
            for module in process.modules
            for name, low, high in (
                ("noptrdata", module.noptrdata, module.enoptrdata),
                ("data", module.data, module.edata),
                ("bss", module.bss, module.ebss),
                ("noptrbss", module.noptrbss, module.enoptrbss),
            )
            if low < high
        ]
        self._symbols = [(process.executable.elf.symbols, process.bias)]
        self._symbols += [(one.elf.symbols, one.bias) for one in process.plugins]
        starts = [np.array([v.address for v in variables], dtype=np.uint64)]
        sizes = [_sizes([v.size for v in variables])]
        # number of the variable, or -1 - number of the symbol, those of all tables counted through
        whiches = [np.arange(len(variables), dtype=np.int64)]
        before = 0
        for table, bias in self._symbols:
            symbols, places = self._symbol_places(table, bias)
            starts.append(places)
            sizes.append(table.size[symbols])
            whiches.append(-1 - before - symbols)
            before += len(table)
        start, size, which = np.concatenate(starts), np.concatenate(sizes), np.concatenate(whiches)
        order = np.lexsort((which < 0, start))
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = start[order][1:] != start[order][:-1]
        order = order[first]
        self._start, self._which = start[order], which[order]
        self._end = self._start + np.minimum(size[order], np.uint64(_MAX_SIZE))

    def _symbol_places(self, table: SymbolTable, bias: int) -> tuple[npt.NDArray[np.int64], U8]:
        """Symbols of data in the sections of variables, and their addresses in the process."""
        address = table.value + np.uint64(bias & (1 << 64) - 1)
        inside = np.zeros(len(table), dtype=np.bool_)
        for _, low, high in self._sections:
            inside |= (address >= low) & (address < high)
        found = np.flatnonzero(inside & (table.size > 0) & (table.info & 15 <= _STT_OBJECT) & (table.shndx != 0))
        return found, address[found]

    def starts(self, addresses: U8) -> tuple[U8, npt.NDArray[np.bool_]]:
        """Start of the variable (or word) that holds each address, and whether it lies in static data at all."""
        inside = np.zeros(len(addresses), dtype=np.bool_)
        for _, low, high in self._sections:
            inside |= (addresses >= low) & (addresses < high)
        out = addresses & ~np.uint64(7)
        if len(self._start):
            at = np.maximum(np.searchsorted(self._start, addresses, side="right") - 1, 0)
            known = (addresses >= self._start[at]) & (addresses < self._end[at])
            out = np.where(known, self._start[at], out)
        return out, inside

    def at(self, address: int) -> Static | None:
        """What lies at an address; None when it is not in static data."""
        section = next((s for s in self._sections if s[1] <= address < s[2]), None)
        if section is None:
            return None
        start = int(self.starts(np.array([address], dtype=np.uint64))[0][0])
        name, type_name, type_id = None, None, -1
        at = int(np.searchsorted(self._start, np.uint64(start)))
        if at < len(self._start) and int(self._start[at]) == start and address < int(self._end[at]):
            which = int(self._which[at])
            if which >= 0:
                variable = self._variables[which]
                name, type_name, type_id = variable.name, variable.type_name, variable.type_id
            else:
                name = self._symbol_name(-1 - which)
        return Static(start, address - start, name or None, type_name, type_id, section[0], start - section[1])

    def _symbol_name(self, number: int) -> str:
        """Name of a symbol, counted through all tables."""
        for table, _ in self._symbols:
            if number < len(table):
                return table.name(number)
            number -= len(table)
        return ""


def _sizes(sizes: list[int]) -> U8:
    return np.array([min(max(size, 1), _MAX_SIZE) for size in sizes], dtype=np.uint64)
