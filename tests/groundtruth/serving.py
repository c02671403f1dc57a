"""A real server in a process of its own, and someone who asks it without a browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.groundtruth import harness

SECONDS = 120
URL = re.compile(r"http://(127\.0\.0\.1|\[::1\]):(\d+)/([A-Za-z0-9_-]{22,})/\Z")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running ``mapscope serve``. ``heard``: all that it has sent to anyone here."""

    process: subprocess.Popen[str]
    url: str
    heard: list[bytes] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(URL.match(self.url)[2])  # type: ignore[index]

    @property
    def token(self) -> str:
        return URL.match(self.url)[3]  # type: ignore[index]

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Asks for a path behind the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, f"/{self.token}/{path}", headers=headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        self.heard += [body, str(response.getheaders()).encode()]
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def get(self, path: str) -> Any:
        """The document at a path, which must be there."""
        answer = self.ask(path)
        assert answer.status == 200, (path, answer.status, answer.body[:300])
        return answer.json

    def raw(self, request: bytes) -> bytes:
        """All that comes back for these very bytes, until the server closes; they must make it do so."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection:
            connection.sendall(request)
            got = b""
            while part := connection.recv(1 << 16):
                got += part
        self.heard.append(got)
        return got

    def end(self) -> tuple[int, str]:
        """Ctrl-C: the status, and all that stood on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said


@contextlib.contextmanager
def serving(*arguments: str | Path, folder: Path | None = None, browser: str = "") -> Iterator[Server]:
    """``mapscope serve`` with these arguments. ``folder``: its TMPDIR. ``browser``: what opens a URL."""
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1", "BROWSER": browser}
    if folder is not None:
        environment["TMPDIR"] = str(folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "mapscope", "serve", *map(str, arguments)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    watchdog = threading.Timer(SECONDS, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        watchdog.cancel()
        if not URL.match(url):
            process.kill()
            raise AssertionError(f"no URL but {url!r}: {process.communicate()[1]}")
        yield Server(process, url)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
