"""Takes heap profiles of a running service at even times and keeps the files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from mapscope.errors import EvidenceError
from mapscope.profiles.fetch import Request
from mapscope.profiles.web import fetched, goroutines_url

_MAX_FAILURES = 3
"""Failures one after the other after which the service counts as gone."""


class Taken(Struct, frozen=True):
    """One profile that was kept: its file, and the bytes; or why there is none (``failed``)."""

    path: Path
    data: bytes
    failed: EvidenceError | None = None


def take(
    url: str,
    request: Request,
    folder: Path,
    every: float,
    total: float,
    wait: Callable[[float], object] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Taken]:
    """Asks ``url`` every ``every`` seconds for ``total`` seconds, the first time at once, and writes each answer.

    A failure is handed out, not raised; after three in a row it is raised. Files are ``heap-0001.pb.gz`` and so on,
    mode 0600. Times that were missed (a slow service) are left out, but for the last. A ``wait`` that gives something
    true is the end.
    """
    begin, failures, number = now(), 0, 0
    due = 0.0
    while True:
        number += 1
        path = folder / f"heap-{number:04}{_suffix(url)}"
        try:
            data = fetched(url, request)
            _keep(path, data)
            failures = 0
            yield Taken(path, data)
        except EvidenceError as error:
            failures += 1
            if failures >= _MAX_FAILURES:
                raise
            yield Taken(path, b"", error)
        due = max(due + every, min((now() - begin) // every * every, total // every * every))
        if due > total:
            return
        if (rest := begin + due - now()) > 0 and wait(rest):
            return


def take_goroutines(url: str, request: Request, folder: Path) -> Path | None:
    """Keeps the goroutines with their waits, beside the heap at ``url``; None where there is no such URL.

    Raises EvidenceError.
    """
    beside = goroutines_url(url)
    if beside is None:
        return None
    path = folder / "goroutines.txt"
    _keep(path, fetched(beside, request))
    return path


def _suffix(url: str) -> str:
    return ".txt" if "debug=" in url and "debug=0" not in url else ".pb.gz"


def _keep(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as stream:
        stream.write(data)
