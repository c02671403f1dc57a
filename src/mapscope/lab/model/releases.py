"""What differs between the maps of the releases, as settings of the models, each with the Go source that says so."""

from __future__ import annotations

from dataclasses import dataclass

from mapscope.errors import UsageError


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


def classic_settings(release: str) -> ClassicSettings:
    """The settings of a release ("1.23", "1.24+noswissmap"). Raises :class:`UsageError` where there is no such map."""
    try:
        return CLASSIC[release]
    except KeyError:
        raise UsageError(
            f"no model of a classic map for Go {release}", f"there are models for {', '.join(CLASSIC)}"
        ) from None
