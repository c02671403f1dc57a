"""Errors of a sharded store, and what kind of trouble an error of PostgreSQL is."""

from __future__ import annotations

import psycopg
from psycopg import errors

from mapscope.errors import MapscopeError

NOT_HERE = "MS001"
"""SQLSTATE of a node that does not hold the shard at this epoch: read the route again."""
FENCED = "MS002"
"""SQLSTATE of a node whose shard is fenced: wait and try again."""


class GrowthError(MapscopeError):
    """The store cannot be used or grown as asked: a setting, a server or a table that does not fit."""


class Unreachable(GrowthError):  # noqa: N818
    """A node or the control database did not answer for as long as it may; ``fenced``: the shard was fenced as long."""

    def __init__(self, message: str, hint: str = "", *, fenced: bool = False) -> None:
        super().__init__(message, hint)
        self.fenced = fenced


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
