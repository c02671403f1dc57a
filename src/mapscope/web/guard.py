"""Who may ask: only a browser of this machine that was given the URL, and only questions.

The server is reached through loopback, which every program and every web page on this machine can try. What they lack
is the token in the path; a page that makes the browser ask in its name is told by ``Host`` (a name of its own that
leads here: DNS rebinding), ``Origin`` and ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_BYTES = 24
"""Random bytes of a token: 192 bits."""
METHODS = ("GET", "HEAD")
MAX_QUERY = 2048
"""Longest query string in bytes."""
MAX_HEADERS = 16 << 10
"""Most bytes of all headers of a request."""

_OWN = {"same-origin", "none"}
"""``Sec-Fetch-Site`` of what the page itself asks, and of what the user typed or opened."""
POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The Content-Security-Policy of everything but the page itself, which says its own."""
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)
"""What every answer carries, refusals too."""


def new_token() -> str:
    """A random token that may stand in a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def names_of(port: int) -> frozenset[str]:
    """What ``Host`` may say of a server on ``port`` of loopback."""
    hosts = ("127.0.0.1", "localhost", "[::1]")
    return frozenset(f"{host}:{port}" for host in hosts) | (frozenset(hosts) if port == 80 else frozenset())


class Guard:
    """Lets through to ``app`` what is allowed, its path without the token; all else gets a document that says why."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        """``port``: on which the server listens."""
        self._app = app
        self._token = token.encode()
        self._names = names_of(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it. Other protocols (WebSocket) are closed."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        refused = self._refusal(scope)
        if refused is not None:
            await _refuse(scope["method"], send, *refused)
            return
        path: str = scope["path"]
        rest = path[1:].partition("/")[2]
        inner = {**scope, "path": "/" + rest, "raw_path": b"/" + rest.encode("utf-8", "surrogateescape")}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _headers(message["headers"])}
            await send(message)

        await self._app(inner, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, what is wrong and what to do; None for what may go on."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
            return 431, f"the headers have more than {MAX_HEADERS} bytes", "ask with fewer"
        given = _Given(scope["headers"])
        host = given.one("host")
        if host is None or host.lower() not in self._names:
            return 421, "this server answers only to its own address", "use the URL that mapscope printed"
        if not given.from_own_page(host):
            return 403, "another page asks in your name", "open the URL that mapscope printed yourself"
        first = scope["path"][1:].partition("/")[0]
        if not hmac.compare_digest(first.encode("utf-8", "surrogateescape"), self._token):
            return 404, "there is nothing here", "use the whole URL that mapscope printed"
        if scope["method"] not in METHODS:
            return 405, "this server only answers questions", "ask with GET"
        if len(scope["query_string"]) > MAX_QUERY:
            return 414, f"the query is longer than {MAX_QUERY} bytes", "ask for less"
        return None


class _Given:
    """Headers of a request."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._headers = [(name.lower(), value.decode("latin-1")) for name, value in headers]

    def all(self, name: str) -> list[str]:
        """All of one name."""
        return [value for key, value in self._headers if key == name.encode()]

    def one(self, name: str) -> str | None:
        """The header of a name that is there once; None else."""
        found = self.all(name)
        return found[0] if len(found) == 1 else None

    def from_own_page(self, host: str) -> bool:
        """Whether the browser says that the user or the page itself asks. Other programs say nothing."""
        origins = self.all("origin")
        sites = self.all("sec-fetch-site")
        same = all(origin.lower() == f"http://{host.lower()}" for origin in origins)
        return same and all(site.lower() in _OWN for site in sites)


def _headers(own: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    own = list(own)
    said = {name.lower() for name, _ in own}
    ours = [(name.encode(), value.encode()) for name, value in HEADERS]
    return [*own, *((name, value) for name, value in ours if name not in said)]


async def _refuse(method: str, send: Send, status: int, error: str, hint: str) -> None:
    body = msgspec.json.encode({"error": error, "hint": hint})
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    own += [(b"connection", b"close")] + ([(b"allow", ", ".join(METHODS).encode())] if status == 405 else [])
    await send({"type": "http.response.start", "status": status, "headers": _headers(own)})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
