"""What long work tells whoever watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called on the way: ``step`` in words, ``done`` of ``total`` (0: not known)."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """``done`` of ``total`` (0: not known) of ``step`` are done."""


def quiet(step: str, done: int, total: int) -> None:
    """A Progress that says nothing."""
