"""Cores compressed with zstd: written in frames that stand alone, read into memory without unpacking to a disk.

What is written is the seekable format (contrib/seekable_format of zstd): frames of 4 MB, then a table of their sizes in
a skippable frame, so that every zstd tool unpacks it. One more skippable frame says where the core's holes were. Files
that others compressed (systemd-coredump, ``zstd core``) are read too, from front to back.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from msgspec import Struct

from mapscope.errors import EvidenceError
from mapscope.evidence.memory import PAGE
from mapscope.units import human_bytes

FRAME = 4 << 20
"""Bytes of the core in one frame."""
_FRAME_LIMIT = 64 << 20
_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_HOLES, _TABLE, _SEEKABLE = 0x184D2A5B, 0x184D2A5E, 0x8F92EAB1
_HOLES_MARK = b"mapscope data ranges 1\0\0"
_FOOTER = struct.Struct("<IBI")
_CHECKSUMS = 0x80
_WINDOW_LIMIT = 128 << 20
_ROOM = 0.8
"""Part of the available memory that an unpacked core may take."""
_STEP = 1 << 20
_MAX_CORE = 1 << 46
_MAX_FRAMES = 1 << 22
"""16 TB of core."""
_EMPTY, _EMPTY_SHIFT = 1 << 35, 9
"""A file that unpacks to so much, and less than one 512th of it anything but zeros, is no core."""
_LEVEL = 3

Range = tuple[int, int]
Write = Callable[[bytes], None]
Progress = Callable[[int, int], None]


def is_packed(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as zstd does. OSError when it cannot be read."""
    with open(path, "rb") as stream:
        start = stream.read(4)
    return start == _MAGIC or (len(start) == 4 and int.from_bytes(start, "little") in _SKIPPABLE)


def _workers() -> int:
    return min(4, os.cpu_count() or 1)


# ---------------------------------------------------------------------------------------------------------- writing


def pack(core: int, ranges: list[Range], write: Write, progress: Progress | None = None) -> None:
    """Compresses the file descriptor ``core``, whose data lie in ``ranges``, and hands the pieces to ``write``."""
    import zstandard

    size = os.fstat(core).st_size
    zeros: dict[int, bytes] = {}

    def one(at: int) -> tuple[int, bytes]:
        length = min(FRAME, size - at)
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
        if not _touches(ranges, at, at + length):
            if length not in zeros:
                zeros[length] = compressor.compress(bytes(length))
            return length, zeros[length]
        return length, compressor.compress(os.pread(core, length, at))

    entries = []
    with ThreadPoolExecutor(_workers()) as pool:
        done = 0
        for group in _groups(range(0, size, FRAME), _workers() * 2):
            for length, data in pool.map(one, group):
                write(data)
                entries.append((len(data), length))
                done += length
                if progress:
                    progress(done, size)
    holes = _HOLES_MARK + b"".join(struct.pack("<QQ", *each) for each in ranges)
    write(struct.pack("<II", _HOLES, len(holes)) + holes)
    entries.append((8 + len(holes), 0))
    table = b"".join(struct.pack("<II", *each) for each in entries) + _FOOTER.pack(len(entries), 0, _SEEKABLE)
    write(struct.pack("<II", _TABLE, len(table)) + table)


def _groups(places: range, count: int) -> Iterator[range]:
    for at in range(0, len(places), count):
        yield places[at : at + count]


def _touches(ranges: list[Range], start: int, end: int) -> bool:
    low, high = 0, len(ranges)
    while low < high:  # the first range that ends behind start
        mid = (low + high) // 2
        if ranges[mid][1] <= start:
            low = mid + 1
        else:
            high = mid
    return low < len(ranges) and ranges[low][0] < end


# ---------------------------------------------------------------------------------------------------------- reading


class Unpacked(Struct, frozen=True):
    """A core in memory."""

    mapping: mmap.mmap
    ranges: list[Range]
    """Where its data lie; the rest are zeros that take no memory."""


