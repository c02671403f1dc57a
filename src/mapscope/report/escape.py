"""Text from the evidence is hostile: type names and file names are escaped and bounded before anything shows them."""

from __future__ import annotations

import re
import unicodedata

NAME_LIMIT = 200
"""Longest name that a report shows; the rest is cut with ``...``."""
DOCUMENT_LIMIT = 4096
"""Longest text that the document carries."""

_PLAIN = re.compile(r"[ -~]*\Z")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_SHOWN = frozenset("LNPS")
"""Unicode classes that may stand as they are: letters, numbers, punctuation, symbols.

Marks, separators and the rest (terminal escapes, bidi marks, zero width, surrogates, private use) are escaped.
"""

_SIGNS = str.maketrans({"→": ">", "…": "...", "§": "S", "·": ".", **dict(zip("▁▂▃▄▅▆▇█", "_.:-=+*#", strict=True))})
"""Signs of ours that a terminal without Unicode lacks, by others of the same width."""


def clean(text: str, limit: int = NAME_LIMIT) -> str:
    """``text`` on one line, safe for a terminal, at most ``limit`` characters long: ESC is shown as an escape."""
    head = text[: limit + 1]
    if not _PLAIN.match(head):
        head = "".join(c if " " <= c <= "~" or _is_shown(c) else _escape(c) for c in head)
    if len(head) > limit or len(text) > limit:
        return head[: max(limit - 3, 0)] + "..."
    return head


def clean_lines(text: str, limit: int = DOCUMENT_LIMIT) -> str:
    """The same for several lines of Go code: line feeds and tabs stay."""
    return "\n".join("\t" * _tabs(line) + clean(line.lstrip("\t")) for line in text[:limit].split("\n"))


def valid(text: str, limit: int = DOCUMENT_LIMIT) -> str:
    """``text`` as UTF-8 can carry it (file names may hold lone surrogates), bounded. Nothing else is changed."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def ascii_json(data: bytes) -> bytes:
    r"""The same JSON with everything beyond printable ASCII written as ``\uXXXX``: no terminal can be misled by it."""
    if data.isascii() and b"\x7f" not in data:
        return data
    return re.sub(r"[\x7f-\U0010ffff]", _json_escape, data.decode("utf-8")).encode("ascii")


def plain(line: str, encoding: str) -> str:
    """``line`` with our own signs in ASCII where the encoding lacks them; names of the program are escaped then."""
    if line.isascii():
        return line
    try:
        "→▁".encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_SIGNS)
    return line


def csv_cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula: text that starts like one gets a leading apostrophe."""
    text = "" if value is None else str(value)
    if isinstance(value, str):
        text = clean(value, DOCUMENT_LIMIT)
        if text.startswith(_FORMULA):
            return "'" + text
    return text


def _is_shown(char: str) -> bool:
    return unicodedata.category(char)[0] in _SHOWN


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _tabs(line: str) -> int:
    return min(len(line) - len(line.lstrip("\t")), 8)
