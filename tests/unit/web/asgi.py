"""Asks an ASGI application one thing, without a network."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

PORT = 4321
HOST = f"127.0.0.1:{PORT}"


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, f"{name} is said {len(found)} times"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        assert self.header("content-type") == "application/json"
        return json.loads(self.body)


def scope_of(
    path: str, *, method: str = "GET", query: str = "", headers: list[tuple[str, str]] | None = None
) -> dict[str, Any]:
    """``headers`` in place of a right Host."""
    given = [("host", HOST)] if headers is None else headers
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", PORT),
    }


async def ask_async(app: Any, scope: dict[str, Any], gone: asyncio.Event | None = None) -> Answer:
    """``gone``: set when the asker closes the connection."""
    said: list[dict[str, Any]] = []
    first = True
    never = gone or asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": b"", "more_body": False}
        await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await app(scope, receive, send)
    start = said[0]
    headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
    return Answer(start["status"], headers, b"".join(one.get("body", b"") for one in said[1:]))


def ask(app: Any, path: str, **about: Any) -> Answer:
    return asyncio.run(ask_async(app, scope_of(path, **about)))
