"""What a request may say, and how much of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mapscope.errors import UsageError

MAX_ROWS = 500
"""Rows of one answer."""
MAX_TEXT = 200
"""Characters of a text to look for."""


class BadRequestError(UsageError):
    """The request itself is wrong."""


_ADDRESS = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16})\Z")
_NUMBER = re.compile(r"[0-9]{1,12}\Z")


def address_of(text: str) -> int:
    """``0xc000012345`` or ``c000012345``. Raises BadRequestError."""
    found = _ADDRESS.match(text)
    if found is None:
        raise BadRequestError("that is no address", "give it as the report does: 0xc000012345")
    return int(found[1], 16)


class Parameters:
    """The query of one request. What it does not know it refuses, so that a misspelt one is not passed over."""

    def __init__(self, given: Sequence[tuple[str, str]], known: Sequence[str]) -> None:
        """``given``: names and values in their order. Raises BadRequestError."""
        self._values: dict[str, str] = {}
        for name, value in given:
            if name not in known:
                raise BadRequestError("there is no such parameter", f"there are {', '.join(known)}" if known else "")
            if name in self._values:
                raise BadRequestError(f"{name} is given twice", "give it once")
            self._values[name] = value

    def number(self, name: str, default: int, most: int) -> int:
        """An integer from 0 to ``most``."""
        text = self._values.get(name)
        if text is None:
            return default
        if not _NUMBER.match(text) or int(text) > most:
            raise BadRequestError(f"{name} must be a number from 0 to {most:,}", "give a smaller one")
        return int(text)

    def word(self, name: str, words: Sequence[str], default: str) -> str:
        """One of ``words``."""
        text = self._values.get(name, default)
        if text not in words and text != default:
            raise BadRequestError(f"{name} must be one of {', '.join(words)}", "")
        return text

    def text(self, name: str) -> str:
        """A text to look for, as it is: no patterns. Empty where there is none."""
        text = self._values.get(name, "")
        if len(text) > MAX_TEXT:
            raise BadRequestError(f"{name} may have {MAX_TEXT} characters", "look for a part of it")
        return text
