"""Compressed cores: what is written is what the zstd library unpacks, what is broken is said in one line."""

from __future__ import annotations

import io
import os
import random
import struct
from pathlib import Path

import pytest
import zstandard

from mapscope.errors import EvidenceError
from mapscope.evidence import copier, packed
from mapscope.evidence.core import data_ranges
from mapscope.evidence.packed import is_packed, pack, unpack

FRAME = 64 << 10
PAGE = 4096


@pytest.fixture(autouse=True)
def small_frames(monkeypatch):
    monkeypatch.setattr(packed, "FRAME", FRAME)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A sparse file: noise, a hole of several frames, text, resident zeros, a hole at the end, an odd length."""
    path = tmp_path / "plain"
    noise = random.Random(3).randbytes(FRAME + PAGE)
    with path.open("wb") as file:
        file.write(noise)
        file.seek(5 * FRAME)
        file.write(b"mapscope" * 1024)
        file.write(bytes(2 * PAGE))
        file.truncate(9 * FRAME + 123)
    return path


def packed_of(plain: Path) -> bytes:
    out = io.BytesIO()
    with plain.open("rb") as file:
        pack(file.fileno(), data_ranges(plain), lambda data: out.write(data) and None)
    return out.getvalue()


def inflated(data: bytes) -> bytes:
    """By the zstd library's own stream reader."""
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        return reader.read()


def broken(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "broken.zst"
    path.write_bytes(data)
    assert is_packed(path)
    with pytest.raises(EvidenceError) as error:
        unpack(path)
    assert "\n" not in str(error.value)
    assert error.value.hint
    return str(error.value)


def test_it_comes_back_with_its_holes(plain: Path, tmp_path: Path):
    data = packed_of(plain)
    assert inflated(data) == plain.read_bytes()
    path = tmp_path / "core.zst"
    path.write_bytes(data)
    assert is_packed(path)
    assert not is_packed(plain)
    found = unpack(path)
    assert bytes(found.mapping) == plain.read_bytes()
    assert found.ranges == data_ranges(plain)
    assert len(found.ranges) >= 2


def test_each_frame_stands_alone_and_the_table_says_where(plain: Path):
    """Read back as the format's description says it: from the footer to the table to each frame."""
    data = packed_of(plain)
    count, descriptor, magic = struct.unpack("<IBI", data[-9:])
    assert (descriptor, magic) == (0, 0x8F92EAB1)
    table = data[-9 - 8 * count : -9]
    assert struct.unpack("<II", data[-17 - 8 * count : -9 - 8 * count]) == (0x184D2A5E, 8 * count + 9)
    at, out = 0, b""
    for size, length in struct.iter_unpack("<II", table):
        if length:
            assert length <= FRAME
            out += zstandard.ZstdDecompressor().decompress(data[at : at + size])
        at += size
    assert at == len(data) - 17 - 8 * count
    assert out == plain.read_bytes()


@pytest.mark.parametrize("frames", [1, 3])
def test_files_of_others_are_read_too(plain: Path, tmp_path: Path, frames: int):
    whole = plain.read_bytes()
    step = -(-len(whole) // frames)
    path = tmp_path / "core.zst"
    parts = [zstandard.ZstdCompressor(write_content_size=False).compress(whole[at : at + step]) for at in range(0, len(whole), step)]  # fmt: skip  # noqa: E501
    path.write_bytes(struct.pack("<II", 0x184D2A50, 3) + b"abc" + b"".join(parts))
    found = unpack(path)
    assert bytes(found.mapping) == whole
    covered = bytearray(len(whole))
    for start, end in found.ranges:
        covered[start:end] = whole[start:end]
    assert covered == whole
    assert sum(end - start for start, end in found.ranges) < 3 * FRAME


def test_every_cut_is_said_or_gives_a_shorter_core(plain: Path, tmp_path: Path):
    data = packed_of(plain)
    seen = set()
    for cut in sorted({5, 9, 100, FRAME // 2, *range(len(data) - 400, len(data), 7)}):
        path = tmp_path / "cut.zst"
        path.write_bytes(data[:cut])
        try:
            found = unpack(path)
        except EvidenceError as error:
            seen.add(str(error).removeprefix(f"{path}: "))
        else:  # cut behind a whole frame: what there is of it is right
            assert plain.read_bytes().startswith(bytes(found.mapping))
    assert "cut short inside a frame" in seen


def test_every_broken_frame_is_named(plain: Path, tmp_path: Path):
    data = packed_of(plain)
    count = struct.unpack("<I", data[-9:-5])[0]
    entries = list(struct.iter_unpack("<II", data[-9 - 8 * count : -9]))
    at = 0
    for number, (size, length) in enumerate(entries, 1):
        if length and size > 100:  # frames of data; those of holes are not even looked at
            spoiled = bytearray(data)
            spoiled[at + size // 2] ^= 0xFF
            assert f"frame {number} of {count} is broken: " in broken(tmp_path, bytes(spoiled))
        at += size


def test_tables_that_lie_are_not_believed(plain: Path, tmp_path: Path):
    data = packed_of(plain)
    count = struct.unpack("<I", data[-9:-5])[0]
    first = len(data) - 9 - 8 * count
    longer = bytearray(data)
    struct.pack_into("<I", longer, first + 4, FRAME * 2)
    assert "frame 1 of" in broken(tmp_path, bytes(longer))
    huge = bytearray(data)  # a frame of 4 GB: read from front to back instead, and right
    struct.pack_into("<I", huge, first + 4, (1 << 32) - 1)
    many = bytearray(data)
    struct.pack_into("<I", many, len(data) - 9, (1 << 32) - 1)
    for each in (huge, many):
        path = tmp_path / "lies.zst"
        path.write_bytes(each)
        assert bytes(unpack(path).mapping) == plain.read_bytes()


def test_bombs_are_held_against_the_memory(monkeypatch, tmp_path: Path):
    noise = zstandard.ZstdCompressor().compress(b"\1" * (32 << 20))
    monkeypatch.setattr(copier, "available_bytes", lambda: 20 << 20)
    assert "unpacks to" in broken(tmp_path, noise)
    table = struct.pack("<II", len(noise), 32 << 20) + struct.pack("<IBI", 1, 0, 0x8F92EAB1)
    assert "unpacks to 33.6 MB or more, and there is memory for 16.8 MB" in broken(
        tmp_path, noise + struct.pack("<II", 0x184D2A5E, len(table)) + table
    )
    monkeypatch.setattr(packed, "_EMPTY", 1 << 20)
    assert "of zeros" in broken(tmp_path, zstandard.ZstdCompressor().compress(bytes(2 << 20)))


@pytest.mark.parametrize(
    "data", [b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd" + bytes(40), struct.pack("<II", 0x184D2A50, 4)]
)
def test_what_only_begins_like_zstd(tmp_path: Path, data: bytes):
    broken(tmp_path, data)


def test_an_empty_frame(tmp_path: Path):
    assert "there is nothing in it" in broken(tmp_path, zstandard.ZstdCompressor().compress(b""))


def test_a_full_disk_while_packing(plain: Path):
    def full(_: bytes) -> None:
        raise OSError(28, os.strerror(28))

    with plain.open("rb") as file, pytest.raises(OSError, match="No space left"):
        pack(file.fileno(), data_ranges(plain), full)
