"""Which part of a map an allocation is: by the runtime's frames, or by the entry that was called and the size.

Entries and what they allocate: runtime/map.go (classic maps: makemap, mapassign, hashGrow, makeBucketArray,
newoverflow, createOverflow, mapclone2), internal/runtime/maps (Swiss maps: NewMap, NewEmptyMap, growToSmall,
growToTable, rehash, grow, split, installTableSplit, Clone). Keys and elems of more than 128 bytes have an allocation
each (MAXKEYSIZE, MapMaxKeyBytes).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from mapscope.binary.executable import Executable
    from mapscope.binary.rtype import RType

GROWTH = "map growth"
CREATION = "map creation"
OVERFLOW = "overflow bucket"
FIRST = "first bucket"
BUCKET = "first or overflow bucket"
ENTRY = "large key or value"
SOME = "part of a map"
PARTS = (GROWTH, CREATION, OVERFLOW, FIRST, BUCKET, ENTRY, SOME)
"""``BUCKET``: one bucket of a classic map, which of the two is not known. ``SOME``: which part is not known."""

NOT_A_PART = "none"
"""Label of an allocation below an entry of maps that is no part of one, in a profile with its frames put back."""

EXACT, INFERRED, POSSIBLE = "exact", "inferred", "possible"

HIDDEN = ("runtime.", "internal/runtime/")
"""Prefixes of the functions that runtime/pprof hides at the leaf (the second from Go 1.24 on)."""
_ALLOCATE = re.compile(
    r"runtime\.(?:mallocgc\w*|newobject|newarray|makeslice(?:64|copy)?|growslice\w*)$"
    r"|internal/runtime/maps\.(?:newobject|newarray)$"
)
_MAP = re.compile(
    r"internal/runtime/maps\.|runtime\.(?:map\w+|makemap\w*|hashGrow|growWork\w*|evacuate\w*|makeBucketArray|moveToBmap"
    r"|\(\*hmap\)\.\w+)(?:\.func\d+)?$"
)
_OVERFLOW = re.compile(r"runtime\.\(\*hmap\)\.(?:newoverflow|createOverflow)$")
_GROWTH = re.compile(
    r"runtime\.hashGrow$|internal/runtime/maps\.\((?:\*Map\)\.(?:growToTable|installTableSplit)"
    r"|\*table\)\.(?:rehash|grow|split))$"
)
_CREATION = re.compile(
    r"runtime\.(?:makemap\w*|mapclone\w*)$|internal/runtime/maps\.(?:NewMap|NewEmptyMap|\(\*Map\)\.Clone)$"
)
_FIRST = re.compile(r"internal/runtime/maps\.\(\*Map\)\.growToSmall\w*$")
_ASSIGN = re.compile(r"runtime\.mapassign(?:_fast(?:32|64|32ptr|64ptr|str))?$|reflect\.mapassign(?:0|_faststr0?)?$")
_BARE_CREATION = re.compile(
    r"runtime\.(?:makemap\w*|mapclone\w*)$|internal/runtime/maps\.(?:New(?:Empty)?Map|\(\*Map\)\.Clone)$"
    r"|reflect\.makemap$|maps\.clone$"
)
_CLONE = re.compile(r"clone|Clone")
_OTHER_ENTRY = re.compile(r"runtime\.map(?:iterinit|IterStart|clear|delete\w*)$")
_INLINE_LIMIT = 128
_MAX_B = 40
_EXTRA = 24
"""Bytes of runtime.mapextra, and of the slice header that createOverflow makes."""
_MAX_LIST = 1 << 32
_DOUBLES = 256
"""Up to this capacity slices double (runtime/slice.go: nextslicecap; the same since Go 1.18)."""
_SWISS_TABLE_GROUPS = (2, 4, 8, 16, 32, 64, 128)
_SWISS_TABLE = 32


class Part(Struct, frozen=True):
    """What an allocation is. ``entry``: the runtime function that the program called. ``type``: of the map, if known.

    ``how``: exact (by the whole stack), inferred (one part alone has this size), possible. ``depth``: frames from the
    entry to the leaf, 0 where they are hidden.
    """

    part: str
    how: str
    entry: str
    type: str | None = None
    depth: int = 0


ALLOCATES, ON_MAPS = 1, 2
"""Bits of ``kind_of``. A few functions of the runtime's package of maps do both."""
_TELLING = ((4, _OVERFLOW, OVERFLOW), (8, _GROWTH, GROWTH), (16, _CREATION, CREATION), (32, _FIRST, FIRST))


def kind_of(name: str) -> int:
    """What a frame of the runtime is, as bits: it allocates; it works on maps, and for what. 0 for others."""
    found = ALLOCATES if _ALLOCATE.match(name) else 0
    if _MAP.match(name):
        found |= ON_MAPS | sum(bit for bit, pattern, _ in _TELLING if pattern.match(name))
    return found


def told_by(kinds: int) -> str:
    """The part of a map that frames of these kinds (their bits together) allocate.

    SOME where a key, a value or a bucket can be meant: mapassign allocates them itself.
    """
    return next((part for bit, _, part in _TELLING if kinds & bit), SOME)


def is_entry(name: str) -> bool:
    """Whether ``name`` is a function of the runtime that programs call and that makes parts of maps."""
    return bool(_ASSIGN.match(name) or _BARE_CREATION.match(name) or _OTHER_ENTRY.match(name))


