"""What the walk knows of types, unpacked from a TypeTable into what plain Python reads fast."""

from __future__ import annotations

from typing import Any, Final

from mapscope._kernels.reference.memory import U64

_HASH: Final = 0x9E3779B97F4A7C15

OP_NONE: Final = 0
OP_PTR: Final = 1
OP_FILL: Final = 2
OP_EFACE: Final = 3
OP_IFACE: Final = 4
OP_FUNC: Final = 5
OP_SWISSDIR: Final = 6
OP_TRIENODE: Final = 7
"""Low byte of a descriptor; the rest is a type id. ``Op`` in goruntime/typetable.py says what each means."""

COVER_NONE: Final = 0
COVER_ELEM: Final = 1
COVER_FILL: Final = 2
COVER_HEADER: Final = 3
"""How a type covers its slot: not at all, one value at the start, an array over the slot, the runtime's type word."""


def hashed(key: int) -> int:
    """Where the search for ``key`` starts in a hash table of the walk, before its size is applied."""
    return (key * _HASH & U64) >> 20


class TypeView:
    """The arrays of a frozen TypeTable; see :func:`mapscope._kernels.reference.trace.trace` for their shapes."""

    def __init__(self, types: Any) -> None:
        self.offsets = memoryview(types.offsets)
        self.words = memoryview(types.words)
        self.iface = memoryview(types.iface)
        self.pseudo = memoryview(types.pseudo)
        self.descriptors = memoryview(types.descriptors)
        self.hash_keys = memoryview(types.hash_keys)
        self.hash_values = memoryview(types.hash_values)
        self.types_range: tuple[int, int] = types.types_range
        self.text_range: tuple[int, int] = types.text_range
        self.module_range: tuple[int, int] = types.module_range

    def lookup(self, key: int) -> int:
        """Type id of a descriptor's, itab's or closure entry's address; -1 unknown, -2 known to be no type."""
        mask = len(self.hash_keys) - 1
        at = hashed(key)
        for step in range(mask + 1):
            here = at + step & mask
            if self.hash_keys[here] == key:
                return int(self.hash_values[here])
            if self.hash_keys[here] == 0:
                break
        return -1

    def descriptors_of(self, type_id: int) -> tuple[int, int]:
        """Where the descriptors of a type start, and how many there are."""
        return (self.offsets[type_id], max(0, self.words[type_id])) if type_id >= 0 else (0, 0)

    def in_text(self, address: int) -> bool:
        """Whether ``address`` is code."""
        return self.text_range[0] <= address < self.text_range[1]
