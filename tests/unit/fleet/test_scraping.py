"""Connections of the watch when its settings are read again."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from mapscope.fleet.asking import AskError, ask
from mapscope.fleet.config import TLSConfig
from mapscope.fleet.marks import FilePath
from mapscope.fleet.scraping import Clients

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood"


class Held:
    """A service that answers when it is told to; ``asked`` is set with each request."""

    def __init__(self) -> None:
        self.asked, self.told = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await self.told.wait()
        writer.write(WHOLE)
        await writer.drain()
        writer.close()


def address(server: asyncio.Server) -> str:
    """The URL of a server."""
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def one(clients: Clients, server: asyncio.Server, used: list[httpx2.AsyncClient]) -> bytes:
    """One answer; ``used`` gets the client."""
    async with clients.of(TLSConfig()) as client:
        used.append(client)
        return await ask(client, address(server), {}, 30.0, 100)


def test_a_request_under_way_ends_as_it_would_have():
    """Closing behind its back lets it end; what comes afterwards has connections of its own; nothing stays open."""

    async def run() -> None:
        held, clients = Held(), Clients()
        used: list[httpx2.AsyncClient] = []
        server = await asyncio.start_server(held.serve, "127.0.0.1", 0)

        first, second = asyncio.create_task(one(clients, server, used)), asyncio.create_task(one(clients, server, used))
        await asyncio.wait_for(held.asked.wait(), 30)
        await clients.close()
        third = asyncio.create_task(one(clients, server, used))
        held.told.set()
        assert await asyncio.gather(first, second, third) == [b"good"] * 3
        assert used[0] is used[1]
        assert used[2] is not used[0]
        assert used[0].is_closed
        assert not used[2].is_closed
        await clients.close()
        assert used[2].is_closed
        server.close()

    asyncio.run(run())


def test_a_request_between_its_client_and_its_first_byte():
    """The moment in which a closed client would be an error of ours."""

    async def run() -> None:
        held, clients = Held(), Clients()
        held.told.set()
        server = await asyncio.start_server(held.serve, "127.0.0.1", 0)
        async with clients.of(TLSConfig()) as client:
            await clients.close()
            assert await ask(client, address(server), {}, 30.0, 100) == b"good"
        assert client.is_closed
        server.close()

    asyncio.run(run())


def test_a_request_that_is_given_up_leaves_nothing_open():
    async def run() -> None:
        held, clients = Held(), Clients()
        used: list[httpx2.AsyncClient] = []
        server = await asyncio.start_server(held.serve, "127.0.0.1", 0)

        task = asyncio.create_task(one(clients, server, used))
        await asyncio.wait_for(held.asked.wait(), 30)
        await clients.close()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert used[0].is_closed
        held.told.set()
        server.close()

    asyncio.run(run())


def test_certificates_that_cannot_be_used():
    async def run() -> None:
        clients = Clients()
        with pytest.raises(AskError, match="cannot use the files of tls_config"):
            async with clients.of(TLSConfig(ca_file=FilePath("/nowhere/ca.pem"))):
                pass
        await clients.close()

    asyncio.run(run())
