"""The port of the watch: /metrics, /healthz and /readyz, in a thread of its own: it answers whatever the loop does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from mapscope.errors import UsageError

Check = Callable[[], str]
"""What is wrong; an empty text: nothing."""


class Web:
    """Serves until ``stop``."""

    def __init__(self, listen: str, registry: CollectorRegistry, checks: dict[str, Check]) -> None:
        """``listen``: HOST:PORT. ``checks``: by path. UsageError where the address cannot be had."""
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        handler = type("Handler", (_Handler,), {"registry": registry, "checks": checks})
        kind = type("Server", (_Server,), {"address_family": AF_INET6} if ":" in host else {})
        try:
            self._server = kind((host, int(port)), handler)
        except OSError as error:
            raise UsageError(f"cannot listen at {listen}: {error.strerror or error}", "set web: listen") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="web", daemon=True)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{self._server.server_address[1]}"

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's failure."""


class _Handler(BaseHTTPRequestHandler):
    registry: ClassVar[CollectorRegistry]
    checks: ClassVar[dict[str, Check]]
    timeout = 10  # seconds without a byte of the request
    server_version = "mapscope"
    sys_version = ""

    def do_GET(self) -> None:  # the name that http.server calls
        """One answer."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(200, encode(self.registry), kind)
        elif path in self.checks:
            wrong = self.checks[path]()
            self._answer(503 if wrong else 200, f"{wrong or 'ok'}\n".encode(), "text/plain; charset=utf-8")
        else:
            self._answer(404, b"/metrics /healthz /readyz\n", "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Requests are not logged."""
