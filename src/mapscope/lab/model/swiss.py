"""The Swiss map, as internal/runtime/maps/map.go has it: one group, or a directory of tables that grow one by one.

Names are the runtime's. What is left out: NaN keys, and the checks for concurrent use (``writing`` is 0 between
operations).
"""

from __future__ import annotations

from mapscope.lab.model.allocator import allocator
from mapscope.lab.model.collector import Heap
from mapscope.lab.model.groups import U64, Group, ctrlEmpty, first, h2
from mapscope.lab.model.interface import Bytes, Cursor, Elem, Event, Hasher, Key, Log, Rand
from mapscope.lab.model.maptype import SLOTS, Indirect, MapType, through
from mapscope.lab.model.releases import SwissSettings
from mapscope.lab.model.swissheap import SwissHeap
from mapscope.lab.model.swissiter import Iter
from mapscope.lab.model.swissstate import SwissState, bytes_of, state_of
from mapscope.lab.model.table import alignUpPow2, maxTableCapacity, table


class SwissMap:
    """A ``maps.Map`` and what it points to; NewMap with ``hint`` (None is a map made without one)."""

    def __init__(
        self, t: MapType, settings: SwissSettings, hasher: Hasher, rand: Rand, hint: int | None = None
    ) -> None:
        self.t = t
        self.settings = settings
        self.hasher = hasher
        self.rand = rand
        self.log: Log | None = None
        self.allocator = allocator(malloc_headers=True)
        self.made = 0
        """Tables made so far."""
        self.iterators: list[Iter] = []
        """The open ones: they are roots."""
        self.used = 0
        self.seed = rand()
        self.small: Group | None = None
        """``dirPtr`` while ``dirLen`` is 0."""
        self.directory: list[table] = []
        """``dirPtr`` else; a table fills 2^(globalDepth - localDepth) places side by side."""
        self.globalDepth = 0
        self.globalShift = 0
        self.tombstonePossible = False
        self.clearSeq = 0
        if hint is not None and hint > SLOTS:
            targetCapacity = hint * SLOTS // 7
            dirSize = alignUpPow2(-(-targetCapacity // maxTableCapacity))
            self.globalDepth = dirSize.bit_length() - 1
            self.globalShift = 64 - self.globalDepth
            self.directory = [self.newTable(targetCapacity // dirSize, i, self.globalDepth) for i in range(dirSize)]

    # The interface of all models

    def __len__(self) -> int:
        """``len(m)``."""
        return self.used

    def assign(self, key: Key, elem: Elem) -> None:
        """``m[key] = elem``: the compiled program stores the elem where PutSlot says."""
        g, i = self.PutSlot(key)
        slot = g.elems[i]
        if isinstance(slot, Indirect):
            slot.value = elem
        else:
            g.elems[i] = elem

    def delete(self, key: Key) -> None:
        """``delete(m, key)``."""
        self.Delete(key)

    def lookup(self, key: Key) -> tuple[Elem, bool]:
        """``elem, ok := m[key]``."""
        found = self.getWithKey(key)
        return (through(found[0].elems[found[1]]), True) if found else (None, False)

    def clear(self) -> None:
        """``clear(m)``."""
        self.Clear()

    def iterate(self) -> Iter:
        """``range`` up to its first entry."""
        it = Iter()
        self.iterators.append(it)
        it.Init(self)
        it.Next()
        return it

    def step(self, cursor: Cursor) -> bool:
        """The next entry; at the end nothing happens, as the loop has been left."""
        assert isinstance(cursor, Iter)
        if cursor.key is not None:
            cursor.Next()
        return cursor.key is not None

    def stop(self, cursor: Cursor) -> None:
        """The iterator is no root any more."""
        assert isinstance(cursor, Iter)
        self.iterators.remove(cursor)

    def state(self) -> SwissState:
        """Header, directory, tables and groups."""
        return state_of(self)

    def heap(self) -> Heap:
        """Objects and roots."""
        return SwissHeap(self).heap()

    def bytes(self) -> Bytes:
        """What the header leads to, and what only iterators keep."""
        return bytes_of(self)

    # The directory

    def newTable(self, capacity: int, index: int, localDepth: int) -> table:
        """A table with room for ``capacity`` slots, rounded up to a power of two."""
        self.made += 1
        return table(self.made - 1, capacity, index, localDepth)

    def hash(self, key: Key | None) -> int:
        """The hash of a key under the seed of now."""
        return self.hasher(key, self.seed)

    def directoryAt(self, hash_: int) -> table:
        """The table for a hash: its upper ``globalDepth`` bits select it."""
        if len(self.directory) == 1:
            return self.directory[0]
        return self.directory[hash_ >> (self.globalShift & 63)]

    def replaceTable(self, nt: table) -> None:
        """Write a table to all its places."""
        for i in range(1 << (self.globalDepth - nt.localDepth)):
            self.directory[nt.index + i] = nt

    def installTableSplit(self, old: table, left: table, right: table) -> None:
        """Put two tables into the places of one; the directory doubles when that had only one place."""
        if old.localDepth == self.globalDepth:
            for i, t in enumerate(self.directory):
                if t.index == i:
                    t.index = 2 * i
            self.directory = [t for t in self.directory for _ in range(2)]
            self.globalDepth += 1
            self.globalShift -= 1
        left.index = old.index
        self.replaceTable(left)
        right.index = left.index + (1 << (self.globalDepth - left.localDepth))
        self.replaceTable(right)

    # Operations

    def getWithKey(self, key: Key | None) -> tuple[Group, int] | None:
        """Group and slot of a key."""
        if self.used == 0:
            return None
        hash_ = self.hash(key)
        if self.directory:
            return self.directoryAt(hash_).getWithKey(hash_, key)
        assert self.small is not None
        i = self.small.find(h2(hash_), key)
        return (self.small, i) if i >= 0 else None

    def PutSlot(self, key: Key) -> tuple[Group, int]:
        """Group and slot for the elem of a key, which is put there if it is new (mapassign of runtime.go)."""
        hash_ = self.hash(key)
        if not self.directory:
            if self.small is None:
                self.small = Group()
            if self.used < SLOTS or not self.settings.update_grows:
                i = self.putSlotSmall(self.small, hash_, key)
                if i >= 0:
                    return self.small, i
            self.growToTable(self.small)
        while True:
            found = self.directoryAt(hash_).PutSlot(self, hash_, key)
            if found is not None:
                return found

    def putSlotSmall(self, g: Group, hash_: int, key: Key) -> int:
        """The slot of a key in the only group, or -1 when it is new and there is no room."""
        i = g.find(h2(hash_), key)
        if i >= 0:
            if self.t.needkeyupdate:
                g.keys[i] = key
            return i
        match = g.matchEmptyOrDeleted()
        if not match:
            return -1
        i = first(match)
        g.put(self.t, i, key, h2(hash_))
        self.used += 1
        return i

    def growToTable(self, g: Group) -> None:
        """A table of 16 slots in place of the only group."""
        tab = self.newTable(2 * SLOTS, 0, 0)
        for i in range(SLOTS):
            if g.matchFull() >> i & 1:
                tab.uncheckedPutSlot(self.hash(g.keys[i]), g.keys[i], g.elems[i])
        self.small = None
        self.directory = [tab]
        self.globalDepth = 0
        self.globalShift = 64
        self.note("growToTable")

    def Delete(self, key: Key) -> None:
        """Remove a key. An emptied map gets another seed."""
        if self.used == 0:
            return
        hash_ = self.hash(key)
        if self.directory:
            if self.directoryAt(hash_).Delete(self, hash_, key) and self.settings.knows_tombstones:
                self.tombstonePossible = True
        else:
            self._deleteSmall(hash_, key)
        if self.used == 0:
            self.seed = self.rand()
            self.note("reseed")

    def _deleteSmall(self, hash_: int, key: Key) -> None:
        """Of the only group: no probe goes past it, so that there are no tombstones."""
        g = self.small
        assert g is not None
        i = g.find(h2(hash_), key)
        if i >= 0:
            self.used -= 1
            g.forget(self.t, i)
            g.ctrls[i] = ctrlEmpty

    def Clear(self) -> None:
        """Remove all keys. Tables stay as large as they are."""
        if self.used == 0 and not self.tombstonePossible:
            return
        if self.directory:
            for i, t in enumerate(self.directory):
                if t.index == i:
                    t.Clear(self)
            self.tombstonePossible = False
        else:
            assert self.small is not None
            self.small.wipe()
        self.used = 0
        self.clearSeq = (self.clearSeq + 1) & U64
        self.seed = self.rand()
        self.note("Clear", tables=len(self.directory))

    def note(self, name: str, **facts: int) -> None:
        """Tell the log."""
        if self.log is not None:
            self.log.append(Event(name, facts))
