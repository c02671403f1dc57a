"""From the runtime's spans to the index of the heap: the plain version of _spantable.pyx.

``columns`` is uint64, a row a field of ``mspan`` (:data:`FIELDS`) and a column a span. ``chunk_slot`` and ``page_host``
are those of a PageTable, ``spans`` the bytes of SPAN_DTYPE.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint64]

FIELDS: Final = ("state", "spanclass", "startAddr", "npages", "elemsize", "nelems")
NOTHING, GOOD, BAD, OWN = range(4)
"""Verdicts: not in use, in use and fit to be, in use but not fit, in manual state (stacks, work buffers)."""

_IN_USE, _MANUAL = 1, 2
"""``mSpanInUse``, ``mSpanManual`` of runtime/mheap.go."""
_GO_PAGE: Final = 8192
_CHUNK: Final = np.uint64(26)
_MOST_PAGES: Final = 1 << 35
_CLASSES: Final = 68 * 2
"""``numSpanClasses``."""
_SPAN: Final = np.dtype(
    [
        *((name, "<u8") for name in ("base", "elemsize", "host", "first", "maskbit", "bytes")),
        *(("nelems", "<u4"), ("divmul", "<u4"), ("noscan", "u1"), ("header", "u1"), ("pad", "V6")),
    ]
)

_KIND: Final = np.dtype(
    [*((name, "<u4") for name in ("divmul", "nelems", "elemsize")), ("noscan", "u1"), ("header", "u1"), ("pad", "V2")]
)


def pages(chunk_slot: npt.NDArray[np.int32], runs: U8, page_host: U8) -> None:
    """Where the pages of ``runs`` lie in this process.

    A run is (first page, the one behind the last, host address of the first, bytes from one to the next there). Pages
    of chunks without a slot are passed over.
    """
    there = np.flatnonzero(chunk_slot > 0)
    for first, last, host, step in runs.tolist():
        for chunk in there[(there >= first >> 14) & (there <= last - 1 >> 14)].tolist():
            low, high = max(first, chunk << 14), min(last, chunk + 1 << 14)
            at = (int(chunk_slot[chunk]) << 14) + (low & 16383)
            if at + high - low <= len(page_host):
                page = np.arange(low - first, high - first, dtype=np.uint64)
                page_host[at : at + high - low] = np.uint64(host) + page * np.uint64(step)


def judge(
    columns: U8, ok: npt.NDArray[np.uint8], arena: npt.NDArray[np.uint8], most: int, verdict: npt.NDArray[np.uint8]
) -> None:
    """The verdict on each span.

    ``ok``: which were read; ``arena``: by address >> 26, whether an arena of the heap lies there; ``most``: slots that
    a span can have.
    """
    state, spanclass, base, pages, size, count = columns
    chunk = base >> _CHUNK
    inside = chunk < len(arena)
    inside[inside] = arena[chunk[inside].astype(np.int64)] != 0
    inside &= (base % np.uint64(_GO_PAGE) == 0) & (pages < _MOST_PAGES)
    whole = np.minimum(pages, np.uint64(_MOST_PAGES)) * np.uint64(_GO_PAGE)
    fits = inside & (pages > 0) & (size >= 8) & (size <= whole) & (count > 0) & (count <= most)
    fits &= (count <= whole // np.maximum(size, np.uint64(1))) & (spanclass < _CLASSES)
    there = ok != 0
    verdict[:] = NOTHING
    verdict[there & (state == _IN_USE)] = BAD
    verdict[there & (state == _IN_USE) & fits] = GOOD
    verdict[there & (state == _MANUAL) & inside] = OWN


def apart(base: U8, size: U8, chunk_slot: npt.NDArray[np.int32], keep: npt.NDArray[np.uint8]) -> None:
    """Which of the ascending spans overlap none before them and lie in chunks that follow each other."""
    if not len(base):
        return
    end = base + size
    highest = np.concatenate(([np.uint64(0)], np.maximum.accumulate(end)[:-1]))
    first, last = base >> _CHUNK, (end - np.uint64(1)) >> _CHUNK
    inside = last < len(chunk_slot)
    room = np.uint64(len(chunk_slot) - 1)
    low, high = (chunk_slot[np.minimum(one, room).astype(np.int64)] for one in (first, last))
    follow = (high - low).astype(np.int64) == (last - first).astype(np.int64)
    keep[:] = inside & (base >= highest) & (low > 0) & (high > 0) & follow


def write(columns: U8, order: npt.NDArray[np.int64], spans: npt.NDArray[np.uint8]) -> None:
    """The fields that the runtime tells, of the spans ``order`` (indexes of columns)."""
    out = spans.view(_SPAN)
    out["base"], out["elemsize"] = columns[2][order], columns[4][order]
    out["bytes"], out["nelems"] = columns[3][order] * np.uint64(_GO_PAGE), columns[5][order]
    out["noscan"] = columns[1][order] & np.uint64(1)


def place(
    chunk_slot: npt.NDArray[np.int32], page_host: U8, spans: npt.NDArray[np.uint8], page_span: npt.NDArray[np.int32]
) -> int:
    """The fields of spans that the evidence tells, and the table from pages to spans. Answers how many slots there are.

    ``spans`` are ascending and overlap nowhere. ``page_span``: int32 by ``slot << 13 | 8 KB page in chunk``. ValueError
    for a span that the tables have no room for.
    """
    out = spans.view(_SPAN)
    if not len(out):
        return 0
    counts = out["nelems"].astype(np.int64)
    out["first"] = np.cumsum(counts) - counts
    chunk = out["base"] >> _CHUNK
    slots = chunk_slot[np.minimum(chunk, np.uint64(len(chunk_slot) - 1)).astype(np.int64)].astype(np.int64)
    slots[chunk >= len(chunk_slot)] = 0
    within = (out["base"] & np.uint64((1 << 26) - 1)).astype(np.int64)
    out["maskbit"] = (slots << 23) + (within >> 3)
    sizes = np.maximum(out["elemsize"], np.uint64(1))
    out["divmul"] = np.where(counts > 1, (np.uint64(1 << 32) + sizes - np.uint64(1)) // sizes, np.uint64(0))
    pages = (np.minimum(out["bytes"], np.uint64(1 << 48)) // np.uint64(_GO_PAGE)).astype(np.int64)
    first = (slots << 13) + (within >> 13)
    if (slots <= 0).any() or (first + pages > len(page_span)).any() or (2 * (first + pages) > len(page_host)).any():
        raise ValueError("a span outside of the page table")
    for i, (at, size) in enumerate(zip(first.tolist(), pages.tolist(), strict=True)):
        page_span[at : at + size] = i
    out["host"] = _one_piece(page_host, (slots << 14) + (within >> 12), pages * 2)
    return int(counts.sum())


def _one_piece(host: U8, first: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> U8:
    """Host address of each run of 4 KB pages that lies in one piece in the evidence, else 0."""
    follows = np.zeros(len(host), dtype=np.int64)
    follows[1:] = (host[1:] == host[:-1] + np.uint64(4096)) & (host[:-1] != 0)
    broken = np.concatenate(([0], np.cumsum(1 - follows)))
    whole = broken[first + count] - broken[first + 1] == 0
    return np.where(whole & (host[first] != 0), host[first], np.uint64(0))


def targets(
    chunk_slot: npt.NDArray[np.int32],
    spans: npt.NDArray[np.uint8],
    holds: npt.NDArray[np.uint8],
    pages: U8,
    kinds: npt.NDArray[np.uint8],
) -> None:
    """What a page and the kind of its span tell of a pointer there: the tables of goruntime/targets.py, zeros at first.

    Which number a kind has is not said, nor which kinds have none where there are many.
    """
    of, rows = kinds.view(_KIND), spans.view(_SPAN)
    numbers: dict[tuple[int, ...], int] = {}
    for row in rows:
        kind = 0
        if row["nelems"] > 1 and row["elemsize"] < 1 << 32 and row["bytes"] <= _GO_PAGE << 16:
            key = tuple(int(row[name]) for name in ("divmul", "nelems", "elemsize", "noscan", "header"))
            if key not in numbers and len(numbers) + 1 < len(of):
                numbers[key] = len(numbers) + 1
                of[numbers[key]] = (*key, b"")
            kind = numbers.get(key, 0)
        base, count = int(row["base"]), int(row["bytes"]) // _GO_PAGE
        at = (int(chunk_slot[base >> 26]) << 13) + (base >> 13 & 8191)
        if at + count <= len(pages):
            within = np.arange(count, dtype=np.uint64) if kind else np.zeros(count, dtype=np.uint64)
            holds[at : at + count] = 2 if row["noscan"] else 1
            pages[at : at + count] = np.uint64(int(row["first"]) << 32 | kind << 16) | within
