"""One task a target: when its turn comes, its profiles are asked for, judged, and handed to the store."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx2

from mapscope.errors import MapscopeError
from mapscope.fleet.asking import AskError, ask, make_client, secrets_of
from mapscope.fleet.config import Config, ScrapeConfig, TLSConfig
from mapscope.fleet.judging import Answer, Judge
from mapscope.fleet.logs import say
from mapscope.fleet.metrics import Metrics
from mapscope.fleet.state import State, TargetState, completed
from mapscope.fleet.store.records import Record
from mapscope.fleet.targets import Target, backed_off, next_turn

HEAP, GOROUTINE = "heap", "goroutine"


@dataclass(slots=True)
class _Shared:
    """The connections of one idea of certificates, and how many requests are under way on them."""

    client: httpx2.AsyncClient
    users: int = 0
    retired: bool = False


@dataclass(slots=True)
class Clients:
    """Connections, one set for each idea of certificates."""

    _made: dict[TLSConfig, _Shared] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def of(self, tls: TLSConfig) -> AsyncIterator[httpx2.AsyncClient]:
        """The connections for ``tls``; they stay open for as long as they are used. AskError."""
        shared = self._made.get(tls)
        if shared is None:
            shared = self._made[tls] = _Shared(make_client(tls))
        shared.users += 1
        try:
            yield shared.client
        finally:
            shared.users -= 1
            if shared.retired and not shared.users:
                await shared.client.aclose()

    async def close(self) -> None:
        """Closes all of them, each behind its last request; files of certificates are read anew afterwards."""
        made, self._made = self._made, {}
        for shared in made.values():
            shared.retired = True
            if not shared.users:
                await shared.client.aclose()


@dataclass(slots=True)
class Scraper:
    """Asks one target after its settings. ``stopping`` is set when the watch ends; ``put`` takes what is to be kept."""

    config: Config
    state: State
    judge: Judge
    metrics: Metrics
    room: asyncio.Semaphore
    clients: Clients
    stopping: asyncio.Event
    put: Callable[[Record], None]
    restore: Callable[[Target, TargetState], None]

    async def follow(self, target: Target, job: ScrapeConfig) -> None:
        """Until it is cancelled or the watch stops."""
        state = self.state.targets[target]
        interval = self.config.interval(job)
        goroutines_due = 0.0
        if not state.restored:
            state.restored = True
            await asyncio.to_thread(self.restore, target, state)
        due = next_turn(time.monotonic(), interval, target.phase)
        while not await self._stopped(due):
            async with self.room:
                if self.stopping.is_set():
                    return
                good = await self._take(target, job, state, HEAP, job.heap_path)
                if good and job.goroutine_path is not None and time.monotonic() >= goroutines_due:
                    goroutines_due = time.monotonic() + self.config.goroutine_interval(job) - interval / 2
                    await self._take(target, job, state, GOROUTINE, job.goroutine_path)
            now = time.monotonic()
            due = next_turn(now, interval, target.phase)
            if not good:
                chance = random.random()  # noqa: S311  # no secret
                wait = backed_off(state.failures, interval, self.config.limits.max_backoff, chance)
                due = max(due, now + wait) if state.failures > 1 else due

    async def _stopped(self, due: float) -> bool:
        """Waits until ``due``, or until the watch stops: then True."""
        try:
            async with asyncio.timeout(max(due - time.monotonic(), 0)):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _take(self, target: Target, job: ScrapeConfig, state: TargetState, kind: str, path: str) -> bool:
        """One profile; whether it was had."""
        taken = time.time()
        try:
            record = await self._judged(target, job, state, kind, path, taken)
        except AskError as error:
            self.state.scrapes[kind, error.reason] += 1
            self._failed(target, state, kind, error, taken)
            return False
        self.state.scrapes[kind, "ok"] += 1
        if kind == HEAP:
            if state.up is not True:
                say("info", "target is up", job=target.job, service=target.service, target=target.instance)
            state.up, state.failures, state.tried_at, state.seen_at, state.reason = True, 0, taken, taken, ""
        self.put(record)
        return True

    async def _judged(
        self, target: Target, job: ScrapeConfig, state: TargetState, kind: str, path: str, taken: float
    ) -> Record:
        limits = self.config.limits
        begin = time.monotonic()
        headers = {**job.headers, **secrets_of(job.authorization, job.basic_auth)}
        url = f"{job.scheme}://{target.instance}{path}"
        try:
            async with self.clients.of(job.tls_config) as client:
                data = await ask(
                    client, url, headers, self.config.timeout(job), limits.response_size, job.tls_config.server_name
                )  # fmt: skip
        finally:
            self.metrics.scrape_seconds.labels(kind).observe(time.monotonic() - begin)
        begin = time.monotonic()
        answer = Answer(
            target, kind, int(taken * 1e6), data, tuple(job.executables), limits.places, limits.inflated_size
        )  # fmt: skip
        judged = await self.judge.judge(answer)
        self.metrics.judge_seconds.labels(kind).observe(time.monotonic() - begin)
        if kind == HEAP and job.executables and judged.executable is None and state.note != judged.note:
            say("warning", "no executable fits the target", target=target.instance, error=judged.note)
        state.note = judged.note
        return completed(state, judged, begin)

    def _failed(self, target: Target, state: TargetState, kind: str, error: AskError, taken: float) -> None:
        level = "debug"
        if kind == HEAP:
            level = "warning" if state.up is not False or state.reason != error.reason else "debug"
            state.up, state.failures, state.tried_at, state.reason = False, state.failures + 1, taken, error.reason
        say(
            level, "a profile was not had", job=target.job, service=target.service, target=target.instance,
            profile=kind, reason=error.reason, error=str(error), hint=error.hint, failures=state.failures,
        )  # fmt: skip


class Fleet:
    """The tasks of all targets."""

    def __init__(self, scraper: Scraper) -> None:
        self.scraper = scraper
        self._tasks: dict[Target, tuple[asyncio.Task[None], ScrapeConfig]] = {}

    def sync(self, targets: list[Target], config: Config) -> None:
        """Begins with new targets, and with those whose settings changed; ends those that are gone."""
        from mapscope.fleet.window import Window

        jobs = {job.job_name: job for job in config.scrape_configs}
        state = self.scraper.state
        wanted: dict[tuple[str, str], Target] = {}
        for target in targets:  # the same address by two lists is one
            wanted.setdefault((target.service, target.instance), target)
        chosen = sorted(wanted.values())[: config.limits.targets]
        state.targets_over_limit = len(wanted) - len(chosen)
        keep = set(chosen)
        for target in [one for one in self._tasks if one not in keep or self._changed(one, jobs, config)]:
            self._tasks.pop(target)[0].cancel()
        for target in [one for one in state.targets if one not in keep]:
            del state.targets[target]
        self.scraper.config = config
        for target in chosen:
            if target not in self._tasks:
                known = state.targets.setdefault(target, TargetState(Window(config.window)))
                known.window.seconds = config.window
                job = jobs[target.job]
                task = asyncio.create_task(self._guarded(target, job))
                self._tasks[target] = task, job

    async def stop(self, seconds: float) -> int:
        """Lets what is under way end, for at most so long; how many were given up."""
        self.scraper.stopping.set()
        tasks = [task for task, _ in self._tasks.values()]
        if not tasks:
            return 0
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(late)

    def _changed(self, target: Target, jobs: dict[str, ScrapeConfig], config: Config) -> bool:
        old, new = self.scraper.config, jobs[target.job]
        same = self._tasks[target][1] == new and old.global_ == config.global_ and old.limits == config.limits
        return not same or self._tasks[target][0].done()

    async def _guarded(self, target: Target, job: ScrapeConfig) -> None:
        """A bug of ours in one target ends neither the watch nor that target."""
        while True:
            try:
                return await self.scraper.follow(target, job)
            except MapscopeError as error:
                say("error", "a target cannot be followed", target=target.instance, error=str(error))
            except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, OSError, RuntimeError):
                from mapscope.fleet.logs import LOG

                LOG.exception("this is a bug of ours", extra={"fields": {"target": target.instance}})
            await asyncio.sleep(self.scraper.config.interval(job))
