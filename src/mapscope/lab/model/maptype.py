"""The type of a map: what the compiler writes into its descriptor (cmd/compile/internal/reflectdata, abi.MapType)."""

from __future__ import annotations

from dataclasses import dataclass

from mapscope.errors import UsageError

SLOTS = 8
"""Slots of a bucket (``abi.MapBucketCount``) and of a group (``abi.MapGroupSlots``)."""
INLINE_BYTES = 128
"""Larger keys and elems are held by pointer (``abi.MapMaxKeyBytes``, ``abi.MapMaxElemBytes``)."""
WORD = 8


@dataclass(frozen=True, slots=True)
class MapType:
    """Key and elem of a map. Sizes and alignments in bytes, from 1 on; ``*_pointers``: the type holds pointers.

    Raises :class:`UsageError` for sizes that no model knows.
    """

    key_size: int = 8
    elem_size: int = 8
    key_pointers: bool = False
    elem_pointers: bool = False
    key_align: int = 8
    elem_align: int = 8
    needkeyupdate: bool = False
    """An update stores the key again: strings, floats and interfaces (cmd/compile/internal/types, needkeyupdate)."""

    fast_key: bool = True
    """The compiler has functions of their own for such keys: words of 32 and 64 bits without padding, and strings, but
    no floats (mapfast in cmd/compile/internal/walk/walk.go)."""

    def __post_init__(self) -> None:
        sizes = (self.key_size, self.elem_size)
        aligns = (self.key_align, self.elem_align)
        fits = all(align in (1, 2, 4, 8) and size % align == 0 for size, align in zip(sizes, aligns, strict=True))
        if not all(0 < size <= 1 << 16 for size in sizes) or not fits:
            raise UsageError(
                f"no model for keys of {self.key_size} and elems of {self.elem_size} bytes",
                "sizes are from 1 to 65536 and multiples of their alignment (1, 2, 4 or 8)",
            )

    @property
    def indirectkey(self) -> bool:
        """The slot holds a pointer to the key."""
        return self.key_size > INLINE_BYTES

    @property
    def indirectelem(self) -> bool:
        """The slot holds a pointer to the elem."""
        return self.elem_size > INLINE_BYTES

    @property
    def mapfast(self) -> bool:
        """Whether the compiled program assigns by mapassign_fast32, fast64 or faststr, and not by mapassign."""
        return self.fast_key and not self.indirectkey and not self.indirectelem

    @property
    def KeySize(self) -> int:
        """Bytes of a key's slot."""
        return WORD if self.indirectkey else self.key_size

    @property
    def ValueSize(self) -> int:
        """Bytes of an elem's slot."""
        return WORD if self.indirectelem else self.elem_size

    @property
    def slot_key_pointers(self) -> bool:
        """Whether a key's slot holds pointers."""
        return self.key_pointers or self.indirectkey

    @property
    def slot_elem_pointers(self) -> bool:
        """Whether an elem's slot holds pointers."""
        return self.elem_pointers or self.indirectelem

    @property
    def pointers(self) -> bool:
        """Whether the collector scans buckets or groups (``Bucket.Pointers()``)."""
        return self.slot_key_pointers or self.slot_elem_pointers

    @property
    def BucketSize(self) -> int:
        """Bytes of a bucket: tophash, keys, elems, overflow (reflectdata.MapBucketType)."""
        return SLOTS + SLOTS * self.KeySize + SLOTS * self.ValueSize + WORD

    @property
    def SlotSize(self) -> int:
        """Bytes of a slot of a group: key and elem, padded (reflectdata.MapGroupType)."""
        key_align = WORD if self.indirectkey else self.key_align
        elem_align = WORD if self.indirectelem else self.elem_align
        size = _align(self.KeySize, elem_align) + self.ValueSize
        return _align(size, max(key_align, elem_align))

    @property
    def GroupSize(self) -> int:
        """Bytes of a group: control word and slots."""
        return _align(SLOTS + SLOTS * self.SlotSize, WORD)

    @property
    def SplitGroupSize(self) -> int:
        """Bytes of a group with GOEXPERIMENT=mapsplitgroup: control word, keys, elems (reflectdata, 1.27)."""
        return SLOTS + SLOTS * self.KeySize + SLOTS * self.ValueSize


class Indirect:
    """Memory of its own for an elem of more than 128 bytes: a slot points to it, and where it moves to as well."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: object = None


def through(slot: object) -> object:
    """The elem that a slot holds or points to."""
    return slot.value if isinstance(slot, Indirect) else slot


def _align(size: int, align: int) -> int:
    return -(-size // align) * align


INT_INT = MapType()
"""``map[int]int``."""
STRING_INT = MapType(key_size=16, key_pointers=True, needkeyupdate=True)
"""``map[string]int``."""
INT_POINTER = MapType(elem_pointers=True)
"""``map[int]*T``."""
STRING_POINTER = MapType(key_size=16, key_pointers=True, elem_pointers=True, needkeyupdate=True)
"""``map[string]*T``."""
