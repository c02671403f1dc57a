"""Text as a page may carry it: escaped as in all other reports, and bounded, with the length of what was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from mapscope.report.escape import DOCUMENT_LIMIT, clean, clean_lines

NAME_LIMIT = 300
"""Longest name (of a type, a function, a file) that a page carries, in characters."""
PROSE_LIMIT = 2000
"""Longest sentence."""
_PROSE = frozenset({"why", "text", "title", "notes", "warnings", "missing", "advice", "next", "problem"})
_CODE = "code"
_EXACT = 1 << 53


def shown(text: str, limit: int = NAME_LIMIT) -> str:
    """``text`` without anything that could mislead, at most about ``limit`` characters long.

    What is cut is said: ``main.aaaa… (10,485,760 characters)``.
    """
    if len(text) <= limit:
        return clean(text, limit * 10)  # escapes are longer than what they stand for
    before = "over " if len(text) == DOCUMENT_LIMIT and text.endswith("...") else ""
    return f"{clean(text[:limit], limit * 10)}… ({before}{len(text):,} characters)"


def shown_values(value: object) -> object:
    """A tree of records, lists and mappings as JSON can carry it, every text in it as ``shown`` gives it.

    Integers beyond 2^53, which a browser would round, become texts.
    """
    root = [msgspec.to_builtins(value)]
    work: list[tuple[list[object] | dict[str, object], str]] = [(root, "")]
    while work:
        holder, key = work.pop()
        if isinstance(holder, dict):
            for name in [name for name in holder if shown(name) != name]:
                holder[shown(name)] = holder.pop(name)
        pairs: Sequence[tuple[int | str, object]]
        pairs = list(enumerate(holder)) if isinstance(holder, list) else list(holder.items())
        for at, one in pairs:
            name = key if isinstance(at, int) else at
            if isinstance(one, (dict, list)):
                work.append((one, name))
            elif isinstance(one, str):
                holder[at] = _text(one, name)  # type: ignore[index]  # at fits its holder
            elif isinstance(one, int) and abs(one) > _EXACT:
                holder[at] = str(one)  # type: ignore[index]
    return root[0]


def _text(text: str, name: str) -> str:
    if name == _CODE:
        return clean_lines(text)
    return shown(text, PROSE_LIMIT if name in _PROSE else NAME_LIMIT)


def record(value: object) -> Mapping[str, object]:
    """``shown_values`` of a record."""
    out = shown_values(value)
    assert isinstance(out, dict)
    return out
