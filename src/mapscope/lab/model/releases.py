"""What differs between the maps of the releases, as settings of the models, each with the Go source that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mapscope.errors import UsageError
from mapscope.lab.model.maptype import MapType


@dataclass(frozen=True, slots=True)
class ClassicSettings:
    """One family of releases with classic maps: runtime/map.go, in 1.24 and 1.25 runtime/map_noswiss.go."""

    loadFactorNum: int = 13
    """Twice the average entries a bucket before it grows (const loadFactorNum, overLoadFactor). 12 in 1.21, where
    ``bucketCnt * 13 / 16`` is rounded down before it is doubled (golang/go#63438)."""
    marks_buckets_empty: bool = True
    """mapclear makes every cell of both arrays emptyRest, so that iterators on them end (markBucketsEmpty in mapclear,
    1.21 to 1.23, golang/go#59411)."""
    clearSeq: bool = False
    """mapclear counts itself, and an iterator that began before looks every key up (map_noswiss.go of 1.24, 1.25)."""
    malloc_headers: bool = True
    """Objects with pointers over 512 bytes begin with a word of the allocator (1.22 on; runtime/msize.go)."""

    @property
    def header_bytes(self) -> int:
        """``sizeof(hmap)``."""
        return 56 if self.clearSeq else 48


CLASSIC = {
    "1.19": ClassicSettings(marks_buckets_empty=False, malloc_headers=False),
    "1.21": ClassicSettings(loadFactorNum=12, malloc_headers=False),
    "1.22": ClassicSettings(),
    "1.23": ClassicSettings(),
    "1.24+noswissmap": ClassicSettings(marks_buckets_empty=False, clearSeq=True),
    "1.25+noswissmap": ClassicSettings(marks_buckets_empty=False, clearSeq=True),
}
"""Settings by release; ``+noswissmap`` is that GOEXPERIMENT."""


@dataclass(frozen=True, slots=True)
class SwissSettings:
    """One family of releases with Swiss maps: internal/runtime/maps."""

    prunes_tombstones: bool = True
    """A full table first tries to make tombstones empty again (pruneTombstones in table.go, 1.25 on). But not in the
    general runtime_mapassign (runtime_swiss.go of 1.25, runtime.go of 1.26 and 1.27): tombstones go only where the
    compiler has a fast function for the type (MapType.mapfast)."""
    knows_tombstones: bool = True
    """Map.tombstonePossible: clear also works on an empty map that may have tombstones (map.go, 1.25 on)."""
    clears_untouched: bool = False
    """table.Clear does all its work on a table without entries and tombstones too (table.go of 1.24)."""
    clear_test: Literal["never", "always", "when few"] = "when few"
    """When table.Clear leaves the memory of groups without entries as it is: never in 1.24, always in 1.25, from 1.26
    on when there are few entries or slots are larger than 32 bytes (fullTest in table.go)."""
    update_grows: bool = False
    """An update of a map of 8 entries in one group makes it a table (runtime_mapassign asks ``used`` alone to 1.26)."""
    split_groups: bool = False
    """Groups hold eight keys, then eight elems (GOEXPERIMENT=mapsplitgroup of 1.27)."""
    header_bytes: int = 48
    """``sizeof(maps.Map)``."""

    def slot_bytes(self, t: MapType) -> int:
        """What fullTest compares with 32: the slot, or key and elem of split groups."""
        return t.KeySize + t.ValueSize if self.split_groups else t.SlotSize

    def group_bytes(self, t: MapType) -> int:
        """Bytes of a group."""
        return t.SplitGroupSize if self.split_groups else t.GroupSize


SWISS = {
    "1.24": SwissSettings(
        prunes_tombstones=False,
        knows_tombstones=False,
        clears_untouched=True,
        clear_test="never",
        update_grows=True,
    ),
    "1.25": SwissSettings(clear_test="always", update_grows=True),
    "1.26": SwissSettings(update_grows=True),
    "1.27": SwissSettings(),
    "1.27+mapsplitgroup": SwissSettings(split_groups=True),
}
"""Settings by release."""


def settings_of(release: str) -> ClassicSettings | SwissSettings:
    """The settings of a release ("1.23", "1.24+noswissmap"). Raises :class:`UsageError` where there is no model."""
    if release in CLASSIC:
        return CLASSIC[release]
    if release in SWISS:
        return SWISS[release]
    known = ", ".join(sorted({*CLASSIC, *SWISS}))
    raise UsageError(f"no model of a map for Go {release}", f"there are models for {known}")
