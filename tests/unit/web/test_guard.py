"""Who may ask: every rule, and that each refusal shows nothing and carries the same headers as an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mapscope.web import guard
from mapscope.web.guard import Guard, new_token
from tests.unit.web.asgi import HOST, PORT, Answer, ask, scope_of

TOKEN = "abcdefghijklmnopqrstuvwx_-012345"
ROOT = f"/{TOKEN}/"


class Inner:
    """What lies behind the guard: says which path it saw."""

    def __init__(self, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.seen: list[str] = []
        self.headers = headers or []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"secret"})


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.fixture
def app(inner: Inner) -> Guard:
    return Guard(inner, TOKEN, PORT)


def refused(answer: Answer, inner: Inner, status: int) -> None:
    assert answer.status == status
    assert not inner.seen
    assert b"secret" not in answer.body
    assert answer.json["error"]
    assert TOKEN not in answer.body.decode()
    for name, value in guard.HEADERS:
        assert answer.header(name) == value


def test_the_right_request_goes_through_without_its_token(app: Guard, inner: Inner):
    answer = ask(app, ROOT + "api/maps")
    assert (answer.status, answer.body, inner.seen) == (200, b"secret", ["/api/maps"])
    for name, value in guard.HEADERS:
        assert answer.header(name) == value


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"[::1]:{PORT}", f"LocalHost:{PORT}"])
def test_own_names(app: Guard, host: str):
    assert ask(app, ROOT, headers=[("host", host)]).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "")],
        [("host", "evil.example")],
        [("host", f"evil.example:{PORT}")],
        [("host", "127.0.0.1")],
        [("host", "127.0.0.1:80")],
        [("host", f"127.0.0.1:{PORT}.evil.example")],
        [("host", f"127.0.0.1.evil.example:{PORT}")],
        [("host", f"0.0.0.0:{PORT}")],
        [("host", f" 127.0.0.1:{PORT}")],
        [("host", HOST), ("host", "evil.example")],
        [("host", "evil.example"), ("host", HOST)],
    ],
    ids=str,
)
def test_a_foreign_host_is_refused(app: Guard, inner: Inner, headers: list[tuple[str, str]]):
    """A name of an attacker that resolves to loopback (DNS rebinding) comes with that name."""
    refused(ask(app, ROOT, headers=headers), inner, 421)


@pytest.mark.parametrize(
    "more",
    [
        [("origin", "http://evil.example")],
        [("origin", "null")],
        [("origin", f"https://{HOST}")],
        [("origin", "http://127.0.0.1")],
        [("origin", f"http://localhost:{PORT}")],  # the page was opened as 127.0.0.1
        [("origin", f"http://{HOST}"), ("origin", "http://evil.example")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "")],
        [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-origin"), ("origin", "http://evil.example")],
    ],
    ids=str,
)
def test_another_page_is_refused(app: Guard, inner: Inner, more: list[tuple[str, str]]):
    refused(ask(app, ROOT, headers=[("host", HOST), *more]), inner, 403)


@pytest.mark.parametrize(
    "more",
    [[("origin", f"http://{HOST}")], [("sec-fetch-site", "same-origin")], [("sec-fetch-site", "none")]],
    ids=str,
)
def test_the_own_page_is_not(app: Guard, more: list[tuple[str, str]]):
    assert ask(app, ROOT, headers=[("host", HOST), *more]).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/api/maps",
        f"/{TOKEN[:-1]}/",
        f"/{TOKEN}x/",
        f"/{TOKEN.upper()}/",
        f"//{TOKEN}/",
        f"/x/../{TOKEN}/",
        f"/./{TOKEN}/",
        f"/{TOKEN}%2f",
        f"/{TOKEN}\x00/",
        "/\udcff/",
    ],
)
def test_without_the_token_there_is_nothing(app: Guard, inner: Inner, path: str):
    scope = scope_of("/", method="GET")
    scope["path"] = path

    async def run() -> Answer:
        from tests.unit.web.asgi import ask_async

        return await ask_async(app, scope)

    refused(asyncio.run(run()), inner, 404)


def test_tokens_are_compared_in_constant_time(app: Guard, monkeypatch: pytest.MonkeyPatch):
    """By the function of the standard library that is made for it, whatever was given."""
    asked = []
    real = guard.hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        asked.append((one, other))
        return real(one, other)

    monkeypatch.setattr(guard.hmac, "compare_digest", compare)
    ask(app, "/wrong/")
    ask(app, ROOT)
    assert asked == [(b"wrong", TOKEN.encode()), (TOKEN.encode(), TOKEN.encode())]


def test_tokens_are_random_and_long():
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert min(map(len, tokens)) >= 22  # 128 bits in base64
    assert not any(set(token) & set("/?#%") for token in tokens)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"])
def test_only_questions_are_answered(app: Guard, inner: Inner, method: str):
    answer = ask(app, ROOT, method=method)
    refused(answer, inner, 405)
    assert answer.header("allow") == "GET, HEAD"


def test_a_head_has_no_body(app: Guard, inner: Inner):
    answer = ask(app, "/wrong/", method="HEAD")
    assert (answer.status, answer.body) == (404, b"")
    assert ask(app, ROOT, method="HEAD").status == 200


def test_long_queries_are_refused(app: Guard, inner: Inner):
    refused(ask(app, ROOT, query="search=" + "x" * guard.MAX_QUERY), inner, 414)
    assert ask(app, ROOT, query="x" * guard.MAX_QUERY).status == 200


def test_long_headers_are_refused(app: Guard, inner: Inner):
    refused(ask(app, ROOT, headers=[("host", HOST), ("x", "y" * guard.MAX_HEADERS)]), inner, 431)
    assert ask(app, ROOT, headers=[("host", HOST), ("x", "y" * (guard.MAX_HEADERS // 2))]).status == 200


def test_a_page_may_say_a_policy_of_its_own():
    policy = b"default-src 'none'; script-src 'sha256-x'"
    answer = ask(Guard(Inner([(b"content-security-policy", policy)]), TOKEN, PORT), ROOT)
    assert answer.header("content-security-policy") == policy.decode()


def test_no_page_of_another_origin_may_read_it(app: Guard):
    answer = ask(app, ROOT)
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]
    policy = answer.header("content-security-policy") or ""
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
        assert part in policy.split("; ")


def test_other_protocols_are_closed(app: Guard, inner: Inner):
    said = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(app({"type": "websocket", "path": ROOT, "headers": [(b"host", HOST.encode())]}, receive, send))
    assert said == [{"type": "websocket.close", "code": 1008}]
    assert not inner.seen
