"""Services that are none: one replays a profile that it is given, the others do what broken services do.

Run as a program: ``fakes.py PROFILE KIND…`` listens at one free port for each KIND, prints their addresses as one line
of JSON, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

Writer = asyncio.StreamWriter
HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n%s\r\n"


def head(status: bytes = b"200 OK", *fields: bytes) -> bytes:
    """The first lines of an answer."""
    return HEAD % (status, b"".join(one + b"\r\n" for one in fields))


def sized(body: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer."""
    return head(status, b"Content-Length: %d" % len(body)) + body


PROFILE = b""
WAITS = b"goroutine 1 [running]:\nmain.main()\n\t/x/main.go:1 +0x1\n"


async def replay(writer: Writer, path: str) -> None:
    """What a healthy service says."""
    writer.write(sized(WAITS if "goroutine" in path else PROFILE))


async def slow(writer: Writer, path: str) -> None:
    """A byte at a time, for ever."""
    writer.write(head())
    while True:
        writer.write(b"\0")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(writer: Writer, path: str) -> None:
    """As fast as it goes, for ever."""
    writer.write(head())
    while True:
        writer.write(b"\0" * 65536)
        await writer.drain()


async def chunks(writer: Writer, path: str) -> None:
    """Chunks of one byte, for ever."""
    writer.write(head(b"200 OK", b"Transfer-Encoding: chunked"))
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def silent(writer: Writer, path: str) -> None:
    """No answer at all."""
    await asyncio.sleep(3600)


async def html(writer: Writer, path: str) -> None:
    """A page, with status 200."""
    writer.write(sized(b"\n<!doctype html><title>Sign in</title><input value='secret-of-the-page'>"))


async def missing(writer: Writer, path: str) -> None:
    """No such path."""
    writer.write(sized(b"404 page not found\n", b"404 Not Found"))


async def reset(writer: Writer, path: str) -> None:
    """A connection that is torn down."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def cut(writer: Writer, path: str) -> None:
    """Less than was promised."""
    writer.write(head(b"200 OK", b"Content-Length: 100000") + PROFILE[:100])


async def promised(writer: Writer, path: str) -> None:
    """A length that nobody would read."""
    writer.write(head(b"200 OK", b"Content-Length: 9999999999999"))


async def bomb(writer: Writer, path: str) -> None:
    """A few kilobytes that become hundreds of megabytes."""
    writer.write(sized(BOMB))


async def wrapped_bomb(writer: Writer, path: str) -> None:
    """The same as an encoding of the transfer."""
    writer.write(head(b"200 OK", b"Content-Encoding: gzip", b"Content-Length: %d" % len(BOMB)) + BOMB)


async def encoded(writer: Writer, path: str) -> None:
    """A good profile that a proxy compressed once more."""
    body = gzip.compress(WAITS if "goroutine" in path else PROFILE)
    writer.write(head(b"200 OK", b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)) + body)


async def elsewhere(writer: Writer, path: str) -> None:
    """To another host."""
    writer.write(head(b"302 Found", b"Location: http://127.0.0.2:1/debug/pprof/heap", b"Content-Length: 0"))


async def moved(writer: Writer, path: str) -> None:
    """To another path of its own, where the profile is."""
    if path.startswith("/new"):
        await replay(writer, path)
    else:
        writer.write(head(b"302 Found", b"Location: /new" + path.encode(), b"Content-Length: 0"))


async def circle(writer: Writer, path: str) -> None:
    """To itself."""
    writer.write(head(b"302 Found", b"Location: " + path.encode(), b"Content-Length: 0"))


async def garbage(writer: Writer, path: str) -> None:
    """Bytes that are no profile."""
    writer.write(sized(bytes(range(256)) * 10))


async def empty(writer: Writer, path: str) -> None:
    """Nothing, with status 200."""
    writer.write(sized(b""))


async def other(writer: Writer, path: str) -> None:
    """Goroutines where the heap was asked for."""
    writer.write(sized(WAITS))


async def no_http(writer: Writer, path: str) -> None:
    """Another protocol."""
    writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")


KINDS: dict[str, Callable[[Writer, str], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        replay, slow, endless, chunks, silent, html, missing, reset, cut, promised, bomb, wrapped_bomb, encoded,
        elsewhere, moved, circle, garbage, empty, other, no_http,
    )
}  # fmt: skip
REASON = {
    "slow": "timeout", "endless": "too_large", "chunks": "timeout", "silent": "timeout", "html": "no_profile",
    "missing": "status", "reset": "unreachable", "cut": "cut_short", "promised": "too_large", "bomb": "no_profile",
    "wrapped_bomb": "too_large", "elsewhere": "redirect", "circle": "redirect", "garbage": "no_profile",
    "empty": "no_profile", "other": "no_profile", "no_http": "cut_short",
}  # fmt: skip
"""What the watch calls the failure of each kind that fails."""
BOMB = b""


def make_bomb() -> bytes:
    """300 MB of zeros in 300 kB."""
    import zlib

    engine, part = zlib.compressobj(9, wbits=31), b"\0" * (10 << 20)
    return b"".join([*(engine.compress(part) for _ in range(30)), engine.flush()])


async def serve(kinds: list[str]) -> None:
    """Until standard input ends."""

    def handler(kind: str) -> Callable[[asyncio.StreamReader, Writer], Awaitable[None]]:
        async def handle(reader: asyncio.StreamReader, writer: Writer) -> None:
            try:
                asked = await reader.readuntil(b"\r\n\r\n")
                await KINDS[kind](writer, asked.split()[1].decode())
                await writer.drain()
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        return handle

    servers = [await asyncio.start_server(handler(kind), "127.0.0.1", 0) for kind in kinds]
    print(json.dumps([f"127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in servers]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """The program."""
    global PROFILE, BOMB
    PROFILE = Path(sys.argv[1]).read_bytes()
    if any("bomb" in kind for kind in sys.argv[2:]):
        BOMB = make_bomb()
    asyncio.run(serve(sys.argv[2:]))


if __name__ == "__main__":
    main()
