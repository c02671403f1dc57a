"""The iterator of a Swiss map and its exact walk: Iter in internal/runtime/maps/table.go, alike from 1.24 to 1.27."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapscope.lab.model.groups import U64, Group, ctrlEmpty, first
from mapscope.lab.model.interface import Elem, Event, Key
from mapscope.lab.model.maptype import SLOTS, through
from mapscope.lab.model.table import table

if TYPE_CHECKING:
    from mapscope.lab.model.swiss import SwissMap


class Iter:
    """An iterator. It goes through the tables that it met, also when the map has replaced them."""

    __slots__ = (
        "at",
        "clearSeq",
        "dirIdx",
        "dirOffset",
        "elem",
        "entryIdx",
        "entryOffset",
        "globalDepth",
        "group",
        "key",
        "m",
        "tab",
    )

    def __init__(self) -> None:
        self.key: Key | None = None
        self.elem: Elem = None
        self.m: SwissMap | None = None
        self.entryOffset = 0
        self.dirOffset = 0
        self.clearSeq = 0
        self.globalDepth = 0
        self.dirIdx = 0
        """Before ``dirOffset`` is added; -1 when the map had only a group."""
        self.tab: table | None = None
        self.group: Group | None = None
        self.entryIdx = 0
        """Before ``entryOffset`` is added."""
        self.at: tuple[Group, Key | None, Elem] | None = None
        """What ``key`` and ``elem`` point to: a slot of this group, or the memory of that key or elem apart."""

    def Init(self, m: SwissMap) -> None:
        """Choose where to begin."""
        if m.used == 0:
            return
        self.m = m
        self.entryOffset = m.rand()
        self.dirOffset = m.rand()
        self.globalDepth = m.globalDepth
        self.dirIdx = 0 if m.directory else -1
        self.group = m.small
        self.clearSeq = m.clearSeq
        if m.log is not None:
            m.log.append(Event("Init", {"tables": len(m.directory)}))

    def Next(self) -> None:
        """Go to the next entry; ``key`` is None after the last."""
        m = self.m
        if m is None or not (self._next_small(m) if self.dirIdx < 0 else self._next_full(m)):
            self.key = self.elem = self.at = None

    def _next_small(self, m: SwissMap) -> bool:
        """Of the only group, also when the map has tables by now: their entries are looked up."""
        g = self.group
        assert g is not None
        while self.entryIdx < SLOTS:
            k = (self.entryIdx + self.entryOffset) % SLOTS
            if g.ctrls[k] & ctrlEmpty or not self._take(m, g, k, grown=bool(m.directory)):
                self.entryIdx += 1
                continue
            self.entryIdx += 1
            return True
        return False

    def _take(self, m: SwissMap, g: Group, k: int, grown: bool) -> bool:
        """Stand at a slot; ``grown``: at the entry as the map has it now, which may be gone (grownKeyElem)."""
        if grown:
            found = m.getWithKey(g.keys[k])
            if found is None:
                return False
            g, k = found
        self.key, self.elem = g.keys[k], through(g.elems[k])
        self.at = g, g.keys[k], g.elems[k]
        return True

    def _next_full(self, m: SwissMap) -> bool:
        if self.globalDepth != m.globalDepth:
            # the directory has doubled, perhaps more than once: so do the places in it
            orders = m.globalDepth - self.globalDepth
            self.dirIdx <<= orders
            self.dirOffset = (self.dirOffset << orders) & U64
            self.globalDepth = m.globalDepth
        while self.dirIdx < len(m.directory):
            if self.tab is None:
                self.tab = self._resolve(m)
            if self._next_of_table(m, self.tab):
                return True
            self.nextDirIdx(m, self.tab)
        return False

    def _resolve(self, m: SwissMap) -> table:
        """The table at ``dirIdx``; the very first one may be entered in the middle of its places."""
        dirIdx = (self.dirIdx + self.dirOffset) & (len(m.directory) - 1)
        newTab = m.directory[dirIdx]
        if newTab.index != dirIdx:
            self.dirOffset = (self.dirOffset - (dirIdx - newTab.index)) & U64
        return newTab

    def nextDirIdx(self, m: SwissMap, tab: table) -> None:
        """Skip all places of this table, and those of what it was split into."""
        self.dirIdx += 1 << (m.globalDepth - tab.localDepth)
        self.tab = None
        self.group = None
        self.entryIdx = 0

    def _next_of_table(self, m: SwissMap, tab: table) -> bool:
        """The next entry of a table, which may be stale (grown)."""
        entryMask = tab.capacity - 1
        if self.entryIdx > entryMask:
            return False
        entryIdx = (self.entryIdx + self.entryOffset) & entryMask
        slotIdx = entryIdx & (SLOTS - 1)
        g = self._group_at(tab, entryIdx, slotIdx)
        if not g.ctrls[slotIdx] & ctrlEmpty and self._take(m, g, slotIdx, grown=tab.index == -1):
            self.entryIdx += 1
            return True
        self.entryIdx += 1
        groupMatch = 0
        while self.entryIdx <= entryMask:
            entryIdx = (self.entryIdx + self.entryOffset) & entryMask
            slotIdx = entryIdx & (SLOTS - 1)
            g = self._group_at(tab, entryIdx, slotIdx)
            if not groupMatch:
                groupMatch = g.matchFull() >> slotIdx << slotIdx
                if not groupMatch:
                    self.entryIdx += SLOTS - slotIdx
                    continue
                i = first(groupMatch)
                self.entryIdx += i - slotIdx
                if self.entryIdx > entryMask:
                    continue  # past the end of this table
                slotIdx = i
            taken = self._take(m, g, slotIdx, grown=tab.index == -1)
            groupMatch &= groupMatch - 1
            self.entryIdx += (first(groupMatch) if groupMatch else SLOTS) - slotIdx
            if taken:
                return True
        return False

    def _group_at(self, tab: table, entryIdx: int, slotIdx: int) -> Group:
        """The group of an entry: looked up when the walk comes to its first slot or into the table."""
        if slotIdx == 0 or self.group is None:
            self.group = tab.groups[entryIdx // SLOTS]
        return self.group