def unpack(path: str | os.PathLike[str]) -> Unpacked:
    """Unpacks a compressed core into memory.

    Raises EvidenceError when the file is broken or cut short, and when it holds more than there is memory for: what the
    file claims is held against the free memory before any of it is believed.
    """
    with open(path, "rb") as stream:
        length = os.fstat(stream.fileno()).st_size
        data = mmap.mmap(stream.fileno(), length, access=mmap.ACCESS_READ)
    view = memoryview(data)
    frames = _table(data, length)
    return _seek(path, view, frames) if frames is not None else _stream(path, view)


class _Frame(Struct, frozen=True):
    number: int
    at: int
    size: int
    start: int
    """Where its bytes lie in the core."""
    length: int


def _table(data: mmap.mmap, length: int) -> list[_Frame] | None:
    """The frames by the table at the end; None where there is none that fits the file in every respect."""
    if length < _FOOTER.size + 8:
        return None
    count, descriptor, magic = _FOOTER.unpack_from(data, length - _FOOTER.size)
    width = 12 if descriptor & _CHECKSUMS else 8
    whole = 8 + count * width + _FOOTER.size
    if magic != _SEEKABLE or whole > length or count > _MAX_FRAMES:
        return None
    if struct.unpack_from("<II", data, length - whole) != (_TABLE, whole - 8):
        return None
    words = np.frombuffer(data, "<u4", count * width // 4, length - whole + 8).reshape(count, width // 4)
    packed, unpacked = words[:, 0].astype(np.int64), words[:, 1].astype(np.int64)
    if int(packed.sum()) + whole != length or int(unpacked.max(initial=0)) > _FRAME_LIMIT:
        return None
    at, start = np.cumsum(packed) - packed, np.cumsum(unpacked) - unpacked
    columns = (at.tolist(), packed.tolist(), start.tolist(), unpacked.tolist())
    return [_Frame(number, *each) for number, each in enumerate(zip(*columns, strict=True))]


def _seek(path: str | os.PathLike[str], view: memoryview, frames: list[_Frame]) -> Unpacked:
    """All frames that hold data, several at a time."""
    size = frames[-1].start + frames[-1].length if frames else 0
    ranges = _data_ranges(view, frames, size)
    wanted = [each for each in frames if each.length and _touches(ranges, each.start, each.start + each.length)]
    _check_room(path, sum(each.length for each in wanted))
    mapping = _area(path, size)

    def one(frame: _Frame) -> None:
        mapping[frame.start : frame.start + frame.length] = _frame(path, view, frame, len(frames))

    with ThreadPoolExecutor(_workers()) as pool:
        for group in _groups(range(len(wanted)), _workers() * 4):
            list(pool.map(one, (wanted[index] for index in group)))
    return Unpacked(mapping, ranges)


def _frame(path: str | os.PathLike[str], view: memoryview, frame: _Frame, count: int) -> bytes:
    import zstandard

    packed = view[frame.at : frame.at + frame.size]
    try:
        if zstandard.frame_content_size(packed) == frame.length:
            data: bytes = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT).decompress(packed)
            if len(data) == frame.length:
                return data
        reason = "it holds another number of bytes than the table says"
    except zstandard.ZstdError as error:
        reason = _words(error)
    raise EvidenceError(f"{path}: frame {frame.number + 1} of {count} is broken: {reason}", _COPY_AGAIN)


_UNPACK = "unpack it to a disk, where it is mapped and not read whole: zstd -d --sparse FILE"
_COPY_AGAIN = "copy the file again, whole; `zstd -t FILE` says whether it is"


def _words(error: Exception) -> str:
    return str(error).rpartition(": ")[2].strip() or "not zstd"


