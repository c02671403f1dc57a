"""Where targets come from: lists in the settings, files, and Kubernetes (``kubernetes``)."""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mapscope.errors import MapscopeError
from mapscope.fleet.config import FileSD, KubernetesSD, ScrapeConfig, StaticConfig
from mapscope.fleet.logs import say
from mapscope.fleet.marks import decode, read_yaml
from mapscope.fleet.targets import Target

MAX_FILES = 1000


class Source(Protocol):
    """One place that names targets. ``kind`` is a value of a label."""

    kind: str

    @property
    def every(self) -> float:
        """Seconds between two looks."""

    async def targets(self) -> list[Target]:
        """All of them now. Raises MapscopeError; then those of before stay."""


def service_of(job: str, labels: dict[str, str]) -> str:
    """The service that labels name, else the job."""
    return labels.get("service", "").strip() or job


def of_static(job: str, configs: Sequence[StaticConfig]) -> list[Target]:
    """Targets of lists."""
    return [Target(job, service_of(job, one.labels), address) for one in configs for address in one.targets]


@dataclass(slots=True)
class Files:
    """Targets of files. A file that is wrong keeps what it said before; the others count."""

    job: str
    config: FileSD
    kind: str = "file"
    _before: dict[str, list[Target]] = field(default_factory=dict)
    _read: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def every(self) -> float:
        """Seconds between two looks."""
        return self.config.refresh_interval

    async def targets(self) -> list[Target]:
        """Those of all files that match. ConfigError for the first that is wrong, once the others were read."""
        wrong = await asyncio.to_thread(self._look)
        if wrong is not None:
            say("warning", "a file of targets is wrong", error=str(wrong), hint=wrong.hint)
            raise wrong
        return self.known()

    def _look(self) -> MapscopeError | None:
        """Reads the files that changed since the last look; what is wrong with the first that is wrong."""
        names = [
            name for one in self.config.files for name in (sorted(glob.glob(one)) if glob.has_magic(one) else [one])
        ]
        wrong: MapscopeError | None = None
        found: dict[str, list[Target]] = {}
        for name in names[:MAX_FILES]:
            found[name] = self._before.get(name, [])
            try:
                state = _state_of(name)
                if state is None or state != self._read.get(name):
                    found[name] = of_static(self.job, decode(list[StaticConfig], read_yaml(name), name))
                    self._read[name] = state or (0, 0, 0)
            except MapscopeError as error:
                self._read.pop(name, None)
                wrong = wrong or error
        self._before = found
        return wrong

    def known(self) -> list[Target]:
        """What the last look found, wrong files as they were before."""
        return [target for of in self._before.values() for target in of]


class Discovery:
    """Asks the sources of all jobs again and again, and hands out the whole list when it changes."""

    def __init__(
        self, jobs: Sequence[ScrapeConfig], changed: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        self._changed, self._failed = changed, failed
        self._static = [target for job in jobs for target in of_static(job.job_name, job.static_configs)]
        self._sources: list[Source] = []
        self._keys: list[tuple[str, object]] = []
        for job in jobs:
            self._sources.extend(Files(job.job_name, one) for one in job.file_sd_configs)
            self._sources.extend(_pods(job.job_name, one) for one in job.kubernetes_sd_configs)
            self._keys.extend((job.job_name, one) for one in (*job.file_sd_configs, *job.kubernetes_sd_configs))
        self._found: list[list[Target] | None] = [None] * len(self._sources)
        self._tasks: list[asyncio.Task[None]] = []

    def adopt(self, other: Discovery) -> None:
        """Takes over what ``other`` found at sources that are the same here: a reload loses no target."""
        known = {repr(key): found for key, found in zip(other._keys, other._found, strict=True) if found is not None}
        self._found = [known.get(repr(key)) for key in self._keys]

    @property
    def ready(self) -> bool:
        """Whether every source has answered once, well or badly."""
        return all(one is not None for one in self._found)

    def targets(self) -> list[Target]:
        """All of them, each once."""
        return list(dict.fromkeys([*self._static, *(target for one in self._found for target in one or ())]))

    def start(self) -> None:
        """Begins to ask."""
        self._changed()
        self._tasks = [asyncio.create_task(self._follow(number)) for number in range(len(self._sources))]

    async def stop(self) -> None:
        """Ends it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, number: int) -> None:
        source = self._sources[number]
        while True:
            before = self._found[number]
            try:
                found = await source.targets()
            except MapscopeError as error:
                self._failed(source.kind)
                if not isinstance(source, Files):
                    say("warning", "targets cannot be had", kind=source.kind, error=str(error), hint=error.hint)
                found = source.known() if isinstance(source, Files) else before or []
            self._found[number] = found
            if found != before:
                self._changed()
            await asyncio.sleep(max(source.every, 0.05))


def _state_of(name: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(name)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _pods(job: str, config: KubernetesSD) -> Source:
    from mapscope.fleet.kubernetes import Pods

    return Pods(job, config, os.environ.get)
