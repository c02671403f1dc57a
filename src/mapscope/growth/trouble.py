"""Errors of the growth controller, and what kind of trouble an error of PostgreSQL is."""

from __future__ import annotations

import psycopg
from psycopg import errors

from mapscope.errors import MapscopeError

NOT_HERE = "MS001"
"""SQLSTATE of a node that does not hold the shard at this epoch: read the route again."""
FENCED = "MS002"
"""SQLSTATE of a node whose shard is fenced: wait and try again."""


class GrowthError(MapscopeError):
    """The store cannot be grown as asked: a setting, a server or a table that does not fit."""


class Refused(GrowthError):  # noqa: N818
    """A move was refused before anything was made, or cannot go on; the message is the reason that is recorded."""


class Unreachable(GrowthError):  # noqa: N818
    """A node or the control database did not answer for as long as it may."""


class Superseded(GrowthError):  # noqa: N818
    """Another controller has taken over: this one stops and changes nothing more."""

    def __init__(self, what: str) -> None:
        super().__init__(f"another controller has taken over: {what}", "mapscope growth status shows who is at work")


def is_lost(error: BaseException) -> bool:
    """Whether the connection or the server went away, so that the same may work later."""
    if isinstance(error, (OSError, TimeoutError, psycopg.InterfaceError)):
        return True
    if not isinstance(error, psycopg.OperationalError):
        return False
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P")) or state == errors.TooManyConnections.sqlstate


def words(error: BaseException) -> str:
    """One line about an error of the database, without the values of rows that its details may hold."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return " ".join(error.diag.message_primary.split())
    return " ".join(str(error).split()) or type(error).__name__
