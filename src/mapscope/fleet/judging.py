"""What one profile says, worked out in a process of its own: parsing takes CPU, and profiles are hostile.

The process ends itself where one profile takes too much CPU time; the pool is then made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import glob
import hashlib
import importlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from mapscope.errors import EvidenceError, ExecutableError, MapscopeError
from mapscope.fleet.asking import JUDGING, NO_PROFILE, AskError
from mapscope.fleet.store.records import LOOPS, PAIRS, Place, Record, Sighting, Value, new_id
from mapscope.fleet.targets import Target
from mapscope.profiles.standing import Standing

if TYPE_CHECKING:
    from mapscope.binary.executable import Executable
    from mapscope.profiles.model import Profile

Named = TypeVar("Named", Place, Sighting)
_MAX_EXECUTABLES = 32
_KEPT_EXECUTABLES = 8
_MAX_FITTED = 10_000
_NEEDED = (
    "mapscope.profiles.classify", "mapscope.profiles.indicators", "mapscope.profiles.loading",
    "mapscope.profiles.protobuf", "mapscope.profiles.standing", "mapscope.profiles.textual", "zstandard",
)  # fmt: skip
_LEVEL = 6
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes that a target sent. ``kind``: of profile that was asked for; ``limit``: bytes of it, inflated."""

    target: Target
    kind: str
    taken_us: int
    data: bytes
    executables: tuple[str, ...]
    places: int
    limit: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What it says. ``told``: map memory is known; ``executable``: by this program; ``complete``: no place left out."""

    record: Record
    told: bool
    executable: str | None
    complete: bool
    standing: tuple[Standing, ...] = ()
    note: str = ""


class Judge:
    """The processes that judge. All methods belong to the event loop."""

    def __init__(self, cpu_seconds: float, processes: int = 1) -> None:
        """``cpu_seconds``: that one profile may take; it may be changed at any time."""
        self.seconds = cpu_seconds
        self._workers = [_Worker() for _ in range(processes)]
        self._free: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        for one in reversed(self._workers):
            self._free.put_nowait(one)

    async def judge(self, answer: Answer) -> Judged:
        """What ``answer`` says. Raises AskError: it is no profile, or takes too much."""
        worker = await self._free.get()
        try:
            return await worker.judge(answer, self.seconds)
        finally:
            self._free.put_nowait(worker)

    def close(self) -> None:
        """Ends the processes; what they are at is given up."""
        for one in self._workers:
            one.close()


class _Worker:
    """One process, begun when it is needed. It gets one profile at a time: one that ends it takes no other with it."""

    def __init__(self) -> None:
        self.pool: ProcessPoolExecutor | None = None

    async def judge(self, answer: Answer, seconds: float) -> Judged:
        """As Judge."""
        if self.pool is None:
            context = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(os.getpid(),))
        pool = self.pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, _judge, answer, seconds)
        except BrokenProcessPool:
            if self.pool is pool:
                self.pool = None
                pool.shutdown(wait=False)
            raise AskError(
                JUDGING, f"{answer.kind} of {answer.target.instance} took too much CPU time or memory",
                "raise limits.judging_time",
            ) from None  # fmt: skip
        except EvidenceError as error:
            raise AskError(NO_PROFILE, str(error), error.hint) from error

    def close(self) -> None:
        """Ends the process."""
        pool, self.pool = self.pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                with contextlib.suppress(OSError, ValueError):
                    process.kill()
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int) -> None:
    """In the new process: signals to the terminal's group are the parent's; it ends with the parent."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    for name in _NEEDED:  # now, and not in the time of the first profile
        importlib.import_module(name)


def _judge(answer: Answer, seconds: float) -> Judged:
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process
    try:
        return judge(answer)
    except EvidenceError as error:
        # errors with arguments of their own do not travel between processes
        raise EvidenceError(str(error), error.hint) from None
    except MapscopeError as error:
        raise EvidenceError(str(error), error.hint) from None
    except (MemoryError, RecursionError, ArithmeticError, LookupError, ValueError) as error:
        raise EvidenceError(f"the profile cannot be judged: {type(error).__name__}", "send it to us") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def judge(answer: Answer) -> Judged:
    """What the profile in ``answer`` says, in this process. EvidenceError where it is none."""
    from mapscope.profiles.fetch import inflate, parse
    from mapscope.profiles.model import HEAP

    where = f"{answer.kind} of {answer.target.instance}"
    data: bytes | bytearray = answer.data
    if data[:2] == b"\x1f\x8b":
        data = inflate(where, data, answer.limit)
    if len(data) > answer.limit:
        raise EvidenceError(f"{where} has more than {answer.limit:,} bytes", "raise limits.inflated_size")
    if data[:64].lstrip()[:1] in (b"<", b"{"):
        raise EvidenceError(f"{where} is a page, not a profile", "set the path: /debug/pprof/heap")
    profile = parse(where, data, answer.limit)
    wanted = profile.kind == HEAP if answer.kind == HEAP else profile.kind.startswith("goroutine")
    if not wanted:
        raise EvidenceError(f"{where} is a profile of {profile.kind[:40]}", "set heap_path and goroutine_path")
    found = _heap(answer, profile) if answer.kind == HEAP else _goroutines(answer, profile)
    return _recorded(answer, bytes(data), profile.kind, found)


