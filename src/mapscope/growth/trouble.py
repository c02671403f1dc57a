"""Errors of the growth controller; those that clients know too are ``mapscope.routing``'s."""

from __future__ import annotations

from mapscope.routing.trouble import FENCED, NOT_HERE, GrowthError, Unreachable, is_lost, words

__all__ = ["FENCED", "NOT_HERE", "GrowthError", "Refused", "Superseded", "Unreachable", "is_lost", "words"]


class Refused(GrowthError):  # noqa: N818
    """A move was refused before anything was made, or cannot go on; the message is the reason that is recorded."""


class Superseded(GrowthError):  # noqa: N818
    """Another controller has taken over: this one stops and changes nothing more."""

    def __init__(self, what: str) -> None:
        super().__init__(f"another controller has taken over: {what}", "mapscope growth status shows who is at work")
