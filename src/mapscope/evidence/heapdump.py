"""A file of ``runtime/debug.WriteHeapDump`` (runtime/heapdump.go; the header is ``go1.7 heap dump`` up to Go 1.27).

It holds every allocated object with its pointer fields, the data and bss segments, the frames of all goroutines that do
not run, finalizers, itabs and the runtime's statistics. It has no type of any object, no executable's name, no spans,
no registers and no memory outside: nothing of ``.noptrdata``, ``.noptrbss`` and the read-only parts of the program.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope._kernels.reference.dump import CUT, DONE, FULL, OTHERS, POSITION, SPANS
from mapscope.errors import EvidenceError
from mapscope.evidence.core import Thread

I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]

HEADER: Final = b"go1.7 heap dump\n"
OTHER_ROOT, TYPE, GOROUTINE, FRAME, PARAMS, FINALIZER, ITAB, THREAD, STATS, QUEUED, DATA, BSS = range(2, 14)
"""Tags of the records that are looked at (``tagOtherRoot`` … ``tagBSS``)."""
SHAPES: Final = (
    b"",
    b"vsf",  # object: address, contents, fields
    b"sv",  # other root: description, pointer
    b"vvsv",  # type: address, size, name, whether the data word of an interface is a pointer
    b"vvvvvvvvsvvvv",  # goroutine: g, sp, id, gopc, status, 2 flags, waitsince, reason, ctxt, m, defer, panic
    b"vvvsvvvsf",  # frame: sp, depth, sp of the callee, contents, entry, pc, continpc, function, fields
    b"vvvvssv",  # parameters: big-endian, word size, start and end of the arenas, GOARCH, version, processors
    b"vvvvv",  # finalizer: object, closure, code, type of its parameter, type of the object's pointer
    b"vv",  # itab: address, type
    b"vvv",  # thread: m, id, the system's id
    b"v" * 281,  # MemStats, in its order, without EnableGC, DebugGC and BySize
    b"vvvvv",  # finalizer that is due: as above
    b"vsf",  # data segment: address, contents, fields
    b"vsf",  # bss segment
    b"vvvvvvv",  # defer record
    b"vvvvvv",  # panic record
    b"vvmvv",  # allocation site
    b"vv",  # sampled object
)
"""Shape of each record by its tag; see the kernel ``dump``."""
_KEPT: Final = bytes(1 if OTHER_ROOT <= tag <= BSS else 0 for tag in range(len(SHAPES)))

CLASS_TO_SIZE: Final = (
    8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448, 480,
    512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864,
    5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480,
    21760, 24576, 27264, 28672, 32768,
)  # fmt: skip
CLASS_TO_PAGES: Final = (
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 2, 1, 2,
    1, 3, 2, 3, 1, 3, 2, 3, 4, 5, 6, 1, 7, 6, 5, 4, 3, 5, 7, 2, 9, 7, 5, 8, 3, 10, 7, 4,
)  # fmt: skip
"""Size classes and the pages of a span of each, the same from 1.19 to 1.27 (runtime/sizeclasses.go; from 1.25
internal/runtime/gc/sizeclasses.go)."""

_MAX_TEXT = 1 << 16
_FIRST_ROWS = 1 << 12
_AGAIN = "write it again (debug.WriteHeapDump returns when the file is whole), and copy it whole"


class Params(Struct, frozen=True):
    """What the dump says of the process: [start, end) of the heap's arenas, GOARCH, and the release."""

    arena_start: int
    arena_end: int
    arch: str
    go_version: str


