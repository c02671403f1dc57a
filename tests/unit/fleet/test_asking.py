"""Requests: who may see a secret, which certificates count, what a redirection may do. Real servers, real TLS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mapscope.fleet.asking import CERTIFICATE, REDIRECT, SECRET, UNREACHABLE, AskError, ask, make_client, secrets_of
from mapscope.fleet.config import Authorization, BasicAuth, TLSConfig
from mapscope.fleet.marks import FilePath
from tests.services.certificate import Certificate, make_certificate


class Handler(BaseHTTPRequestHandler):
    """Says what it was asked."""

    def do_GET(self) -> None:
        body = f"{self.path} {self.headers.get('Authorization')} {self.headers.get('X-One')}".encode()
        if self.path == "/far":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/x")
        elif self.path == "/odd":
            self.send_response(302)
            self.send_header("Location", "http://[")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that do not trust it."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Nothing."""


def serving(certificate: Certificate | None = None) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = certificate.context()
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def http() -> Iterator[str]:
    yield from serving()


def asked(url: str, tls: TLSConfig | None = None, headers: dict[str, str] | None = None) -> str:
    """One answer."""

    async def run() -> bytes:
        async with make_client(tls or TLSConfig()) as client:
            return await ask(client, url, headers or {}, 10.0, 10_000)

    return asyncio.run(run()).decode()


def test_headers_and_secrets(http: str, tmp_path: Path):
    (tmp_path / "secret").write_text("geheim\n")
    secret = FilePath(str(tmp_path / "secret"))
    bearer = secrets_of(Authorization(credentials_file=secret), None)
    assert asked(f"{http}/a?b=c", headers={"X-One": "1", **bearer}) == "/a?b=c Bearer geheim 1"
    basic = secrets_of(None, BasicAuth(username="me", password_file=secret))
    assert asked(f"{http}/", headers=basic) == "/ Basic bWU6Z2VoZWlt None"
    assert secrets_of(None, None) == {}


@pytest.mark.parametrize("text", ["", "two\nlines", "\0", "\u00fc"])
def test_a_file_that_holds_no_secret(text: str, tmp_path: Path):
    path = tmp_path / "secret"
    path.write_text(text)
    with pytest.raises(AskError, match="no secret on one line") as caught:
        secrets_of(Authorization(credentials_file=FilePath(str(path))), None)
    assert caught.value.reason == SECRET
    with pytest.raises(AskError, match="cannot read"):
        secrets_of(Authorization(credentials_file=FilePath(str(tmp_path / "none"))), None)


def test_redirections_and_nobody(http: str, monkeypatch: pytest.MonkeyPatch):
    for path, reason in (("/far", REDIRECT), ("/odd", REDIRECT)):
        with pytest.raises(AskError) as caught:
            asked(http + path)
        assert caught.value.reason == reason
    with pytest.raises(AskError, match="cannot reach") as caught:
        asked("http://127.0.0.1:1/")
    assert caught.value.reason == UNREACHABLE
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # of somebody else: the watch asks its targets itself
    assert asked(f"{http}/x") == "/x None None"


@pytest.mark.toolchain
def test_certificates(tmp_path: Path):
    made = make_certificate(tmp_path)
    trusted, key = FilePath(str(made.certificate)), FilePath(str(made.key))
    for url in serving(made):
        with pytest.raises(AskError, match="is not trusted") as caught:
            asked(url)
        assert caught.value.reason == CERTIFICATE
        assert asked(f"{url}/x", TLSConfig(ca_file=trusted)) == "/x None None"
        assert asked(f"{url}/x", TLSConfig(insecure_skip_verify=True)) == "/x None None"
        assert asked(f"{url}/x", TLSConfig(ca_file=trusted, cert_file=trusted, key_file=key)) == "/x None None"
        with pytest.raises(AskError):
            asked(url.replace("https", "http"))
    with pytest.raises(AskError, match="tls_config") as caught:
        make_client(TLSConfig(ca_file=FilePath(str(tmp_path / "none"))))
    assert caught.value.reason == SECRET