def _data_ranges(view: memoryview, frames: list[_Frame], size: int) -> list[Range]:
    """What the core's writer said of holes; all of it where nothing was said or what was said does not fit."""
    for frame in frames:
        head = view[frame.at : frame.at + 8 + len(_HOLES_MARK)]
        if frame.length or len(head) < 8 + len(_HOLES_MARK):
            continue
        magic, length = struct.unpack_from("<II", head)
        if magic == _HOLES and length + 8 == frame.size and bytes(head[8:]) == _HOLES_MARK:
            if length > 16 * _MAX_FRAMES:
                break
            pairs = np.frombuffer(view[frame.at + 8 + len(_HOLES_MARK) : frame.at + frame.size], "<u8")
            flat = pairs[: len(pairs) // 2 * 2]
            if len(flat) and (flat <= size).all() and (flat[1:] >= flat[:-1]).all():
                return [(start, end) for start, end in flat.reshape(-1, 2).tolist() if end > start]
    return [(0, size)] if size else []


def _room() -> int:
    """Bytes that may be unpacked into memory."""
    from mapscope.evidence.copier import available_bytes  # which brings all of capture, for a core that is not packed

    return int(available_bytes() * _ROOM)


def _stream(path: str | os.PathLike[str], view: memoryview) -> Unpacked:
    """From front to back, growing; pages of zeros take no memory and count as holes."""
    room = _room()
    mapping: mmap.mmap | None = None
    size = used = 0
    ranges: list[Range] = []
    for data in _inflated(path, view):
        need = size + len(data)
        if mapping is None:
            mapping = _area(path, max(_STEP, _round(need)))
        elif need > len(mapping):
            mapping.resize(_round(max(need, len(mapping) * 2)))
        for start, end in _filled(data, size):
            used += end - start
            if used > room:
                _check_room(path, used)
            mapping[start:end] = data[start - size : end - size]
            if ranges and ranges[-1][1] == start:
                start = ranges.pop()[0]
            ranges.append((start, end))
        size = need
        if size > _EMPTY and used < size >> _EMPTY_SHIFT:
            raise EvidenceError(f"{path}: unpacks to more than {human_bytes(size)} of zeros", "this is no core")
    if mapping is None:
        raise EvidenceError(f"{path}: there is nothing in it", "give the path of a complete core file")
    mapping.resize(size)
    return Unpacked(mapping, ranges)


def _inflated(path: str | os.PathLike[str], view: memoryview) -> Iterator[bytes]:
    """The bytes of all frames, in pieces that begin on page borders."""
    import zstandard

    at = 0
    left = b""
    while at < len(view):
        inflater: Any = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT).decompressobj()
        try:
            while at < len(view) and not inflater.eof:
                step = view[at : at + _STEP]
                left += inflater.decompress(step)
                at += len(step)
                if len(left) >= PAGE:
                    whole = len(left) // PAGE * PAGE
                    yield left[:whole]
                    left = left[whole:]
        except zstandard.ZstdError as error:
            raise EvidenceError(f"{path}: broken near byte {at:,}: {_words(error)}", _COPY_AGAIN) from error
        if not inflater.eof:
            raise EvidenceError(f"{path}: cut short inside a frame", _COPY_AGAIN)
        at -= len(inflater.unused_data)
    if left:
        yield left


def _filled(data: bytes, base: int) -> Iterable[Range]:
    """Runs of pages that are not all zeros."""
    whole = len(data) // PAGE * PAGE
    some = np.frombuffer(data, np.uint8, whole).reshape(-1, PAGE).any(axis=1)
    edges = np.flatnonzero(np.diff(some, prepend=False, append=False)).reshape(-1, 2) * PAGE
    yield from ((base + start, base + end) for start, end in edges.tolist())
    if whole < len(data):
        yield base + whole, base + len(data)


def _round(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _area(path: str | os.PathLike[str], size: int) -> mmap.mmap:
    if not 0 < size <= _MAX_CORE:
        raise EvidenceError(f"{path}: there is nothing in it", "give the path of a complete core file")
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    try:
        return mmap.mmap(-1, size, flags=flags)
    except (OSError, OverflowError) as error:
        raise EvidenceError(f"{path}: no room for {human_bytes(size)} of address space", _UNPACK) from error


def _check_room(path: str | os.PathLike[str], need: int) -> None:
    room = _room()
    if need > room:
        raise EvidenceError(
            f"{path}: unpacks to {human_bytes(need)} or more, and there is memory for {human_bytes(room)}",
            _UNPACK,
        )