class HeapDump(Struct, frozen=True):
    """An opened heap dump."""

    path: Path
    data: npt.NDArray[np.uint8]
    """The whole file, mapped."""
    params: Params
    spans: I8
    """Runs of objects, as kernel ``dump`` makes them, in the order of the file."""
    stats: tuple[int, ...]
    """``MemStats``, in the order of its record."""
    missing: tuple[str, ...]
    """One sentence for each thing that the report may miss."""
    _offsets: dict[int, I8]

    kind = "heap dump"
    threads: tuple[Thread, ...] = ()
    """None: a heap dump has no registers."""

    def __repr__(self) -> str:
        """Without what lies in it."""
        return f"HeapDump({str(self.path)!r})"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> HeapDump:
        """Maps the dump and walks its records once.

        Raises:
            EvidenceError: the file cannot be opened, is cut short or spoiled, or of a process that is not 64-bit
                little-endian.
        """
        data = _mapped(path)
        state = np.zeros(5, dtype=np.int64)
        state[POSITION] = len(HEADER)
        spans, others = _walk(path, data, state)
        missing = []
        rest = len(data) - int(state[POSITION])
        if rest:
            missing.append(f"{rest:,} bytes behind the end of the dump were not looked at")
        offsets = {tag: others[others[:, 0] == tag, 1] for tag in range(OTHER_ROOT, BSS + 1)}
        for tag, what in ((PARAMS, "parameters"), (DATA, "data segment"), (BSS, "bss segment"), (STATS, "statistics")):
            if len(offsets[tag]) != 1:
                raise EvidenceError(f"{path}: the heap dump has {len(offsets[tag])} records of its {what}", _AGAIN)
        stats = tuple(_decode(data, STATS, offsets[STATS])[0].tolist())
        return cls(Path(path), data, _params(path, data, offsets[PARAMS]), spans, stats, tuple(missing), offsets)

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return len(self.data)

    @property
    def pid(self) -> int | None:
        """Of the process: the system's id of its first thread (the runtime's thread 0); None when it is not listed."""
        threads = self.records(THREAD)
        first = threads[threads[:, 1] == 0, 2].tolist()
        return int(first[0]) if len(first) == 1 and 0 < first[0] < 1 << 31 else None

    def records(self, tag: int) -> U8:
        """The records of one kind as rows of numbers, in the order of the file; see ``SHAPES`` and kernel ``dump``."""
        return _decode(self.data, tag, self._offsets[tag])

    def text(self, at: int, size: int) -> str:
        """A string of the dump; empty when it is too long to be a name."""
        return bytes(self.data[at : at + size]).decode("utf-8", "replace") if size <= _MAX_TEXT else ""

    def pointer_bits(self, at: int, size: int) -> npt.NDArray[np.uint8] | None:
        """A bit a word, lowest first, for the pointer fields listed at ``at``, of a run of ``size`` bytes."""
        bits = np.zeros(size // 64 + 1, dtype=np.uint8)
        return None if load("dump").field_bits(self.data, at, size, bits) else bits


def is_heap_dump(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins as a heap dump of any release does; False also when it cannot be read."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(32).partition(b"\n")
    except OSError:
        return False
    return head[0].startswith(b"go1.") and head[0].endswith(b" heap dump") and head[1] == b"\n"


def class_pages() -> npt.NDArray[np.uint8]:
    """By size / 8, the pages of a span whose slots have that size; 0: there are none."""
    pages = np.zeros(CLASS_TO_SIZE[-1] // 8 + 1, dtype=np.uint8)
    pages[np.array(CLASS_TO_SIZE) // 8] = CLASS_TO_PAGES
    return pages


def _mapped(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    try:
        with open(path, "rb") as stream:
            whole = mmap.mmap(stream.fileno(), os.fstat(stream.fileno()).st_size, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{path}: cannot open the heap dump: {error}", "check the path") from error
    data = np.frombuffer(whole, dtype=np.uint8)
    if bytes(data[: len(HEADER)]) != HEADER:
        name = bytes(data[: len(HEADER)]).partition(b"\n")[0].decode("ascii", "replace")
        raise EvidenceError(f"{path}: {name!r} is a format of heap dumps that mapscope does not read", _AGAIN)
    return data


def _walk(path: str | os.PathLike[str], data: npt.NDArray[np.uint8], state: I8) -> tuple[I8, I8]:
    """All spans and the places of all other records that are looked at."""
    spans, others = np.zeros((_FIRST_ROWS, 5), dtype=np.int64), np.zeros((_FIRST_ROWS, 2), dtype=np.int64)
    pages, scan = class_pages(), load("dump").scan
    while (answer := scan(data, SHAPES, _KEPT, pages, state, spans, others)) == FULL:
        if state[SPANS] >= len(spans):
            spans = np.concatenate([spans, np.zeros_like(spans)])
        if state[OTHERS] >= len(others):
            others = np.concatenate([others, np.zeros_like(others)])
    at = f"byte {int(state[POSITION]):,} of {len(data):,}"
    if answer == CUT:
        raise EvidenceError(f"{path}: the heap dump ends inside the record at {at}: it is cut short", _AGAIN)
    if answer != DONE:
        raise EvidenceError(f"{path}: the record of the heap dump at {at} makes no sense: it is damaged", _AGAIN)
    return spans[: int(state[SPANS])].copy(), others[: int(state[OTHERS])].copy()


def _decode(data: npt.NDArray[np.uint8], tag: int, offsets: I8) -> U8:
    shape = SHAPES[tag]
    out = np.zeros((len(offsets), len(shape) + shape.count(b"s")), dtype=np.uint64)
    done = load("dump").decode(data, shape, np.ascontiguousarray(offsets), out)
    return out[:done]


def _params(path: str | os.PathLike[str], data: npt.NDArray[np.uint8], offsets: I8) -> Params:
    row = _decode(data, PARAMS, offsets)[0].tolist()
    big, word, start, end = row[:4]
    arch, version = (
        bytes(data[at : at + min(size, 256)]).decode("utf-8", "replace") for at, size in (row[4:6], row[6:8])
    )
    if big or word != 8 or arch not in ("amd64", "arm64"):
        raise EvidenceError(
            f"{path}: a heap dump of a process on {arch!r} with words of {word} bytes", "mapscope reads amd64 and arm64"
        )
    if not version.isprintable() or not 0 <= start <= end < 1 << 48:
        raise EvidenceError(f"{path}: the parameters of the heap dump make no sense: it is damaged", _AGAIN)
    return Params(start, end, arch, version)


__all__ = ["CLASS_TO_PAGES", "CLASS_TO_SIZE", "HEADER", "HeapDump", "Params", "class_pages", "is_heap_dump"]
