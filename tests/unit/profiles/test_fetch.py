"""Profiles over HTTP: what is asked, what answers mean, and that secrets go nowhere else. A server in this process."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mapscope.errors import EvidenceError, UsageError
from mapscope.profiles.fetch import Request, read_profile
from mapscope.profiles.web import profile_url
from tests.services.certificate import make_certificate

TEXT = b"goroutine profile: total 1\n1 @ 0x1\n"


class Handler(BaseHTTPRequestHandler):
    """Answers by path; keeps what was asked."""

    asked: list[tuple[str, str | None]] = []  # noqa: RUF012
    release = threading.Event()

    def do_GET(self) -> None:
        Handler.asked.append((self.path, self.headers.get("Authorization")))
        path = self.path.partition("?")[0]
        if path == "/hang":
            Handler.release.wait(30)
            return
        if path in ("/away", "/near"):
            self.send_response(302)
            self.send_header("Location", "http://elsewhere.test/x" if path == "/away" else "/debug/pprof/heap")
            self.end_headers()
            return
        if path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "9999")
            self.end_headers()
            self.wfile.write(TEXT)
            return
        good = path == "/debug/pprof/heap"
        self.send_response(200 if good else 404)
        self.end_headers()
        self.wfile.write(TEXT if good else b"Unknown profile\nmore")

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that do not trust it."""

    def handle_error(self, *_: object) -> None:
        """Nothing."""


def serving(wrap: ssl.SSLContext | None = None) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Handler)
    if wrap is not None:
        server.socket = wrap.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Handler.asked.clear()
    Handler.release.clear()
    yield f"{'http' if wrap is None else 'https'}://127.0.0.1:{server.server_port}"
    Handler.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def http() -> Iterator[str]:
    yield from serving()


def test_a_host_alone_means_its_heap(http: str):
    for url in (http, http + "/", http + "/debug/pprof/", http + "/near"):
        assert len(read_profile(url)) == 1
    assert {path for path, _ in Handler.asked} == {"/debug/pprof/heap", "/near"}


def test_seconds_headers_and_passwords(http: str):
    read_profile(http, request=Request(seconds=5, headers={"Authorization": "Bearer t"}))
    assert Handler.asked == [("/debug/pprof/heap?seconds=5", "Bearer t")]
    profile = read_profile(http.replace("//", "//user:secret@") + "/debug/pprof/heap")
    assert Handler.asked[-1] == ("/debug/pprof/heap", "Basic dXNlcjpzZWNyZXQ=")
    assert len(profile) == 1
    assert (
        profile_url("http://h/debug/pprof/allocs?debug=1&seconds=9", 3)
        == "http://h/debug/pprof/allocs?debug=1&seconds=3"
    )


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/other", "answers 404 .*: Unknown profile$"),
        ("/away", "redirects to http://elsewhere.test"),
        ("/cut", "cut short by 9,964 bytes"),
    ],
)
def test_answers_that_are_no_profile(http: str, path: str, word: str):
    with pytest.raises(EvidenceError, match=word) as caught:
        read_profile(http.replace("//", "//user:secret@") + path)
    assert "secret" not in str(caught.value)


def test_a_service_that_says_nothing(http: str):
    with pytest.raises(EvidenceError, match=r"sent nothing for 0.3 s|timed out"):
        read_profile(http + "/hang", request=Request(timeout=0.3))


def test_nobody_there_and_no_url():
    with pytest.raises(EvidenceError, match=r"cannot reach http://127\.0\.0\.1:9"):
        read_profile("http://127.0.0.1:9/debug/pprof/heap", request=Request(timeout=5))
    for url in ("http://", "http://h:port/x"):
        with pytest.raises(UsageError, match="is no URL"):
            read_profile(url)


@pytest.mark.toolchain
def test_certificates(tmp_path: Path):
    made = make_certificate(tmp_path)
    for url in serving(made.context()):
        with pytest.raises(EvidenceError, match="is not trusted"):
            read_profile(url)
        assert len(read_profile(url, request=Request(verify=False))) == 1
        assert len(read_profile(url, request=Request(authority=str(made.certificate)))) == 1
