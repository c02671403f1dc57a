"""A Swiss map as plain data: what the differential test compares, and how many bytes it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapscope.lab.model.groups import Group
from mapscope.lab.model.interface import Bytes, Elem, Key
from mapscope.lab.model.maptype import through
from mapscope.lab.model.table import table

if TYPE_CHECKING:
    from mapscope.lab.model.swiss import SwissMap
    from mapscope.lab.model.swissiter import Iter

TABLE_BYTES = 32


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group. None among keys and elems is zeroed memory."""

    ctrls: str
    """Eight control bytes as hexadecimal digits."""
    keys: tuple[Key | None, ...]
    elems: tuple[Elem, ...]


@dataclass(frozen=True, slots=True)
class TableHeader:
    """A ``table``. ``number``: in the order in which the map made its tables."""

    number: int
    used: int
    capacity: int
    growthLeft: int
    localDepth: int
    index: int
    lengthMask: int


@dataclass(frozen=True, slots=True)
class SwissHeader:
    """A ``maps.Map`` with its directory: each table once, as the places of a table lie side by side."""

    used: int
    seed: int
    allocated: bool
    """``dirPtr`` is not nil."""
    dirLen: int
    globalDepth: int
    globalShift: int
    tombstonePossible: bool
    clearSeq: int
    tables: tuple[TableHeader, ...]


@dataclass(frozen=True, slots=True)
class SwissState:
    """A Swiss map: its header and the groups of each table, or the only group."""

    header: SwissHeader
    groups: tuple[tuple[GroupState, ...], ...]


@dataclass(frozen=True, slots=True)
class IterState:
    """An ``Iter``. ``tab``: number and index of the table; ``place``: of the group in that table."""

    key: Key | None
    elem: Elem
    m: bool
    entryOffset: int
    dirOffset: int
    clearSeq: int
    globalDepth: int
    dirIdx: int
    tab: tuple[int, int] | None
    group: GroupState | None
    place: int | None
    entryIdx: int


def tables_of(m: SwissMap) -> list[table]:
    """The tables of the directory, each once."""
    return [t for i, t in enumerate(m.directory) if t.index == i]


def header_of(m: SwissMap) -> SwissHeader:
    """Header and directory without groups: cheap enough for every operation."""
    return SwissHeader(
        m.used,
        m.seed,
        m.small is not None or bool(m.directory),
        len(m.directory),
        m.globalDepth,
        m.globalShift,
        m.tombstonePossible,
        m.clearSeq,
        tuple(
            TableHeader(t.number, t.used, t.capacity, t.growthLeft, t.localDepth, t.index, t.lengthMask)
            for t in tables_of(m)
        ),
    )


def state_of(m: SwissMap) -> SwissState:
    """Header and groups."""
    parts = [t.groups for t in tables_of(m)] or [[m.small] if m.small is not None else []]
    return SwissState(header_of(m), tuple(tuple(map(group_of, groups)) for groups in parts if groups))


def iterator_state_of(it: Iter) -> IterState:
    """An iterator."""
    return IterState(
        it.key,
        it.elem,
        it.m is not None,
        it.entryOffset,
        it.dirOffset,
        it.clearSeq,
        it.globalDepth,
        it.dirIdx,
        None if it.tab is None else (it.tab.number, it.tab.index),
        None if it.group is None else group_of(it.group),
        None if it.group is None or it.tab is None else it.group.index,
        it.entryIdx,
    )


def group_of(g: Group) -> GroupState:
    """One group."""
    return GroupState(g.ctrls.hex(), tuple(g.keys), tuple(map(through, g.elems)))


def table_bytes(m: SwissMap, t: table) -> int:
    """Slot bytes of a table and of its groups."""
    slot = m.allocator.slot
    return slot(TABLE_BYTES, False) + slot(len(t.groups) * m.settings.group_bytes(m.t), not m.t.pointers)


def bytes_of(m: SwissMap) -> Bytes:
    """Slot bytes of what the header leads to."""
    slot = m.allocator.slot
    buckets = slot(8 * len(m.directory), False) + sum(table_bytes(m, t) for t in tables_of(m))
    if m.small is not None:
        buckets += slot(m.settings.group_bytes(m.t), not m.t.pointers)
    pinned = 0
    if m.iterators:
        heap = m.heap()
        pinned = heap.bytes_kept_by(*(name for name in heap.roots if name != "m"), structure=True)
    return Bytes(slot(m.settings.header_bytes, False), buckets, 0, 0, pinned)
