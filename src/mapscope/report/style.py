"""Plain lines for people: 80 columns, more on a wider terminal, and colour only where the reader's terminal takes it.

Widths are columns of a terminal: letters of East Asian scripts take two (Unicode, UAX 11), escape sequences none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from mapscope.report.escape import clean

WIDTH = 80
"""Columns where the reader has not said otherwise."""
PROSE = 100
"""Columns that sentences take at most: longer lines are hard to read."""
_KEPT_TOGETHER = re.compile(r"(?<=\d) (?=(?:[kMG]?B|%)\b|%)|(?<=\bT,) (?=n\))")
"""Spaces inside ``40.1 MB``, ``12 %`` and ``make(T, n)``."""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_WORDS = re.compile(r" +|[^ ]+")
_ARGUMENTS = re.compile(r"(?:[^\s'\"]|'[^']*'|\"[^\"]*\")+")


class Style(Struct, frozen=True):
    """Marks up words; without ``colour`` every method gives its text back."""

    colour: bool = False
    width: int = WIDTH
    """Columns of a line."""

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

    def wrap(self, text: str, indent: str = "  ", first: str | None = None) -> Iterator[str]:
        """``wrap`` in this width."""
        return wrap(text, indent, first, self.width)

    def cut(self, text: str, used: int = 0) -> str:
        """``shorten`` to what a line has left beside ``used`` columns."""
        return shorten(text, max(self.width - used, 8))

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


def columns(text: str) -> int:
    """Columns that ``text`` takes on a terminal."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.east_asian_width(char) in "WF":
        return 2
    return 0 if unicodedata.category(char) in ("Mn", "Me", "Cf") else 1


def wrap(text: str, indent: str = "  ", first: str | None = None, width: int = WIDTH) -> Iterator[str]:
    """``text`` in lines of at most ``width`` columns (100 for sentences); a number is not parted from its unit.

    A word that is longer than a line is broken where the line ends.
    """
    width = min(width, PROSE)
    line, used = indent if first is None else first, columns(indent if first is None else first)
    begun = False
    space = ""
    for word in _WORDS.findall(_KEPT_TOGETHER.sub("\u00a0", text)):
        if word[0] == " ":
            space = word if begun else ""
            continue
        word = word.replace("\u00a0", " ")
        size = columns(word)
        if begun and size > width - columns(indent) and used + len(space) + 2 <= width:
            line, used = line + space, used + len(space)  # a giant begins on the line that is open
        elif begun and used + len(space) + size > width:
            yield line
            line, used = indent, columns(indent)
        else:
            line, used = line + space, used + len(space)
        space = ""
        while used + size > width:
            part = _start(word, max(width - used, 1))
            yield line + part
            word = word[len(part) :]
            line, used, size = indent, columns(indent), columns(word)
        line, used, begun = line + word, used + size, bool(word) or begun
    if begun:
        yield line


def _start(text: str, width: int) -> str:
    """As much of the start of ``text`` as fits in ``width`` columns; one letter at least. Escapes are not parted."""
    used = 0
    at = 0
    while at < len(text):
        escape = _ESCAPES.match(text, at)
        if escape is not None:
            at = escape.end()
            continue
        used += _columns(text[at])
        if used > width and at:
            break
        at += 1
    return text[:at]


def pad(text: str, width: int, side: str = "<") -> str:
    """``text`` in ``width`` columns, at the left (``<``) or at the right (``>``)."""
    room = " " * max(width - columns(text), 0)
    return room + text if side == ">" else text + room


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: str) -> Iterator[str]:
    """Columns as wide as their widest cell, two spaces apart; ``right[i]`` is ``>`` for numbers, ``<`` for text."""
    widths = [max(map(columns, column)) for column in zip(heads, *rows, strict=True)]
    for cells in (heads, *rows):
        line = "  ".join(pad(cell, width, side) for cell, side, width in zip(cells, right, widths, strict=True))
        yield "  " + line.rstrip()


def fitted(
    heads: Sequence[str], rows: Sequence[Sequence[str]], right: str, style: Style, at: int = -1, least: int = 16
) -> Iterator[str]:
    """The same in the width of ``style``: cells of the column ``at``, which holds names, are cut to what is left."""
    at %= len(heads)
    used = 2
    for number, column in enumerate(zip(heads, *rows, strict=True)):
        used += 0 if number == at else max(map(columns, column)) + 2
    room = max(style.width - used, least)
    cut = [[shorten(cell, room) if number == at else cell for number, cell in enumerate(row)] for row in rows]
    yield from table(heads, cut, right)


def next_commands(commands: Sequence[str], style: Style) -> Iterator[str]:
    """What to run now. A long command goes on behind a backslash, so that it can be copied; no word is broken."""
    if not commands:
        return
    yield ""
    yield style.head("NEXT")
    for command in commands:
        yield from _command(clean(command, 1000), style.width)


def _command(text: str, width: int) -> Iterator[str]:
    line = " "
    for word in _ARGUMENTS.findall(text):
        if line.strip() and columns(line) + 1 + columns(word) > width - 2 and columns(f"  {text}") > width:
            yield line + " \\"
            line = "     "
        line += " " + word
    yield line


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
    """``text`` in ``width`` columns, its middle left out: types and paths are known by both ends."""
    if columns(text) <= width:
        return text
    if width <= 4:
        return _start(text, width)
    tail = (width - 3) * 2 // 5
    head = _start(text, width - 3 - tail)
    end = _start(text[::-1], tail)[::-1] if tail else ""
    return f"{head}...{end}"


def listed(facts: Mapping[str, str], indent: str, width: int = WIDTH) -> Iterator[str]:
    """``name value`` pairs, comma-separated, no pair broken over two lines but one that is longer than a line."""
    width = min(width, PROSE)
    line = indent
    for position, (name, value) in enumerate(facts.items()):
        piece = f"{name} {value}" + ("," if position < len(facts) - 1 else "")
        if line != indent and columns(line) + 1 + columns(piece) > width:
            yield line
            line = indent
        if columns(indent) + columns(piece) > width:
            yield from wrap(piece, indent + "  ", indent, width)
            continue
        line += ("" if line == indent else " ") + piece
    if line != indent:
        yield line
