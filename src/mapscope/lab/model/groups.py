"""Groups of a Swiss map: eight slots and their control bytes (internal/runtime/maps/group.go).

A set of slots of a group is a number with a bit a slot, as the runtime has it on amd64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapscope.lab.model.interface import Elem, Key
from mapscope.lab.model.maptype import SLOTS, Indirect, MapType

if TYPE_CHECKING:
    from mapscope.lab.model.table import table

ctrlEmpty = 0x80
ctrlDeleted = 0xFE
"""A tombstone: free, but a probe goes on past it."""
maxAvgGroupLoad = 7
U64 = (1 << 64) - 1


def h1(hash_: int) -> int:
    """The upper 57 bits: where a probe begins."""
    return hash_ >> 7


def h2(hash_: int) -> int:
    """The lower 7 bits: the control byte of a full slot."""
    return hash_ & 0x7F


def first(slots: int) -> int:
    """The first slot of a set that is not empty."""
    return (slots & -slots).bit_length() - 1


class Group:
    """Control word and slots. Memory that was never written or was cleared is None."""

    __slots__ = ("ctrls", "elems", "index", "keys", "table")

    def __init__(self, table: table | None = None, index: int = 0) -> None:
        self.table = table
        """None for the only group of a map without tables."""
        self.index = index
        """Its place in the table."""
        self.ctrls = bytearray([ctrlEmpty]) * SLOTS
        self.keys: list[Key | None] = [None] * SLOTS
        self.elems: list[Elem] = [None] * SLOTS

    def wipe(self) -> None:
        """Typedmemclr of the group, and setEmpty."""
        self.setEmpty()
        self.keys = [None] * SLOTS
        self.elems = [None] * SLOTS

    def setEmpty(self) -> None:
        """All slots empty; keys and elems stay as they are."""
        self.ctrls = bytearray([ctrlEmpty]) * SLOTS

    def matchH2(self, wanted: int) -> int:
        """Slots with this control byte. The runtime's answer may hold more; it compares the keys all the same."""
        return sum(1 << i for i in range(SLOTS) if self.ctrls[i] == wanted)

    def matchEmpty(self) -> int:
        """Empty slots."""
        return self.matchH2(ctrlEmpty)

    def matchEmptyOrDeleted(self) -> int:
        """Slots that can be taken."""
        return sum(1 << i for i in range(SLOTS) if self.ctrls[i] & ctrlEmpty)

    def matchFull(self) -> int:
        """Slots that hold an entry."""
        return sum(1 << i for i in range(SLOTS) if not self.ctrls[i] & ctrlEmpty)

    def find(self, wanted: int, key: Key) -> int:
        """The slot of a key whose control byte is as wanted, or -1."""
        at = self.ctrls.find(wanted)
        while at >= 0:
            if self.keys[at] == key:
                return at
            at = self.ctrls.find(wanted, at + 1)
        return -1

    def put(self, t: MapType, i: int, key: Key, wanted: int) -> None:
        """A new key in slot ``i``, with memory for its elem where the slot only points to that."""
        self.keys[i] = key
        self.elems[i] = Indirect() if t.indirectelem else None
        self.ctrls[i] = wanted

    def forget(self, t: MapType, i: int) -> None:
        """Clear a deleted entry: the key only when it holds pointers, the elem always."""
        if t.slot_key_pointers:
            self.keys[i] = None
        self.elems[i] = None


def probe(hash_: int, mask: int) -> ProbeSeq:
    """The groups of a table of ``mask`` + 1 groups in the order in which a probe for this hash visits them."""
    return ProbeSeq(h1(hash_) & mask, mask)


class ProbeSeq:
    """Indices of groups: hash, hash+1, hash+1+2, … modulo their number. Without end, as the runtime's."""

    __slots__ = ("index", "mask", "offset")

    def __init__(self, offset: int, mask: int) -> None:
        self.offset = offset
        self.index = -1
        self.mask = mask

    def __iter__(self) -> ProbeSeq:
        return self

    def __next__(self) -> int:
        """The next index."""
        self.index += 1
        self.offset = (self.offset + self.index) & self.mask
        return self.offset
