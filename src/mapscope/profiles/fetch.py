"""Where the bytes of profiles come from: files, folders, a stream, and URLs of /debug/pprof/. Everything is bounded."""

from __future__ import annotations

import os
import ssl
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, BinaryIO

from mapscope.errors import EvidenceError, UsageError
from mapscope.profiles.model import Profile
from mapscope.profiles.protobuf import read_protobuf
from mapscope.profiles.textual import is_text, read_text

MAX_BYTES = 512 << 20
"""Bytes of one profile, inflated, that are read."""
MAX_FILES = 10_000
"""Profiles that are taken from one folder."""
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_PLAIN_PATHS = ("", "/", "/debug/pprof", "/debug/pprof/")


@dataclass(frozen=True, slots=True)
class Request:
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
    if stream is not None:
        data = _bounded(origin, stream.read, limit)
    elif is_url(origin):
        data = _fetched(origin, request or Request(), limit)
    else:
        data = _file(origin, limit)
    return parse(origin, data, limit)


def fetched(url: str, request: Request, limit: int = MAX_BYTES) -> bytes:
    """What ``url`` sends, as it is. EvidenceError as :func:`read_profile`."""
    return _fetched(url, request, limit)


def parse(origin: str, data: bytes, limit: int = MAX_BYTES) -> Profile:
    """The profile in ``data``: protocol buffer or text, compressed with gzip or not."""
    if data[:2] == _GZIP:
        data = inflate(origin, data, limit)
    if not data:
        raise EvidenceError(f"{origin} is empty", "fetch it again")
    if is_text(data[:4096]):
        return read_text(origin, data)
    if data[:1] in (b"<", b"{"):
        raise EvidenceError(
            f"{origin} is a page, not a profile", "give the profile itself: http://HOST:PORT/debug/pprof/heap"
        )
    return read_protobuf(origin, data)


def inflate(origin: str, data: bytes, limit: int) -> bytes:
    """What the gzip members in ``data`` hold. EvidenceError where they are cut, spoiled or hold more than ``limit``."""
    parts: list[bytes] = []
    room, rest = limit, data
    while rest[:2] == _GZIP:
        engine = zlib.decompressobj(wbits=31)
        try:
            while not engine.eof:
                part = engine.decompress(rest, min(room + 1, 16 * _CHUNK))
                rest = engine.unconsumed_tail
                room -= len(part)
                parts.append(part)
                if room < 0:
                    raise EvidenceError(
                        f"{origin} inflates to more than {limit >> 20:,} MB", "no heap profile of Go is as large"
                    )
                if not part and not rest and not engine.eof:
                    raise EvidenceError(f"{origin} is cut short: its gzip stream does not end", "fetch it again")
        except zlib.error as error:
            raise EvidenceError(f"{origin} does not inflate: {error}", "fetch it again; it is damaged") from error
        rest = engine.unused_data
    return b"".join(parts)


def _file(path: str, limit: int) -> bytes:
    try:
        with open(path, "rb") as source:
            status = os.fstat(source.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size > limit:
                raise _too_large(path, limit)
            return _bounded(path, source.read, limit)
    except OSError as error:
        raise EvidenceError(f"cannot read {path}: {error.strerror or error}", "give a profile, - or a URL") from error


def _bounded(origin: str, read: Callable[[int], bytes], limit: int, deadline: float = 0.0) -> bytes:
    parts, size = [], 0
    while part := read(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(origin, limit)
        if deadline and time.monotonic() > deadline:
            raise EvidenceError(f"{origin} sends too slowly", "give a longer --timeout")
    return b"".join(parts)


def _too_large(origin: str, limit: int) -> EvidenceError:
    return EvidenceError(
        f"{origin} has more than {limit >> 20:,} MB", "no profile of Go is as large; give another file"
    )


def profile_url(url: str, seconds: int) -> str:
    """The URL that is asked: that of the heap where only a host or /debug/pprof is named, with ``seconds``."""
    try:
        parts = urllib.parse.urlsplit(url)
        if not parts.hostname:
            raise ValueError
        _ = parts.port
    except ValueError:
        raise UsageError(f"{url} is no URL", "give it as http://HOST:PORT/debug/pprof/heap") from None
    path = "/debug/pprof/heap" if parts.path in _PLAIN_PATHS else parts.path
    query = [pair for pair in urllib.parse.parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "seconds"]
    if seconds:
        query.append(("seconds", str(seconds)))
    else:
        query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, urllib.parse.urlencode(query), ""))


def goroutines_url(url: str) -> str | None:
    """The URL of the goroutines (debug=2: with their waits) beside that of a heap; None where it is not to be told."""
    parts = urllib.parse.urlsplit(profile_url(url, 0))
    folder, _, name = parts.path.rpartition("/")
    if name not in ("heap", "allocs"):
        return None
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, f"{folder}/goroutine", "debug=2", ""))


def _fetched(url: str, request: Request, limit: int) -> bytes:
    asked = profile_url(url, request.seconds)
    shown = _without_password(asked)
    wait = request.timeout + request.seconds
    try:
        context = ssl.create_default_context(cafile=request.authority)
        if not request.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        bare, headers = _credentials(asked, dict(request.headers))
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _SameHost())
        call = urllib.request.Request(bare, headers={"User-Agent": "mapscope", **headers})  # noqa: S310  # http(s) only
        with opener.open(call, timeout=wait) as answer:
            data = _bounded(shown, answer.read, limit, time.monotonic() + 10 * wait)
            if answer.length:  # of the promised bytes, how many did not come
                raise EvidenceError(f"{shown} is cut short by {answer.length:,} bytes", "fetch it again")
            return data
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(200).decode("utf-8", "replace").strip().split("\n")[0]
        raise EvidenceError(
            f"{shown} answers {error.code} {error.reason}" + (f": {said}" if said else ""), _status_hint(error.code)
        ) from error
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise EvidenceError(
                f"the certificate of {shown} is not trusted: {reason.verify_message}", "give --ca FILE, or --insecure"
            ) from error
        raise EvidenceError(
            f"cannot reach {shown}: {reason}", "is the service up, and net/http/pprof in it?"
        ) from error
    except TimeoutError as error:
        raise EvidenceError(f"{shown} sent nothing for {wait:g} s", "give a longer --timeout") from error
    except (HTTPException, OSError, ValueError) as error:
        raise EvidenceError(f"cannot read {shown}: {error}", "fetch it again") from error


def _status_hint(code: int) -> str:
    if code in (401, 403):
        return "give what it asks for: --header 'Authorization: Bearer …'"
    return "is net/http/pprof in the service? give --seconds only where the profile can be a delta"


def _credentials(url: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The URL without user and password, which become a header."""
    parts = urllib.parse.urlsplit(url)
    if parts.username is None:
        return url, headers
    import base64

    pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    made = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return urllib.parse.urlunsplit(bare), {**made, **headers}


def _without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only on the same host, so that no header with a secret goes elsewhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows; URLError where it would go to another host."""
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            fp.close()
            raise urllib.error.URLError(f"it redirects to {_without_password(newurl)}; give that URL if it is right")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
