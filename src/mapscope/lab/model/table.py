"""A table of a Swiss map: up to 1024 slots, replaced as a whole when it is full (internal/runtime/maps/table.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapscope.lab.model.groups import Group, ctrlDeleted, ctrlEmpty, first, h2, maxAvgGroupLoad, probe
from mapscope.lab.model.interface import Elem, Key
from mapscope.lab.model.maptype import SLOTS

if TYPE_CHECKING:
    from mapscope.lab.model.swiss import SwissMap

maxTableCapacity = 1024


def alignUpPow2(n: int) -> int:
    """The power of two at or above ``n``."""
    return 1 << (n - 1).bit_length() if n > 1 else 1


class table:
    """One hash table. ``index``: its first place in the directory, -1 when it is stale."""

    __slots__ = ("capacity", "groups", "growthLeft", "index", "localDepth", "number", "used")

    def __init__(self, number: int, capacity: int, index: int, localDepth: int) -> None:
        self.number = number
        """Counts the tables of this map, from 0."""
        self.capacity = alignUpPow2(max(capacity, SLOTS))
        self.index = index
        self.localDepth = localDepth
        self.used = 0
        self.groups = [Group(self, i) for i in range(self.capacity // SLOTS)]
        self.growthLeft = self.maxGrowthLeft()

    def maxGrowthLeft(self) -> int:
        """Inserts before an empty table must grow: 7/8 of its slots, of a single group all but one."""
        if self.capacity <= SLOTS:
            return self.capacity - 1
        return self.capacity * maxAvgGroupLoad // SLOTS

    @property
    def lengthMask(self) -> int:
        """Groups minus one."""
        return len(self.groups) - 1

    def getWithKey(self, hash_: int, key: Key) -> tuple[Group, int] | None:
        """Group and slot of a key. An empty slot ends the probe."""
        wanted = h2(hash_)
        for at in probe(hash_, self.lengthMask):
            g = self.groups[at]
            i = g.find(wanted, key)
            if i >= 0:
                return g, i
            if ctrlEmpty in g.ctrls:
                return None
        raise AssertionError("a probe does not end")

    def PutSlot(self, m: SwissMap, hash_: int, key: Key) -> tuple[Group, int] | None:
        """Group and slot for the elem of a key; None when the table was replaced, and the map must look again."""
        deleted: tuple[Group, int] | None = None
        wanted = h2(hash_)
        for at in probe(hash_, self.lengthMask):
            g = self.groups[at]
            i = g.find(wanted, key)
            if i >= 0:
                if m.t.needkeyupdate:
                    g.keys[i] = key
                return g, i
            match = g.matchEmptyOrDeleted()
            if not match:
                continue
            i = first(match)
            if g.ctrls[i] == ctrlDeleted:
                # a place to take if the key is not further on
                deleted = deleted or (g, i)
                continue
            if deleted:
                g, i = deleted
                self.growthLeft += 1
            if self.growthLeft == 0 and m.settings.prunes_tombstones and m.t.mapfast:
                self.pruneTombstones(m)
            if self.growthLeft > 0:
                g.put(m.t, i, key, wanted)
                self.growthLeft -= 1
                self.used += 1
                m.used += 1
                return g, i
            self.rehash(m)
            return None
        raise AssertionError("a probe does not end")

    def uncheckedPutSlot(self, hash_: int, key: Key | None, elem: Elem) -> None:
        """Put an entry of the table that this one replaces; an indirect elem is shared with it."""
        for at in probe(hash_, self.lengthMask):
            g = self.groups[at]
            match = g.matchEmptyOrDeleted()
            if match:
                i = first(match)
                g.keys[i] = key
                g.elems[i] = elem
                g.ctrls[i] = h2(hash_)
                self.growthLeft -= 1
                self.used += 1
                return

    def Delete(self, m: SwissMap, hash_: int, key: Key) -> bool:
        """Remove a key; True when that put a tombstone, because a probe may have gone past its full group."""
        found = self.getWithKey(hash_, key)
        if found is None:
            return False
        g, i = found
        self.used -= 1
        m.used -= 1
        g.forget(m.t, i)
        if g.matchEmpty():
            g.ctrls[i] = ctrlEmpty
            self.growthLeft += 1
            return False
        g.ctrls[i] = ctrlDeleted
        m.note("tombstone")
        return True

    def tombstones(self) -> int:
        """Deleted slots that still count."""
        return self.capacity * maxAvgGroupLoad // SLOTS - self.used - self.growthLeft

    def pruneTombstones(self, m: SwissMap) -> None:
        """Make tombstones that no probe needs empty, if that gives a tenth of the slots back (1.25 on)."""
        if self.tombstones() * 10 < self.capacity:
            return
        needed = [False] * len(self.groups)
        for g in self.groups:
            match = g.matchFull()
            while match:
                j = first(match)
                match &= match - 1
                for at in probe(m.hash(g.keys[j]), self.lengthMask):
                    if at == g.index:
                        break
                    if self.groups[at].matchEmptyOrDeleted():
                        needed[at] = True
            if g.matchEmpty():
                needed[g.index] = True
        free = [g for g in self.groups if not needed[g.index]]
        count = sum(g.matchEmptyOrDeleted().bit_count() for g in free)
        if count * 10 < self.capacity:
            m.note("prune refused", capacity=self.capacity)
            return
        for g in free:
            match = g.matchEmptyOrDeleted()
            while match:
                g.ctrls[first(match)] = ctrlEmpty
                match &= match - 1
                self.growthLeft += 1
        m.note("prune", capacity=self.capacity, freed=count)

    def Clear(self, m: SwissMap) -> None:
        """Empty the table. Which groups are zeroed, so that nothing of a key stays, differs between the releases."""
        mgl = self.maxGrowthLeft()
        settings = m.settings
        if settings.clears_untouched or self.used or self.growthLeft != mgl:
            tested = settings.clear_test == "always"
            if settings.clear_test == "when few":
                tested = self.used * 4 <= self.lengthMask or settings.slot_bytes(m.t) > 32
            for g in self.groups:
                if tested and not g.matchFull():
                    g.setEmpty()
                else:
                    g.wipe()
            self.used = 0
            self.growthLeft = mgl

    def rehash(self, m: SwissMap) -> None:
        """Replace the table: by one twice as large, or by two."""
        if 2 * self.capacity <= maxTableCapacity:
            self.grow(m, 2 * self.capacity)
        else:
            self.split(m)

    def grow(self, m: SwissMap, newCapacity: int) -> None:
        """A larger table in place of this one."""
        new = m.newTable(newCapacity, self.index, self.localDepth)
        for g, j, key in self._entries():
            new.uncheckedPutSlot(m.hash(key), key, g.elems[j])
        m.replaceTable(new)
        self.index = -1
        m.note("grow", capacity=newCapacity, tombstones=self.tombstones())

    def split(self, m: SwissMap) -> None:
        """Two tables in place of this one, by the next bit of the hash."""
        localDepth = self.localDepth + 1
        left = m.newTable(maxTableCapacity, -1, localDepth)
        right = m.newTable(maxTableCapacity, -1, localDepth)
        mask = 1 << (64 - localDepth)
        for g, j, key in self._entries():
            hash_ = m.hash(key)
            (right if hash_ & mask else left).uncheckedPutSlot(hash_, key, g.elems[j])
        m.installTableSplit(self, left, right)
        self.index = -1
        m.note("split", localDepth=localDepth, globalDepth=m.globalDepth)

    def _entries(self) -> list[tuple[Group, int, Key | None]]:
        """Groups and slots with entries, and the keys, in the order of memory."""
        return [(g, j, g.keys[j]) for g in self.groups for j in range(SLOTS) if not g.ctrls[j] & ctrlEmpty]
