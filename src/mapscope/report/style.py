"""Plain lines for people: 80 columns, and colour only where the reader's terminal takes it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mapscope.report.escape import clean

WIDTH = 80
_KEPT_TOGETHER = re.compile(r"(?<=\d) (?=(?:[kMG]?B|%)\b|%)|(?<=\bT,) (?=n\))")
"""Spaces inside ``40.1 MB``, ``12 %`` and ``make(T, n)``."""


@dataclass(frozen=True, slots=True)
class Style:
    """Marks up words; without ``colour`` every method gives its text back."""

    colour: bool = False

    def head(self, text: str) -> str:
        """A section head."""
        return self._wrap("1", text)

    def bad(self, text: str) -> str:
        """Bytes held for nothing."""
        return self._wrap("1;31", text)

    def good(self, text: str) -> str:
        """Nothing found."""
        return self._wrap("32", text)

    def name(self, text: str) -> str:
        """A type or a rule."""
        return self._wrap("36", text)

    def dim(self, text: str) -> str:
        """Detail that few need."""
        return self._wrap("2", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


def wrap(text: str, indent: str = "  ", first: str | None = None) -> Iterator[str]:
    """``text`` in lines of at most 80 columns; a number is not parted from its unit."""
    lines = textwrap.wrap(
        _KEPT_TOGETHER.sub("\u00a0", text),
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    yield from (line.replace("\u00a0", " ") for line in lines)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: str) -> Iterator[str]:
    """Columns as wide as their widest cell, two spaces apart; ``right[i]`` is ``>`` for numbers, ``<`` for text."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for cells in (heads, *rows):
        line = "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(cells, right, widths, strict=True))
        yield "  " + line.rstrip()


def next_commands(commands: Sequence[str], style: Style) -> Iterator[str]:
    """What to run now. Never wrapped, so that it can be copied."""
    if not commands:
        return
    yield ""
    yield style.head("NEXT")
    for command in commands:
        yield "  " + clean(command, 1000)


def bar(part: int, whole: int, width: int = 20) -> str:
    """``part`` of ``whole`` in ``#``, at least one where there is anything."""
    if part <= 0 or whole <= 0:
        return ""
    return "#" * max(1, min(width, round(width * part / whole)))


_SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int], width: int) -> str:
    """A curve of ``values`` in at most ``width`` columns, from 0 to the largest; of more values, evenly spread ones."""
    if not values or width <= 0:
        return ""
    count = min(len(values), width)
    chosen = [values[(len(values) - 1) * k // max(count - 1, 1)] for k in range(count)] if count > 1 else [values[-1]]
    top = max(*chosen, 1)
    return "".join(_SPARKS[max(0, min(one * len(_SPARKS) // (top + 1), len(_SPARKS) - 1))] for one in chosen)


def percent(part: int, whole: int) -> str:
    """``12 %``, or ``0.3 %`` below one; empty where there is no whole."""
    if whole <= 0:
        return ""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1 %"
    return f"{share:.1f} %" if 0 < share < 1 else f"{share:.0f} %"


def shorten(text: str, width: int) -> str:
    """The start of ``text`` in ``width`` columns."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


def listed(facts: Mapping[str, str], indent: str) -> Iterator[str]:
    """``name value`` pairs, comma-separated, no pair broken over two lines."""
    line = indent
    for position, (name, value) in enumerate(facts.items()):
        piece = f"{name} {value}" + ("," if position < len(facts) - 1 else "")
        if line != indent and len(line) + 1 + len(piece) > WIDTH:
            yield line
            line = indent
        line += ("" if line == indent else " ") + piece
    if line != indent:
        yield line
