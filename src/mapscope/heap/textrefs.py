"""Who uses a variable that has no name: the functions whose code refers to its address.

For stripped executables. The text is searched once for LEA and MOV with an operand relative to the program counter
(ADRP with ADD, LDR or STR on arm64); nothing is decoded, so a reference may be bytes inside another instruction.
What is shown is the function that refers most often, and chance hits do not.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mapscope.binary.textcode import TextCode
from mapscope.goruntime.process import Process

_MAX_TEXT = 1 << 29
_NEAR = 1 << 16
"""How far below the nearest start of a variable is looked for where nothing refers to the address itself."""


class TextReferences:
    """References from the text to static data. Addresses are of the process."""

    def __init__(self, process: Process) -> None:
        """Nothing is read before the first question."""
        self._process = process

    def users(self, address: int, most: int = 3) -> tuple[str, ...]:
        """Functions that refer to the address: by how often, those of the runtime and initialisers last."""
        target, site, sorted_starts = self._references
        static = address - self._process.bias
        low, high = np.searchsorted(target, [np.uint64(static), np.uint64(static + 8)])
        if low == high and len(sorted_starts):
            at = int(np.searchsorted(sorted_starts, np.uint64(static), side="right")) - 1
            if at >= 0 and static - int(sorted_starts[at]) < _NEAR:
                low, high = np.searchsorted(target, sorted_starts[at : at + 1].repeat(2) + np.array([0, 1], np.uint64))
        if low == high:
            return ()
        table = self._process.executable.functions
        found = table.find_many(site[low:high])
        counts = Counter(name for index in found[found >= 0].tolist() if (name := table.name(index)))
        ranked = sorted(counts.items(), key=lambda item: (_is_background(item[0]), -item[1], item[0]))
        return tuple(name for name, _ in ranked[:most])

    @cached_property
    def _references(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Targets in ascending order, the instruction of each, and the distinct targets of address constants."""
        exe = self._process.executable
        module = exe.module
        none = np.zeros(0, dtype=np.uint64)
        data = exe.image.view(module.text, min(module.etext - module.text, _MAX_TEXT))
        if data is None:
            return none, none, none
        code = TextCode(data, module.text, exe.arch)
        low, high = min(module.noptrdata, module.data), module.end
        made = code.addresses(low, high)
        parts = [made, code.loads(low, high), code.stores(low, high)]
        target = np.concatenate([part.target for part in parts])
        order = np.argsort(target, kind="stable")
        return target[order], np.concatenate([part.site for part in parts])[order], np.unique(made.target)


def _is_background(name: str) -> bool:
    """Functions that say little about a variable: the runtime's, and what sets package variables up."""
    return name.startswith(("runtime.", "runtime/")) or name.endswith(".init") or ".init." in name
