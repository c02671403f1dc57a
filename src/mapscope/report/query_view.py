"""``mapscope query``: the rows of a result as text, as JSON and as CSV. Addresses are hex in all of them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from mapscope.report import document as doc
from mapscope.report.build import evidence, process
from mapscope.report.escape import ascii_json, clean, csv_cell, valid
from mapscope.report.query_document import QueryDocument
from mapscope.report.source import Source
from mapscope.report.style import Style, columns, pad, shorten, table
from mapscope.report.writing import tool
from mapscope.table import Table
from mapscope.units import hex_addr

_CELL = 80
_CHUNK = 4096
_LEAST = 12
"""Columns that a text keeps in a table."""


def render_text(result: Table, limit: int, style: Style | None = None) -> Iterator[str]:
    """The first ``limit`` rows (0: all) in columns, and how many more there are."""
    style = style or Style()
    heads = [clean(name, _CELL) for name in result.columns]
    rows = [[_cell(value) for value in row] for row in islice(_values(result), limit or None)]
    numbers = [result[name].dtype.kind in "iuf" or _is_address(name) for name in result.columns]
    yield from _laid_out(heads, rows, "".join(">" if number else "<" for number in numbers), style)
    if not rows:
        yield style.dim("  no rows")
    if len(result) > len(rows):
        yield style.dim(f"  and {len(result) - len(rows):,} more (--top 0 shows all)")


def _laid_out(heads: Sequence[str], rows: Sequence[Sequence[str]], right: str, style: Style) -> Iterator[str]:
    """A table where it fits, with texts cut to half of their room; else one column a line, a block a row."""
    widths = [max(map(columns, column)) for column in zip(heads, *rows, strict=True)]
    over = 2 * len(widths) + sum(widths) - style.width
    names = [at for at, side in enumerate(right) if side == "<" and widths[at] > _LEAST]
    for at in sorted(names, key=lambda at: -widths[at]):
        least = max(_LEAST, widths[at] // 2, columns(heads[at]))
        less = max(min(over, widths[at] - least), 0)
        widths[at], over = widths[at] - less, over - less
    if over <= 0:
        cut = [[shorten(cell, width) for cell, width in zip(row, widths, strict=True)] for row in rows]
        yield from table(heads, cut, right)
        return
    lead = max(map(columns, heads))
    for number, row in enumerate(rows, 1):
        yield style.head(f"ROW {number:,}")
        for head, cell in zip(heads, row, strict=True):
            yield from style.wrap(cell, " " * (lead + 4), f"  {pad(head, lead)}  ") if cell else (f"  {head}",)


def json_pieces(source: Source, result: Table) -> Iterator[bytes]:
    """The document: evidence, names of the columns, and one object a row; printable ASCII, one row a line."""
    head = {
        "kind": "query",
        "schema": doc.SCHEMA,
        "tool": msgspec.to_builtins(tool()),
        "evidence": msgspec.to_builtins(evidence(source)),
        "process": msgspec.to_builtins(process(source)),
        "columns": [valid(name) for name in result.columns],
        "rows": [],
    }
    start = _encode(head, 2).removesuffix(b"[]\n}")
    names = [valid(name) for name in result.columns]
    rows = _values(result)
    yield start + b"["
    comma = b"\n    "
    while part := list(islice(rows, _CHUNK)):
        lines = [_encode(dict(zip(names, map(_plain, row), strict=True))) for row in part]
        yield comma + b",\n    ".join(lines)
        comma = b",\n    "
    yield b"]\n}\n" if comma == b"\n    " else b"\n  ]\n}\n"


def document_text(document: QueryDocument, limit: int, style: Style) -> Iterator[str]:
    """The text of a document that was kept."""
    heads = [clean(name, _CELL) for name in document.columns]
    chosen = document.rows[:limit] if limit else document.rows
    rows = [[_cell(row.get(name)) for name in document.columns] for row in chosen]
    numbers = [all(isinstance(row.get(name), int | float | None) for row in chosen) for name in document.columns]
    yield from _laid_out(heads, rows, "".join(">" if number else "<" for number in numbers), style)
    if not rows:
        yield style.dim("  no rows")
    if len(document.rows) > len(rows):
        yield style.dim(f"  and {len(document.rows) - len(rows):,} more (--top 0 shows all)")


def document_csv(document: QueryDocument) -> Iterator[str]:
    """The CSV of a document that was kept."""
    for row in ({name: name for name in document.columns}, *document.rows):
        buffer = io.StringIO()
        csv.writer(buffer).writerow([csv_cell(_flat(row.get(name))) for name in document.columns])
        yield buffer.getvalue()


def csv_pieces(result: Table) -> Iterator[bytes]:
    """CSV with a head line, safe to open in a spreadsheet; lines end with CR LF (RFC 4180)."""
    rows = _values(result)
    part: Sequence[Sequence[Any]] = [result.columns]
    while part:
        buffer = io.StringIO()
        csv.writer(buffer).writerows([csv_cell(_flat(value)) for value in row] for row in part)
        yield buffer.getvalue().encode("utf-8", "backslashreplace")
        part = list(islice(rows, _CHUNK))


def _is_address(name: str) -> bool:
    return name == "address" or name.endswith("_address")


def _values(result: Table) -> Iterator[tuple[Any, ...]]:
    """The rows, whole numbers of columns of addresses as hex."""
    hexed = [_is_address(name) for name in result.columns]
    for row in result.rows():
        yield tuple(
            hex_addr(value) if is_hex and type(value) is int and value >= 0 else value
            for value, is_hex in zip(row, hexed, strict=True)
        )


def _cell(value: Any) -> str:
    return "" if value is None else clean(str(value), _CELL)


def _flat(value: Any) -> Any:
    """Lists, structs and the like as text, so that their words are made safe as well; numbers stay."""
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _plain(value: Any) -> Any:
    """A value that JSON has: others (decimals, dates, lists) as text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return valid(str(value))


def _encode(value: Any, indent: int | None = None) -> bytes:
    return ascii_json(json.dumps(value, indent=indent, allow_nan=False).encode("ascii"))