@dataclass(slots=True)
class _Found:
    values: list[Value]
    places: list[Place]
    findings: list[Sighting]
    told: bool = False
    executable: str | None = None
    complete: bool = True
    standing: tuple[Standing, ...] = ()
    note: str = ""


def _heap(answer: Answer, profile: Profile) -> _Found:
    from mapscope.profiles import indicators as ind
    from mapscope.profiles.classify import classify
    from mapscope.profiles.loading import open_symbols
    from mapscope.profiles.settings import DEFAULT

    symbols, fitting, note = None, None, ""
    for path, executable in _programs(answer):
        try:
            symbols, fitting = open_symbols(executable, profile), path
            _fits(answer.target, path)
            break
        except ExecutableError as error:
            note = str(error)
    classified = classify(profile, symbols)
    groups = ind.groups(classified)
    total, maps = ind.totals(classified), sum((one.sums for one in groups), ind.Sums())
    values = [
        Value("heap_inuse_bytes", float(total.inuse_bytes)),
        Value("heap_alloc_bytes", float(total.alloc_bytes)),
    ]
    told = symbols is not None or bool(maps.alloc_objects)
    swiss = symbols is not None and symbols.executable.swiss_maps
    pairs = ind.pairs(classified, DEFAULT) if told else []
    if told:
        values.append(Value("P1", float(maps.inuse_bytes)))
        if total.inuse_bytes:
            values.append(Value("P1s", maps.inuse_bytes / total.inuse_bytes))
        if maps.ratio is not None:
            values.append(Value("P4", maps.ratio))
        if not swiss:
            values.append(Value("P3", float(len(pairs))))
    live = [one for one in groups if one.sums.inuse_bytes > 0]
    places = [
        Place(
            one.site.function, one.site.file, one.site.line, one.type, one.part, one.how, one.entry,
            one.sums.inuse_bytes, one.sums.inuse_objects, one.sums.alloc_bytes, one.sums.alloc_objects,
        )
        for one in live[: answer.places]
    ]  # fmt: skip
    findings = [
        Sighting(PAIRS, one.site.function, one.site.file, one.site.line, one.type, one.how, one.smaller)
        for one in pairs
    ]
    return _Found(
        values, places, findings, told, fitting, len(live) <= answer.places,
        note="" if symbols is not None else note,
    )  # fmt: skip


def _goroutines(answer: Answer, profile: Profile) -> _Found:
    from mapscope.profiles.settings import DEFAULT
    from mapscope.profiles.standing import standing

    found = _Found([Value("goroutines", float(profile.values[:, 0].sum()))], [], [])
    for path, executable in _programs(answer):
        try:
            stands = standing(executable, [profile], DEFAULT)
        except ExecutableError as error:
            found.note = str(error)
            continue
        found.standing, found.executable, found.told, found.note = tuple(stands), path, True, ""
        found.values.append(Value(LOOPS, float(sum(one.goroutines for one in stands if one.lasting))))
        break
    return found


def _recorded(answer: Answer, data: bytes, kind: str, found: _Found) -> Judged:
    import zstandard

    target = answer.target
    record = Record(
        new_id(answer.taken_us), target.service, target.job, target.instance, kind, answer.taken_us, len(data),
        hashlib.sha256(data).digest(), zstandard.ZstdCompressor(level=_LEVEL).compress(data),
        tuple(found.values), tuple(plain(one) for one in found.places), tuple(plain(one) for one in found.findings),
    )  # fmt: skip
    return Judged(record, found.told, found.executable, found.complete, found.standing, found.note)


def plain(one: Named) -> Named:
    """The same with names and numbers that a database can hold."""
    fitting: dict[str, object] = {}
    for field in fields(one):
        value = getattr(one, field.name)
        if isinstance(value, str):
            fitting[field.name] = clean(value)
        elif isinstance(value, int):
            most = 2**31 - 1 if field.name == "line" else 2**63 - 1
            fitting[field.name] = min(max(value, -most), most)
    return replace(one, **fitting)  # type: ignore[arg-type]


def clean(text: str) -> str:
    """A name as a database can hold it: bounded, valid UTF-8, no NUL."""
    return text[:2000].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


_fitted: dict[Target, str] = {}
"""In the process that judges: the executable that fitted a target last time."""


def _programs(answer: Answer) -> Iterator[tuple[str, Executable]]:
    """Executables that may have made it: the one that fitted this target last time comes first."""
    found: list[str] = []
    for pattern in answer.executables:
        found.extend(sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern])
    first = _fitted.get(answer.target)
    for path in sorted(found[:_MAX_EXECUTABLES], key=lambda one: one != first):
        try:
            status = os.stat(path)
            program = _opened(path, status.st_mtime_ns, status.st_size)
        except (OSError, MapscopeError):
            continue
        yield path, program


def _fits(target: Target, path: str) -> None:
    if len(_fitted) >= _MAX_FITTED:
        _fitted.clear()
    _fitted[target] = path


@lru_cache(maxsize=_KEPT_EXECUTABLES)
def _opened(path: str, changed: int, size: int) -> Executable:
    from mapscope.binary.executable import Executable

    return Executable.open(path)
