"""Who uses a variable that has no name: the functions whose code refers to its address.

For stripped executables. The text is searched once for LEA and MOV with an operand relative to the program counter
(ADRP with ADD, LDR or STR on arm64); nothing is decoded, so a reference may be bytes inside another instruction.
What is shown is the function that refers most often, and chance hits do not. The code of plugins takes the addresses of
variables from a table (cmd/compile -dynlink: the GOT): there, reading an entry of that table is the reference.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.arrays import unique
from mapscope.binary.moduledata import ModuleData
from mapscope.binary.pclntab import FunctionTable
from mapscope.binary.textcode import TextCode
from mapscope.goruntime.code import Code
from mapscope.goruntime.process import Process

U8 = npt.NDArray[np.uint64]

_MAX_TEXT = 1 << 29
_MAX_TABLE = 1 << 24
_GOT = ".got"
_NEAR = 1 << 16
"""How far below the nearest start of a variable is looked for where nothing refers to the address itself."""


class _References(Struct, frozen=True):
    """Of one module. ``starts``: the distinct targets of address constants, in ascending order."""

    target: U8
    """In ascending order."""
    site: U8
    """The instruction of each."""
    starts: U8
    functions: FunctionTable


class TextReferences:
    """References from the text to static data. Addresses are of the process."""

    def __init__(self, process: Process, code: Code) -> None:
        """Nothing is read before the first question."""
        self._process = process
        self._code = code
        self._known: dict[int, _References | None] = {}

    def users(self, address: int, most: int = 3) -> tuple[str, ...]:
        """Functions that refer to the address: by how often, those of the runtime and initialisers last."""
        found = self._references(address)
        if found is None:
            return ()
        target, site, starts = found.target, found.site, found.starts
        low, high = np.searchsorted(target, [np.uint64(address), np.uint64(address + 8)])
        if low == high and len(starts):
            at = int(np.searchsorted(starts, np.uint64(address), side="right")) - 1
            if at >= 0 and address - int(starts[at]) < _NEAR:
                low, high = np.searchsorted(target, starts[at : at + 1].repeat(2) + np.array([0, 1], np.uint64))
        if low == high:
            return ()
        table = found.functions
        indices = table.find_many(site[low:high])
        counts = Counter(name for index in indices[indices >= 0].tolist() if (name := table.name(index)))
        ranked = sorted(counts.items(), key=lambda item: (_is_background(item[0]), -item[1], item[0]))
        return tuple(name for name, _ in ranked[:most])

    def _references(self, address: int) -> _References | None:
        """Those of the module whose data hold the address."""
        for number, (module, functions) in enumerate(self._code.tables):
            if min(module.noptrdata, module.data) <= address < module.end:
                if number not in self._known:
                    self._known[number] = self._read(module, functions)
                return self._known[number]
        return None

    def _read(self, module: ModuleData, functions: FunctionTable) -> _References | None:
        data = self._text(module)
        if data is None:
            return None
        code = TextCode(data, module.text, self._process.executable.arch)
        low, high = min(module.noptrdata, module.data), module.end
        made = code.addresses(low, high)
        parts = [made, code.loads(low, high), code.stores(low, high)]
        targets, sites, starts = [part.target for part in parts], [part.site for part in parts], [made.target]
        for start, end in self._tables(module):
            loads, words = code.loads(start, end), self._process.memory.words(start, (end - start) // 8)
            if words is not None and len(loads.target):
                whole = loads.target % 8 == 0
                named = words[((loads.target[whole] - np.uint64(start)) // np.uint64(8)).astype(np.int64)]
                targets.append(named)
                starts.append(named[(named >= np.uint64(low)) & (named < np.uint64(high))])
                sites.append(loads.site[whole])
        target, site = np.concatenate(targets), np.concatenate(sites)
        inside = (target >= np.uint64(low)) & (target < np.uint64(high))
        target, site = target[inside], site[inside]
        order = np.argsort(target, kind="stable")
        return _References(target[order], site[order], unique(np.concatenate(starts)), functions)

    def _text(self, module: ModuleData) -> bytes | memoryview | None:
        """The code, without a copy where it lies in one piece."""
        memory, size = self._process.memory, min(module.etext - module.text, _MAX_TEXT)
        try:
            return memory.view(module.text, size).data
        except ValueError:
            return memory.read(module.text, size)

    def _tables(self, module: ModuleData) -> list[tuple[int, int]]:
        """Where a plugin's tables of addresses lie: section ``.got``."""
        for one in self._process.plugins:
            section = one.elf.sections.get(_GOT)
            if one.module.address == module.address and section is not None and section.size <= _MAX_TABLE:
                return [(section.addr + one.bias, section.addr + one.bias + section.size // 8 * 8)]
        return []


def _is_background(name: str) -> bool:
    """Functions that say little about a variable: the runtime's, and what sets package variables up."""
    return name.startswith(("runtime.", "runtime/", "go:")) or name.endswith(".init") or ".init." in name
