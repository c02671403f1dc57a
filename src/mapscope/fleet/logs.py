"""Structured logs: one JSON object a line on stderr. No contents of profiles, no secrets."""

from __future__ import annotations

import json
import logging
import sys
import time

LOG = logging.getLogger("mapscope.fleet")
_MAX_TEXT = 2000


class _Lines(logging.Formatter):
    """``time``, ``level``, ``message`` and what belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"
        line: dict[str, object] = {"time": stamp, "level": record.levelname.lower(), "message": record.getMessage()}
        for name, value in getattr(record, "fields", {}).items():
            line[name] = value[:_MAX_TEXT] if isinstance(value, str) else value
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__  # its words may hold what lay in a profile
        return json.dumps(line)


def set_up(level: str) -> None:
    """Sends the logs of the watch to stderr, from ``level`` on (debug, info, warning, error)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    LOG.handlers[:] = [handler]
    LOG.propagate = False
    LOG.setLevel(level.upper())
    logging.raiseExceptions = False  # a stderr that is gone or full ends no watch


def say(level: str, message: str, **fields: object) -> None:
    """One line."""
    LOG.log(getattr(logging, level.upper()), message, extra={"fields": fields})
