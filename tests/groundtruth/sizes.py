"""What the Go allocator gives for a request: the size classes of a release, read from that release's own source."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = 8192
HEADER = 8
LARGEST_CLASS = 32768
BITMAP_LIMIT = 512
"""Larger objects with pointers have an 8-byte header from 1.22 (runtime/mbitmap.go, heapBitsInSpan)."""


@cache
def size_classes(goroot: Path) -> tuple[int, ...]:
    """``class_to_size`` of runtime/sizeclasses.go, or ``SizeClassToSize`` where it has moved."""
    for name in ("runtime/sizeclasses.go", "internal/runtime/gc/sizeclasses.go"):
        source = goroot / "src" / name
        if source.exists():
            found = re.search(r"(?:class_to_size|SizeClassToSize) = .*?\{(.*?)\}", source.read_text(encoding="utf-8"))
            if found:
                return tuple(int(number) for number in found[1].split(","))
    raise AssertionError(f"no table of size classes under {goroot}")


@dataclass(frozen=True)
class Allocator:
    """The allocator of one release."""

    classes: tuple[int, ...]
    minor: int

    def slot(self, size: int, pointers: bool) -> int:
        """Bytes of the heap that an object of ``size`` bytes takes (runtime/malloc.go, mallocgc)."""
        if self.minor >= 22:
            small = size <= LARGEST_CLASS - HEADER
            size += HEADER if small and pointers and size > BITMAP_LIMIT else 0
        else:
            small = size <= LARGEST_CLASS
        if small:
            return self.classes[bisect_left(self.classes, size)]
        return -(-size // PAGE) * PAGE

    def bucket_array(self, bits: int, bucket: int, pointers: bool) -> int:
        """Bytes of 2^bits classic buckets with the overflow buckets made with them (makeBucketArray)."""
        count = 1 << bits
        if bits >= 4:
            count += 1 << (bits - 4)
        return self.slot(count * bucket, pointers)
