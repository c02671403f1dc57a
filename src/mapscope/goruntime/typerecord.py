"""What is known of one type, and the descriptors of its words."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class Op(IntEnum):
    """What a pointer word points to; the low byte of a descriptor. The rest is a type id."""

    NONE = 0
    """Not known: the target is marked, no more."""
    PTR = 1
    """One value of the type."""
    FILL = 2
    """An array of the type, as far as its slot goes."""
    EFACE = 3
    """Data word of an ``any``: the word before it is the type."""
    IFACE = 4
    """Data word of another interface: the word before it is the itab."""
    FUNC = 5
    """A closure object, whose first word is the function's entry."""
    SWISSDIR = 6
    """``maps.Map.dirPtr``: one group (the type), or an array of tables (the next type id)."""
    TRIENODE = 7
    """``internal/sync.node``: an entry (the type) or an indirect (the next type id), as its first byte says."""


class TypeRecord(Struct, frozen=True):
    """What is known of one type id. ``address`` is its descriptor's, 0 for pseudo types and types of DWARF alone."""

    name: str
    kind: int
    size: int
    address: int
    pseudo: str = ""
    """``hmap``, ``bucket``, ``group``, ``tableptr``, ``table``, ``hchan``; empty for types of the program."""
    of: int = -1
    """For pseudo types: id of the map (or channel) type that they belong to."""


def descriptor(op: Op, type_id: int = 0) -> int:
    """Packs one descriptor."""
    return int(op) | type_id << 8
