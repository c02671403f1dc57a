"""What the Go allocator gives for a size, as the models need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapscope.maps.sizes import Allocator

# fmt: off
CLASSES = (
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448,
    480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096,
    4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072,
    20480, 21760, 24576, 27264, 28672, 32768,
)
# fmt: on
"""Size classes, the same from 1.19 to 1.27: runtime/sizeclasses.go, from 1.25 on internal/runtime/gc/sizeclasses.go."""


def allocator(malloc_headers: bool) -> Allocator:
    """The allocator of a release; ``malloc_headers``: objects with pointers over 512 bytes have one (Go 1.22 on)."""
    from mapscope.maps.sizes import Allocator

    return Allocator(CLASSES, malloc_headers)


def growslice(allocator: Allocator, length: int, capacity: int) -> int:
    """Capacity after ``append`` to a slice of pointers has made it ``length`` long (runtime/slice.go, growslice)."""
    if length <= capacity:
        return capacity
    if length > 2 * capacity:
        wanted = length
    elif capacity < 256:
        wanted = 2 * capacity
    else:
        wanted = capacity
        while wanted < length:
            wanted += (wanted + 3 * 256) >> 2
    return allocator.usable(wanted * 8, False) // 8
