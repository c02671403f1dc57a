"""The relocated image of an executable against the memory of its process; packed relocations by definition."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mapscope.binary.executable import Executable
from mapscope.binary.image import Image, _unpack_relr, find_aligned
from tests.unit.binary.gobuilds import built, running


@pytest.mark.toolchain
@pytest.mark.parametrize("series", ["1.19", "1.23", "1.27"])
def test_types_of_a_pie_are_what_the_process_has(series: str) -> None:
    """The type descriptors are full of pointers, and nothing writes to them."""
    exe = Executable.open(built("kinds", series, "pie-stripped"))
    with running(exe.path) as live:
        bias = int(live.said["Main"], 16) - int(exe.functions.entry[exe.functions.index_of("main.main")])
        assert bias
        image = exe.image_at(bias)
        low, size = exe.module.types + bias, exe.module.etypes - exe.module.types
        ours, theirs = image.read(low, size), live.read(low, size)
        assert ours == theirs
        assert ours != exe.image.read(low - bias, size)
        pclntab = exe.module.pclntab + bias
        assert image.read(pclntab, exe.module.pclntab_size) == live.read(pclntab, exe.module.pclntab_size)


@pytest.mark.toolchain
def test_reads_outside_are_none_and_bss_is_zero() -> None:
    exe = Executable.open(built("kinds", "1.24"))
    image = exe.image
    assert image.read(8, 8) is None
    assert image.read(exe.module.noptrbss, 16) == bytes(16)
    assert image.read(image.areas[-1].end + (1 << 40), 1) is None
    assert image.view(8) is None
    assert image.section(".nothing") is None
    text = image.section(".text")
    assert text is not None
    assert bytes(text[1][:64]) == image.read(text[0], 64)
    needle = bytes(text[1][4096:4112])
    assert text[0] + 4096 in set(image.find(needle, flags=1, align=1))


def test_find_aligned_is_plain_search() -> None:
    rng = random.Random(3)
    data = bytes(rng.randrange(3) for _ in range(5000))
    for align in (1, 4, 8):
        truth = [100 + i for i in range(len(data) - 2) if data[i : i + 3] == b"\1\2\0" and (100 + i) % align == 0]
        assert list(find_aligned(memoryview(data), 100, b"\1\2\0", align)) == truth


def test_packed_relocations() -> None:
    """gABI: an even word is a place; bit i of an odd one (from 1) is the place i - 1 words after those before."""
    words = [0x1000, 0b1011, (1 << 63) | 1, 0x9000]
    bitmap_start = 0x1008
    expected = [0x1000, bitmap_start, bitmap_start + 16, bitmap_start + 63 * 8 + 62 * 8, 0x9000]
    places = _unpack_relr(memoryview(np.array(words, "<u8").tobytes()))
    assert places.tolist() == expected
    assert Image.__doc__
