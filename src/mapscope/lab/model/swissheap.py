"""The objects of a Swiss map and its open iterators, as the collector sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapscope.lab.model.collector import Heap, HeapObject
from mapscope.lab.model.groups import Group
from mapscope.lab.model.pointees import Pointees
from mapscope.lab.model.swissiter import Iter
from mapscope.lab.model.swissstate import TABLE_BYTES
from mapscope.lab.model.table import table

if TYPE_CHECKING:
    from mapscope.lab.model.swiss import SwissMap


class SwissHeap:
    """Makes the objects, each once."""

    def __init__(self, m: SwissMap) -> None:
        self.m = m
        self.slot = m.allocator.slot
        self.pointees = Pointees(m.t, self.slot)
        self.made: dict[int, HeapObject] = {}
        """By identity of what was turned into an object."""

    def heap(self) -> Heap:
        """Everything, from the map variable and the iterators."""
        roots = {"m": HeapObject("m", 0, False, [("m", self.header())])}
        for number, it in enumerate(self.m.iterators):
            roots[f"iterator {number}"] = self.iterator(it)
        return Heap(roots)

    def header(self) -> HeapObject:
        """The ``Map`` and what ``dirPtr`` leads to: the only group, or the directory."""
        m = self.m
        if id(m) in self.made:
            return self.made[id(m)]
        header = self.made[id(m)] = HeapObject("Map", self.slot(m.settings.header_bytes, False))
        if m.directory:
            directory = HeapObject("directory", self.slot(8 * len(m.directory), False))
            header.point("dirPtr", directory)
            for number, t in enumerate(m.directory):
                directory.point(f"[{number}]", self.table(t))
        elif m.small is not None:
            header.point("dirPtr", self.groups([m.small], "group"))
        return header

    def iterator(self, it: Iter) -> HeapObject:
        """An ``Iter``. After its end key and elem are nil; the map, and at first the table, stay."""
        found = HeapObject("Iter", 0, False)
        if it.m is None:
            return found
        if it.at is not None:
            g, key, elem = it.at
            t = self.m.t
            found.point("key", self.pointees.of(key, "key") if t.indirectkey else self.group(g))
            found.point("elem", self.pointees.of(elem, "elem") if t.indirectelem else self.group(g))
        found.point("m", self.header())
        if it.tab is not None:
            found.point("tab", self.table(it.tab))
        if it.group is not None:
            found.point("group.data", self.group(it.group))
        return found

    def group(self, g: Group) -> HeapObject:
        """The array in which a group lies."""
        return self.groups([g], "group") if g.table is None else self.groups(g.table.groups, groups_name(g.table))

    def table(self, t: table) -> HeapObject:
        """A table and its groups."""
        if id(t) not in self.made:
            self.made[id(t)] = HeapObject(f"table {t.number}", self.slot(TABLE_BYTES, False))
            self.made[id(t)].point("groups.data", self.groups(t.groups, groups_name(t)))
        return self.made[id(t)]

    def groups(self, groups: list[Group], name: str) -> HeapObject:
        """An array of groups, and what its keys and elems point to."""
        t = self.m.t
        if id(groups[0]) not in self.made:
            size = len(groups) * self.m.settings.group_bytes(t)
            array = self.made[id(groups[0])] = HeapObject(name, self.slot(size, not t.pointers))
            for g in groups:
                for key, elem in zip(g.keys, g.elems, strict=True):
                    if t.slot_key_pointers:
                        array.point("key", self.pointees.of(key, "key"))
                    if t.slot_elem_pointers:
                        array.point("elem", self.pointees.of(elem, "elem"))
        return self.made[id(groups[0])]


def groups_name(t: table) -> str:
    """Of the groups of a table."""
    return f"groups of table {t.number}"
