"""Where the bytes of profiles come from: files, folders, a stream, and URLs (``web``). Everything is bounded."""

from __future__ import annotations

import os
import stat
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct, field

from mapscope.errors import EvidenceError, UsageError
from mapscope.profiles.model import Profile
from mapscope.profiles.protobuf import read_protobuf

MAX_BYTES = 512 << 20
"""Bytes of one profile, inflated, that are read."""
MAX_FILES = 10_000
"""Profiles that are taken from one folder."""
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"


class Request(Struct, frozen=True):
    """How URLs are asked. ``seconds``: of a delta profile, 0 for one of now. ``timeout``: without a byte, in seconds.

    ``verify`` False takes any certificate; ``authority`` is a file of certificates to trust besides the system's.
    """

    seconds: int = 0
    timeout: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: bool = True
    authority: str | None = None


def is_url(origin: str) -> bool:
    """Whether ``origin`` is an http or https URL."""
    return origin.lower().startswith(("http://", "https://"))


def expand(origins: Sequence[str]) -> list[str]:
    """The same with each folder replaced by the files in it, by name; hidden ones are left out."""
    found: list[str] = []
    for origin in origins:
        if is_url(origin) or origin == "-" or not os.path.isdir(origin):
            found.append(origin)
            continue
        inside = sorted(one for one in Path(origin).iterdir() if not one.name.startswith(".") and one.is_file())
        if not inside or len(inside) > MAX_FILES:
            raise UsageError(
                f"the folder {origin} holds {len(inside):,} files", f"give one with 1 to {MAX_FILES:,} profiles"
            )
        found.extend(str(one) for one in inside)
    return found


def read_profile(
    origin: str, *, stream: BinaryIO | None = None, request: Request | None = None, limit: int = MAX_BYTES
) -> Profile:
    """The profile at ``origin``: a file, a URL, or what ``stream`` gives. EvidenceError says why it cannot be used."""
    return parse(origin, _bytes_of(origin, stream, request or Request(), limit), limit)


def _bytes_of(origin: str, stream: BinaryIO | None, request: Request, limit: int) -> bytes | bytearray:
    if stream is not None:
        return bounded(origin, stream.read, limit)
    if is_url(origin):
        from mapscope.profiles.web import fetched

        return fetched(origin, request, limit)
    return _file(origin, limit)


def parse(origin: str, data: bytes | bytearray, limit: int = MAX_BYTES) -> Profile:
    """The profile in ``data``: protocol buffer or text, compressed with gzip or not."""
    if data[:2] == _GZIP:
        data = inflate(origin, data, limit)
    if not data:
        raise EvidenceError(f"{origin} is empty", "fetch it again")
    if b" profile: " in data[:4096] or data[:10] == b"goroutine ":
        from mapscope.profiles.textual import is_text, read_text

        if is_text(bytes(data[:4096])):
            return read_text(origin, data)
    if data[:1] in (b"<", b"{"):
        raise EvidenceError(
            f"{origin} is a page, not a profile", "give the profile itself: http://HOST:PORT/debug/pprof/heap"
        )
    return read_protobuf(origin, data)


def inflate(origin: str, data: bytes | bytearray, limit: int) -> bytearray:
    """What the gzip members in ``data`` hold. EvidenceError where they are cut, spoiled or hold more than ``limit``."""
    found, given, at = bytearray(), memoryview(data), 0
    while given[at : at + 2] == _GZIP:
        engine = zlib.decompressobj(wbits=31)
        while not engine.eof:
            piece = given[at : at + _CHUNK]
            try:
                part = engine.decompress(piece, min(limit - len(found) + 1, _CHUNK))
            except zlib.error as error:
                raise EvidenceError(f"{origin} does not inflate: {error}", "fetch it again; it is damaged") from error
            used = len(piece) - len(engine.unconsumed_tail) - len(engine.unused_data)
            found += part
            at += used
            if len(found) > limit:
                raise EvidenceError(
                    f"{origin} inflates to more than {limit >> 20:,} MB", "no heap profile of Go is as large"
                )
            if not part and not used and not engine.eof:
                raise EvidenceError(f"{origin} is cut short: its gzip stream does not end", "fetch it again")
    return found


def _file(path: str, limit: int) -> bytes | bytearray:
    try:
        with open(path, "rb", buffering=0) as source:
            status = os.fstat(source.fileno())
            if stat.S_ISREG(status.st_mode):
                if status.st_size > limit:
                    raise _too_large(path, limit)
                data = source.read(status.st_size + 1) or b""
                if len(data) == status.st_size:  # all at once, so that it is held only once
                    return data
                source.seek(0)
            return bounded(path, source.read, limit)
    except OSError as error:
        raise EvidenceError(f"cannot read {path}: {error.strerror or error}", "give a profile, - or a URL") from error


def bounded(origin: str, read: Callable[[int], bytes | None], limit: int, deadline: float = 0.0) -> bytearray:
    """Everything that ``read`` gives. EvidenceError beyond ``limit`` bytes, or after ``deadline`` (time.monotonic)."""
    found = bytearray()
    while part := read(_CHUNK):
        found += part
        if len(found) > limit:
            raise _too_large(origin, limit)
        if deadline and time.monotonic() > deadline:
            raise EvidenceError(f"{origin} sends too slowly", "give a longer --timeout")
    return found


def _too_large(origin: str, limit: int) -> EvidenceError:
    return EvidenceError(
        f"{origin} has more than {limit >> 20:,} MB", "no profile of Go is as large; give another file"
    )
