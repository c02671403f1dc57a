"""Profiles from URLs of /debug/pprof/: what is asked, who may see a password, and what each failure means.

Apart from ``fetch`` because what it needs takes as long to load as reading a small profile takes.
"""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import IO

from mapscope.errors import EvidenceError, UsageError
from mapscope.profiles.fetch import MAX_BYTES, Request, bounded

_PLAIN_PATHS = ("", "/", "/debug/pprof", "/debug/pprof/")


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


def fetched(url: str, request: Request, limit: int = MAX_BYTES) -> bytes:
    """What ``url`` sends, at most ``limit`` bytes. EvidenceError says why it cannot be had."""
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
            data = bounded(shown, answer.read, limit, time.monotonic() + 10 * wait)
            if answer.length:  # of the promised bytes, how many did not come
                raise EvidenceError(f"{shown} is cut short by {answer.length:,} bytes", "fetch it again")
            return bytes(data)
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
