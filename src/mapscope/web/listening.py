"""The socket, the URL and the loop of the server. It binds loopback and nothing else."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket

import uvicorn
from starlette.types import ASGIApp

from mapscope.errors import UsageError

LOOPBACK = "127.0.0.1"
_CONNECTIONS = 64
_HEAD_BYTES = 32 << 10
"""Longest head of a request (line and headers) that is waited for; the guard allows less."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on loopback; ``port`` 0 takes a free one.

    UsageError for every other address, and where the port cannot be had.
    """
    family, address = _loopback(host, port)
    # named as TCP, or asyncio does not switch Nagle's algorithm off, and every answer waits 40 ms for an ACK
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {address} port {port}: {error.strerror or error}",
            "leave --port out: a free one is chosen then",
        ) from None
    return listener


def _loopback(host: str, port: int) -> tuple[socket.AddressFamily, str]:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(LOOPBACK if host == "localhost" else host.strip("[]"))
        if str(address) in (LOOPBACK, "::1"):
            return (socket.AF_INET6 if address.version == 6 else socket.AF_INET), str(address)
    shown = port or 8000
    raise UsageError(
        f"mapscope serves on loopback only (127.0.0.1 or ::1), not on {host}: what it shows is the memory of a process",
        f"from another machine: ssh -L {shown}:127.0.0.1:{shown} THIS-MACHINE, with --port {shown} here",
    )


def url_of(listener: socket.socket, token: str) -> str:
    """What opens the page of a server on ``listener``."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/{token}/"


def run(app: ASGIApp, listener: socket.socket) -> None:
    """Serves until Ctrl-C or SIGTERM. Nothing is logged: a log would hold the token."""
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [logging.NullHandler()], False
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=_HEAD_BYTES,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
        )
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again when all is closed
        server.run(sockets=[listener])
