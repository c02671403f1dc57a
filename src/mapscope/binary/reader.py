"""The one thing that parsers of the binary floor ask of a source of bytes."""

from __future__ import annotations

from typing import Protocol


class Reader(Protocol):
    """Bytes at virtual addresses: an executable's own image, or a process's memory."""

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes at ``address``, or None when any of them is not there. Never guesses zeros for holes."""
