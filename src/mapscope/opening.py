"""Opens evidence: which kind it is, what runs beside what, and what the cache already knows.

Spans and slots are read in another thread from the moment that the process is known. Everything that is not needed
until then is imported behind that moment.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mapscope.binary.executable import Executable
from mapscope.evidence.core import Core
from mapscope.evidence.heapdump import HeapDump, is_heap_dump
from mapscope.goruntime.process import Process, open_process
from mapscope.heap.later import Later
from mapscope.heap.progress import Progress, quiet
from mapscope.heap.slots import Reading, begin_reading

if TYPE_CHECKING:
    from mapscope import cache
    from mapscope.evidence.capture import Limits
    from mapscope.heap.model import Heap
    from mapscope.heap.summary import HeapSummary
    from mapscope.maps.find import MapSet
    from mapscope.snapshot import Snapshot


def open_snapshot(
    path: str | os.PathLike[str],
    executable: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
    holding: bool = False,
    keep: bool = False,
    needed: Sequence[str] = (),
) -> Snapshot:
    """Opens a core or a heap dump, reads the heap and finds all maps.

    Args:
        path: the core, or the file of ``runtime/debug.WriteHeapDump``.
        executable: the program that made it; None takes it from the core. A heap dump does not name it.
        progress: called on the way.
        keep: use the cache beside the core, and leave one there for the next opening (see mapscope.cache).
        holding: begin graph and dominators in another thread, for callers who will ask who holds what.
        needed: modules that the caller is about to import, which is done while the heap is walked.

    Raises:
        MapscopeError: the evidence cannot be used; the message says why and the hint what to do.
    """
    say = progress or quiet
    say("open", 0, 0)
    begun = _Begun(say)
    if is_heap_dump(path):
        from mapscope.goruntime.dumped import open_dumped

        process = open_dumped(HeapDump.open(path), executable)
    else:
        process = open_process(Core.open(path), executable, None if keep else begun)
    return _open(process, say, begun.reading, needed, holding=holding, keep=keep)


def open_live(
    pid: int,
    executable: str | os.PathLike[str] | None = None,
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
    holding: bool = False,
    needed: Sequence[str] = (),
) -> Snapshot:
    """Takes a core of a live process into a temporary file that has no name, and opens that as ``open_snapshot`` does.

    Args:
        pid: the process. It stands still while its memory is copied.
        executable: its program; None takes the file that runs, wherever its mount namespace has it.
        limits: when to give up.
        progress: called on the way.
        holding: as in ``open_snapshot``.
        needed: likewise.

    Raises:
        MapscopeError: the process cannot be captured or is no Go process; the message says why and the hint what to do.
    """
    from mapscope.evidence.check import check_go, check_process
    from mapscope.evidence.check import program as running_program
    from mapscope.evidence.live import take

    say = progress or quiet
    check_process(pid)
    check_go(pid)
    program: str | os.PathLike[str] | Executable
    if executable is None:
        program = Executable.open(f"/proc/{pid}/exe")  # opened now: the process may be gone later
        program.elf.path = Path(running_program(pid))
    else:
        program = executable
    begun = _Begun(say)
    process = open_process(take(pid, limits=limits, progress=say), program, begun)
    return _open(process, say, begun.reading, needed, holding=holding, keep=False)


class _Begun:
    """Begins to read spans and slots as soon as ``open_process`` says that it can be done."""

    def __init__(self, say: Progress) -> None:
        self._say = say
        self.reading: Reading | None = None

    def __call__(self, process: Process) -> None:
        self._say("spans", 0, 0)
        self.reading = begin_reading(process)


def _open(
    process: Process, say: Progress, begun: Reading | None, needed: Sequence[str], *, holding: bool, keep: bool
) -> Snapshot:
    if begun is None and process.core is not None and not keep:
        say("spans", 0, 0)
        begun = begin_reading(process)
    saved = _saved(process) if keep else None
    heap, maps = _read(process, say, saved, begun, needed)
    # by now these are imported already: see _import
    from mapscope.heap.edges import EdgeSearch
    from mapscope.heap.reconcile import summarise
    from mapscope.maps.find import find_maps
    from mapscope.snapshot import Snapshot

    edges = EdgeSearch(heap.index, heap.state.targets, heap.state.flags)
    sums: Later[HeapSummary] = Later(lambda: summarise(heap))
    if holding:
        edges.start()
    else:
        sums.start()
    if maps is None:
        say("maps", 0, 0)
        maps = find_maps(heap)
        if keep:
            _keep(process, heap, maps)
    snapshot = Snapshot(process, heap, maps, edges, sums)
    if holding:
        snapshot.holding.start()
    return snapshot


def _import(modules: Sequence[str]) -> None:
    """Imports what is needed behind the walk while the kernels walk, which leaves time on one of two processors.

    An error of it comes again where the module is needed.
    """

    def run() -> None:
        with contextlib.suppress(Exception):
            for module in ("mapscope.snapshot", *modules):
                import_module(module)

    threading.Thread(target=run, name="mapscope-imports").start()


def _read(
    process: Process, say: Progress, saved: cache.Saved | None, begun: Reading | None, needed: Sequence[str]
) -> tuple[Heap, MapSet | None]:
    """The heap, and the maps where the cache knows them. A cache that does not fit is as good as none."""
    from mapscope.heap.model import read_heap

    if saved is not None:
        from mapscope import cache

        with contextlib.suppress(ValueError):
            heap = read_heap(process, say, saved.heap)
            maps = cache.restore_maps(heap, saved)
            if maps is not None:
                return heap, maps
    return read_heap(process, say, begun=begun, meanwhile=partial(_import, needed)), None


def _saved(process: Process) -> cache.Saved | None:
    from mapscope import cache

    return cache.load(process)


def _keep(process: Process, heap: Heap, maps: MapSet) -> None:
    from mapscope import cache

    try:
        cache.store(process, heap, maps)
    except OSError as error:
        heap.notes.append(f"the cache {cache.path_of(process.evidence.path)} could not be written: {error.strerror}")
