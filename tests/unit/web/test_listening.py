"""Only loopback is bound."""

from __future__ import annotations

import socket

import pytest

from mapscope.errors import UsageError
from mapscope.web.listening import bind, url_of


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "fe80::1",
     "192.168.1.7", "127.0.0.2", "example.com", "", "*", "::ffff:127.0.0.1", "0", "2130706433"],
)  # fmt: skip
def test_nothing_but_loopback(host: str):
    with pytest.raises(UsageError, match="loopback only") as refused:
        bind(host, 0)
    assert "ssh -L" in refused.value.hint


@pytest.mark.parametrize(
    ("host", "at"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1")]
)
def test_loopback(host: str, at: str):
    if at == "::1" and not has_ipv6():
        with pytest.raises(UsageError, match="cannot listen"):
            bind(host, 0)
        return
    listener = bind(host, 0)
    with listener:
        assert listener.getsockname()[0] == at
        assert listener.proto == socket.IPPROTO_TCP  # asyncio: TCP_NODELAY
        port = listener.getsockname()[1]
        assert url_of(listener, "token") == (
            f"http://[::1]:{port}/token/" if ":" in at else f"http://{at}:{port}/token/"
        )
        with socket.create_connection((at, port), 10):
            pass


def test_a_port_that_is_taken():
    with bind("127.0.0.1", 0) as first, pytest.raises(UsageError, match="cannot listen") as refused:
        bind("127.0.0.1", first.getsockname()[1])
    assert "--port" in refused.value.hint