class Sizes:
    """Sizes of the parts of maps of one program."""

    def __init__(self, executable: Executable) -> None:
        """``executable``: the program."""
        from mapscope.goruntime.layout import load
        from mapscope.maps.sizes import Allocator

        self.executable = executable
        classes = load(executable.go_version, executable.arch).class_to_size
        self._allocator = Allocator(tuple(sorted(c for c in classes if c)), executable.series >= (1, 22))
        self._known: dict[int, dict[int, set[str]]] = {}

    def by_entry(self, entry: str, size: int, rtype: RType | None) -> Part | None:
        """The part that ``entry`` allocates with ``size`` bytes; None when it is no part of a map."""
        name = rtype.name if rtype is not None else None
        if _BARE_CREATION.match(entry):
            # mapclone2 also fills the map that it makes (runtime/map.go; in 1.24 by mapassign)
            return Part(CREATION, POSSIBLE if _CLONE.search(entry) else INFERRED, entry, name)
        if _OTHER_ENTRY.match(entry):
            return Part(OVERFLOW if not self.executable.swiss_maps else SOME, POSSIBLE, entry, name)
        if not _ASSIGN.match(entry):
            return None
        if rtype is None:
            return Part(self._unknown(entry, size), POSSIBLE, entry, None)
        fits = self.parts(rtype).get(size, set())
        if len(fits) == 1:
            return Part(next(iter(fits)), INFERRED, entry, name)
        if fits == {FIRST, OVERFLOW}:
            return Part(BUCKET, INFERRED, entry, name)
        if fits:
            return Part(SOME, POSSIBLE, entry, name)
        # An allocation can start a collection, whose workers are made on this goroutine: that is no part of a map.
        return None

    def direct(self, entry: str, size: int, rtype: RType | None, allocates: str) -> str:
        """What mapassign itself allocated: ``FIRST`` or ``ENTRY``; ``SOME`` where it cannot be told."""
        if self.executable.swiss_maps or allocates in ("key", "elem"):
            return ENTRY
        if entry != "runtime.mapassign" or allocates == "bucket":
            return FIRST
        fits = self.parts(rtype).get(size, set()) & {FIRST, ENTRY} if rtype is not None else set()
        return next(iter(fits)) if len(fits) == 1 else SOME

    def arrays(self, rtype: RType) -> list[int]:
        """Sizes of the bucket arrays of a classic map of this type, from B=1 on; empty for Swiss maps."""
        if rtype.map is None or rtype.map.swiss:
            return []
        from mapscope.maps.sizes import classic_array

        noscan = self._noscan(rtype.map.bucket)
        return [classic_array(self._allocator, b, rtype.map.bucket_size, noscan)[0] for b in range(1, _MAX_B)]

    def parts(self, rtype: RType) -> dict[int, set[str]]:
        """Size of an allocation below mapassign → what of a map of this type has it."""
        if rtype.address not in self._known:
            assert rtype.map is not None
            found: dict[int, set[str]] = {}
            for size, part in self._classic(rtype) if not rtype.map.swiss else self._swiss(rtype):
                found.setdefault(size, set()).add(part)
            self._known[rtype.address] = found
        return self._known[rtype.address]

    def _classic(self, rtype: RType) -> list[tuple[int, str]]:
        assert rtype.map is not None
        noscan = self._noscan(rtype.map.bucket)
        one = self._allocator.slot(rtype.map.bucket_size, noscan)
        found = [(one, FIRST), (one, OVERFLOW), *((size, GROWTH) for size in self.arrays(rtype))]
        found += [(_EXTRA, GROWTH), (_EXTRA, OVERFLOW)]
        if noscan:  # a list keeps the overflow buckets alive, which the collector does not find through them
            found += [(size, OVERFLOW) for size in self._lists()]
        return found + self._entries(rtype)

    def _lists(self) -> list[int]:
        """Sizes that the list of overflow buckets has, a pointer appended at a time (runtime/slice.go: growslice)."""
        found, capacity = [], 0
        while 8 * capacity < _MAX_LIST:
            wanted = 2 * capacity if capacity < _DOUBLES else capacity + ((capacity + 3 * _DOUBLES) >> 2)
            size = 8 * max(wanted, 1)
            found.append(self._allocator.slot(size, False))
            capacity = self._allocator.usable(size, False) // 8
        return found

    def _swiss(self, rtype: RType) -> list[tuple[int, str]]:
        assert rtype.map is not None
        noscan, group = self._noscan(rtype.map.bucket), rtype.map.bucket_size
        found = [(self._allocator.slot(group, noscan), FIRST), (_SWISS_TABLE, GROWTH)]
        found += [(self._allocator.slot(group * n, noscan), GROWTH) for n in _SWISS_TABLE_GROUPS]
        found += [(self._allocator.slot(8 << n, False), GROWTH) for n in range(_MAX_B)]
        return found + self._entries(rtype)

    def _entries(self, rtype: RType) -> list[tuple[int, str]]:
        assert rtype.map is not None
        found = []
        for address, indirect in ((rtype.map.key, rtype.map.indirect_key), (rtype.map.elem, rtype.map.indirect_elem)):
            one = self.executable.types_in_file.at(address) if indirect else None
            if one is not None:
                found.append((self._allocator.slot(one.size, not one.has_pointers), ENTRY))
        return found

    def _noscan(self, bucket: int) -> bool:
        one = self.executable.types_in_file.at(bucket)
        return one is not None and not one.has_pointers

    def _unknown(self, entry: str, size: int) -> str:
        """Without the type: no single bucket or group is larger than 8 slots of 128-byte keys and values."""
        key = {"32": 4, "64": 8, "32ptr": 8, "64ptr": 8, "str": 16}.get(entry.rpartition("_fast")[2], _INLINE_LIMIT)
        largest = self._allocator.slot(16 + 8 * (key + _INLINE_LIMIT) + 8, False)
        return GROWTH if size > largest else SOME
