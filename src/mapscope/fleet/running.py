"""The watch as a whole: start, reload on SIGHUP, stop on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time

from mapscope.errors import MapscopeError
from mapscope.fleet.config import Config, Store, load
from mapscope.fleet.discovery import Discovery
from mapscope.fleet.judging import Judge
from mapscope.fleet.logs import say
from mapscope.fleet.metrics import Metrics, healthy, make_metrics
from mapscope.fleet.restoring import restore
from mapscope.fleet.scraping import Clients, Fleet, Scraper
from mapscope.fleet.state import State
from mapscope.fleet.store.opening import shown
from mapscope.fleet.web import Web
from mapscope.fleet.writer import Writer

SCRAPE_GRACE = 3.0
"""Seconds that requests under way may take after SIGTERM."""
STORE_GRACE = 10.0
"""Seconds that the store may take to write what waits after it."""


def run(path: str, config: Config) -> int:
    """Watches until SIGTERM or SIGINT; the exit status. Raises MapscopeError where it cannot begin."""
    return asyncio.run(_Watch(path, config).run())


def place_of(store: Store) -> tuple[str, str | None]:
    """File or URL of a store, and its password. UsageError where that cannot be read."""
    if store.growth is not None:
        return store.growth, None
    if store.url is None:
        assert store.path is not None
        return store.path, None
    if store.password_file is None:
        return store.url, None
    from mapscope.fleet.asking import secret

    return store.url, secret(store.password_file)


class _Watch:
    def __init__(self, path: str, config: Config) -> None:
        self._path, self._config = path, config
        self._state = State()
        place, password = place_of(config.store)
        self._writer = Writer(place, password, config.store.buffer_size, config.retention)
        self._metrics: Metrics = make_metrics(self._state, self._writer.counts)
        self._web = Web(
            config.web.listen, self._metrics.registry, {"/healthz": self._health, "/readyz": self._readiness}
        )
        self._place = shown(place)

    async def run(self) -> int:
        """Everything, from start to end."""
        loop = asyncio.get_running_loop()
        stop, reload_ = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, reload_.set)
        self._writer.start()
        self._web.start()
        judge, clients = Judge(self._config.limits.judging_time, self._config.limits.processes), Clients()
        scraper = Scraper(
            self._config, self._state, judge, self._metrics, asyncio.Semaphore(self._config.limits.concurrency),
            clients, asyncio.Event(), self._writer.put,
            lambda target, state: restore(self._writer.store, target, state),
        )  # fmt: skip
        self._fleet = Fleet(scraper)
        self._discovery = self._discover(self._config)
        say("info", "watching", address=self._web.address, store=self._place, config=self._path)
        beat = asyncio.create_task(self._beats())
        while not stop.is_set():
            waits = [asyncio.create_task(one.wait()) for one in (stop, reload_)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for one in waits:
                one.cancel()
            if reload_.is_set() and not stop.is_set():
                reload_.clear()
                await self._reload(clients)
        begin = time.monotonic()
        say("info", "stopping")
        await self._discovery.stop()
        given_up = await self._fleet.stop(SCRAPE_GRACE)
        judge.close()
        await clients.close()
        lost = await asyncio.to_thread(self._writer.stop, STORE_GRACE)
        beat.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beat
        self._web.stop()
        say("info", "stopped", seconds=round(time.monotonic() - begin, 2), given_up=given_up, lost=lost)
        return 0

    def _discover(self, config: Config, before: Discovery | None = None) -> Discovery:
        def changed() -> None:
            self._fleet.sync(found.targets(), config)
            self._state.ready = found.ready

        def failed(kind: str) -> None:
            self._state.discovery_failures[kind] += 1

        found = Discovery(config.scrape_configs, changed, failed)
        if before is not None:
            found.adopt(before)
        found.start()
        return found

    async def _reload(self, clients: Clients) -> None:
        """Takes the file as it is now; where it is wrong, the settings in force stay."""
        try:
            config = load(self._path)
        except MapscopeError as error:
            say("error", "the settings are wrong; the old ones stay in force", error=str(error), hint=error.hint)
            self._state.reload_ok = False  # behind the words: who sees the number finds them
            return
        if config.store != self._config.store or config.web != self._config.web:
            say("warning", "store and web change with a restart only")
        if config.limits.concurrency != self._config.limits.concurrency:
            self._fleet.scraper.room = asyncio.Semaphore(config.limits.concurrency)
        await self._discovery.stop()
        await clients.close()
        self._writer.retention = config.retention
        self._fleet.scraper.judge.seconds = config.limits.judging_time
        self._config = config
        self._discovery = self._discover(config, self._discovery)
        self._state.reload_ok, self._state.reloaded_at = True, time.time()
        say("info", "the settings were read again", targets=len(self._state.targets))

    async def _beats(self) -> None:
        while True:
            self._state.beat = time.monotonic()
            self._state.ready = self._discovery.ready
            await asyncio.sleep(0.5)

    def _health(self) -> str:
        wrong = [] if healthy(self._state) else ["the event loop stands"]
        if not self._writer.alive:
            wrong.append("what writes the store has ended: a bug of mapscope")
        return "; ".join(wrong)

    def _readiness(self) -> str:
        wrong = [] if self._state.ready else ["targets are not known yet"]
        if not self._writer.counts.working:
            wrong.append("the store cannot be written")
        return "; ".join(wrong)
