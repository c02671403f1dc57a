"""``mapscope maps``: which maps, in which order, as a table or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mapscope.maps.model import MapTable
from mapscope.report.document import MapRow, SwissMap
from mapscope.report.escape import csv_cell
from mapscope.report.rows import map_rows
from mapscope.report.style import Style, next_commands
from mapscope.report.text import map_table

Rows = npt.NDArray[np.int64]

SORTS = ("waste", "bytes", "count", "address", "type")
"""What ``--sort`` takes. Sizes and counts are largest first; addresses and types are ascending."""

_CSV_HEADS = (
    "address", "type", "generation", "count", "capacity", "load_factor", "state", "confidence", "place",
    "total_bytes", "needed_bytes", "waste_bytes",
)  # fmt: skip


def choose(maps: MapTable, sort: str, pattern: str | None = None) -> Rows:
    """Rows that match ``pattern``, in the order of ``sort``; ties by address."""
    key: npt.NDArray[np.generic]
    rows = np.arange(len(maps)) if pattern is None else np.flatnonzero(_matches(maps, pattern))
    if sort == "address":
        key = np.zeros(len(rows), np.int64)
    elif sort == "type":
        ranks = {name: rank for rank, name in enumerate(sorted({t.name for t in maps.types}))}
        rank_of = np.array([ranks[t.name] for t in maps.types] + [len(ranks)], np.int64)
        key = rank_of[maps.columns["type_index"][rows]]
    else:
        column = maps.columns[{"waste": "waste_bytes", "bytes": "total_bytes", "count": "count"}[sort]]
        key = np.iinfo(np.uint64).max - column[rows].astype(np.uint64)
    return rows[np.lexsort((maps.columns["address"][rows], key))]


def _matches(maps: MapTable, pattern: str) -> npt.NDArray[np.bool_]:
    """Maps whose type name matches the whole of ``pattern``."""
    matching = np.array([glob_matches(t.name, pattern) for t in maps.types] + [False])
    return np.asarray(matching[maps.columns["type_index"]])


def glob_matches(name: str, pattern: str) -> bool:
    """Whether the whole ``name`` fits: ``*`` is any text, ``?`` any character, all else itself (brackets too).

    Two positions and one way back: at most len(name) * len(pattern) steps, whatever hostile names hold.
    """
    at, want, star, resume = 0, 0, -1, 0
    while at < len(name):
        if want < len(pattern) and pattern[want] == "*":
            star, resume = want, at
            want += 1
        elif want < len(pattern) and pattern[want] in ("?", name[at]):
            at, want = at + 1, want + 1
        elif star >= 0:
            resume += 1
            at, want = resume, star + 1
        else:
            return False
    return all(char == "*" for char in pattern[want:])


def render_text(
    rows: Sequence[MapRow], matching: int, total: int, commands: Sequence[str], style: Style | None = None
) -> Iterator[str]:
    """The table, and how many it does not show."""
    style = style or Style()
    if not rows:
        yield "No map matches." if total else "No map was found in this evidence."
        if total:
            told = f"There are {total:,} maps; --type takes * and ? as wildcards and must match the whole type."
            yield from style.wrap(told, "")
        return
    yield from map_table(rows, style)
    if matching > len(rows):
        yield style.dim(f"  and {matching - len(rows):,} more (--top 0 shows all)")
    if any(row.confidence != "exact" for row in rows):
        yield style.dim("  ~ found by the shape of its header, not through a type")
    yield from next_commands(commands, style)


def render_csv(maps: MapTable, rows: Rows) -> Iterator[str]:
    """CSV with a head line, safe to open in a spreadsheet; lines end with CR LF (RFC 4180)."""
    return csv_of(map_rows(maps, rows))


def csv_of(rows: Iterable[MapRow]) -> Iterator[str]:
    """The same of rows of a document."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(_CSV_HEADS)
    for row in rows:
        generation = "swiss" if isinstance(row, SwissMap) else "classic"
        values = (
            row.address, row.type, generation, row.count, row.capacity, row.load_factor, row.state, row.confidence,
            row.place, row.bytes.total, row.needed_bytes, row.waste_bytes,
        )  # fmt: skip
        writer.writerow([csv_cell(value) for value in values])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
