"""The paths of the server, with questions that are answered as the test likes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import threading
from typing import Any

import pytest

from mapscope.errors import UsageError
from mapscope.web.app import guarded
from mapscope.web.asking import Asking
from mapscope.web.guard import Guard
from mapscope.web.listing import Wanted
from mapscope.web.parameters import MAX_ROWS
from tests.unit.web.asgi import PORT, Answer, ask, ask_async, scope_of

TOKEN = "t" * 32
ROOT = f"/{TOKEN}/"
SECRET = "GHJKMNPQ"


class Questions:
    """Stands for those about a snapshot."""

    title = "mapscope: <b>core</b>"

    def __init__(self, shows: bool = False) -> None:
        self.shows = shows
        self.asked: list[Any] = []
        self.begun, self.ended = threading.Event(), threading.Event()

    def page(self) -> bytes:
        return b"pack"

    def maps(self, wanted: Wanted) -> bytes:
        self.asked.append(wanted)
        return b"{}"

    def branch(self, node: int, limit: int) -> bytes:
        self.asked.append((node, limit))
        return b"{}"

    def types(self, *given: Any) -> bytes:
        self.asked.append(given)
        return b"{}"

    def contents(self, address: int) -> bytes:
        self.asked.append(address)
        return b"{}"

    def map(self, address: int) -> bytes:
        raise UsageError(f"no map at {address:#x}", "ask for another")

    def address(self, address: int) -> bytes:
        if address:
            raise KeyError(SECRET)
        try:
            self.begun.set()
            while True:
                self.ended.wait(0.001)
        finally:
            self.ended.set()


def served(questions: Questions, seconds: float = 60.0) -> Guard:
    return guarded(questions, TOKEN, PORT, Asking(seconds))  # type: ignore[arg-type]


def test_the_page_runs_its_own_script_and_no_other():
    answer = ask(served(Questions()), ROOT)
    text = answer.body.decode()
    assert answer.status == 200
    assert answer.header("content-type") == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in (answer.header("content-security-policy") or "").split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert policy[name] == f"'sha256-{digest}'"
        assert len(re.findall(rf"<{tag}\b", text)) == 1
    assert TOKEN not in text
    assert "<b>core" not in text
    assert not re.findall(r"<(?:link|img|iframe|base|object|embed)\b", text)


def test_the_data_is_the_report():
    answer = ask(served(Questions()), ROOT + "api/pack")
    assert (answer.status, answer.body) == (200, b"pack")
    assert answer.header("content-type") == "application/octet-stream"


def test_what_is_not_given_has_a_default():
    questions = Questions()
    app = served(questions)
    assert ask(app, ROOT + "api/maps").status == 200
    assert ask(app, ROOT + "api/maps", query="search=%5B%25&offset=7&limit=500&order=ascending").status == 200
    assert ask(app, ROOT + "api/dominators").status == 200
    assert ask(app, ROOT + "api/types").status == 200
    assert questions.asked == [
        Wanted(),
        Wanted(search="[%", offset=7, limit=MAX_ROWS, order="ascending"),
        (0, 50),
        ("bytes", "", 0, 100),
    ]


@pytest.mark.parametrize("query", ["x=1", "search=a&search=b", "limit=501", "limit=", "sort=no", "%00=1"])
def test_wrong_queries_reach_nothing(query: str):
    questions = Questions()
    app = served(questions)
    for path in ("maps", "dominators", "types", "map/0x1", "address/0x1", "chains/0x1", "pack", "pack/map/0x1"):
        answer = ask(app, ROOT + "api/" + path, query=query)
        assert answer.status == 400, path
        assert set(answer.json) == {"error", "hint"}
    assert not questions.asked


def test_a_refusal_is_a_document():
    answer = ask(served(Questions()), ROOT + "api/map/0x10")
    assert (answer.status, answer.json) == (404, {"error": "no map at 0x10", "hint": "ask for another"})


def test_contents_have_no_path_of_their_own_unless_allowed():
    questions = Questions()
    answer = ask(served(questions), ROOT + "api/contents/0x10")
    assert answer.status == 404
    assert "--show-contents" in answer.json["hint"]
    assert not questions.asked
    questions = Questions(shows=True)
    assert ask(served(questions), ROOT + "api/contents/0x10").status == 200
    assert questions.asked == [16]


def test_a_slow_answer_is_given_up():
    questions = Questions()
    slow = asyncio.run(ask_async(served(questions, 0.1), scope_of(ROOT + "api/address/0x0")))
    assert slow.status == 503
    assert "longer than 0.1 seconds" in slow.json["error"]


def test_the_page_lives_on_beside_a_slow_answer():
    questions = Questions()
    app = served(questions)

    async def run() -> Answer:
        gone = asyncio.Event()
        slow = asyncio.ensure_future(ask_async(app, scope_of(ROOT + "api/address/0x0"), gone))
        await asyncio.to_thread(questions.begun.wait)
        meanwhile = await ask_async(app, scope_of(ROOT + "api/pack"))  # not from the snapshot: at once
        assert not slow.done()
        gone.set()
        await slow
        return meanwhile

    assert asyncio.run(run()).status == 200
    assert questions.ended.wait(60)


def test_a_question_that_nobody_waits_for_is_stopped():
    questions = Questions()
    app = served(questions)

    async def run() -> Answer:
        gone = asyncio.Event()
        asked = asyncio.ensure_future(ask_async(app, scope_of(ROOT + "api/address/0x0"), gone))
        await asyncio.to_thread(questions.begun.wait)
        gone.set()
        return await asked

    assert asyncio.run(run()).body == b""
    assert questions.ended.wait(60)


def test_a_bug_says_where_and_not_what(capsys: pytest.CaptureFixture[str]):
    """The words of an error may be contents of the heap."""
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    with pytest.raises(KeyError):  # on to the loop of the server, which is told to keep quiet
        asyncio.run(served(Questions())(scope_of(ROOT + "api/address/0x10"), receive, send))
    body = said[1]["body"].decode()
    assert said[0]["status"] == 500
    assert "KeyError at test_app.py:" in body
    err = capsys.readouterr().err
    assert "this is a bug of ours: KeyError at test_app.py:" in err
    assert SECRET not in body + err
    assert TOKEN not in body + err
