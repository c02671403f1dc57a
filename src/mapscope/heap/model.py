"""A heap that has been read and traced: what maps, graph and findings stand on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.binary.textscan import TextFacts
from mapscope.evidence.heapdump import GOROUTINE, HeapDump
from mapscope.goruntime.dumpheap import dumped_figures, dumped_roots, lay_heap, other_frames
from mapscope.goruntime.dwarftypes import DwarfTypes, Variable
from mapscope.goruntime.frames import Stacks, read_stacks
from mapscope.goruntime.goroutines import GoroutineTable, StackRoots, read_goroutines
from mapscope.goruntime.index import HeapIndex
from mapscope.goruntime.memstats import RuntimeFigures, read_runtime_figures
from mapscope.goruntime.process import Process
from mapscope.goruntime.roots import Roots, read_roots
from mapscope.goruntime.spans import Arenas, Spans, SpanTable
from mapscope.goruntime.typetable import TypeTable
from mapscope.goruntime.unswept import died_unswept
from mapscope.heap.globals import typed_globals
from mapscope.heap.later import Later
from mapscope.heap.progress import Progress, quiet
from mapscope.heap.saved import SavedHeap
from mapscope.heap.slots import Reading, Slots, begin_reading
from mapscope.heap.trace import ALLOCATED, COVER_FILL, COVER_HEADER, MARKED, TraceState, run_trace


class Heap(Struct):
    """The heap of one process at one instant, traced from its roots."""

    process: Process
    index: HeapIndex
    spans: SpanTable
    arenas: Arenas
    types: TypeTable
    state: TraceState
    roots: Roots
    goroutines: GoroutineTable
    stacks: StackRoots
    variables: list[Variable]
    facts: TextFacts | None
    figures: RuntimeFigures | None
    frames: Stacks
    """All goroutines with their frames, and the roots on their stacks."""
    uncertain: npt.NDArray[np.int64]
    """Ids of live objects that only conservatively scanned frames and registers reach."""
    notes: list[str] = field(default_factory=list)
    journal_start: int = 0
    """Steps of the journal of ``types`` that its variables made."""

    @property
    def live(self) -> npt.NDArray[np.bool_]:
        """By object id: whether the roots reach it."""
        live: npt.NDArray[np.bool_] = (self.state.flags & 2) != 0
        return live


def read_heap(
    process: Process,
    progress: Progress = quiet,
    saved: SavedHeap | None = None,
    begun: Reading | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Heap:
    """Spans, objects, pointers, roots, then the trace. The steps are named to ``progress``.

    Args:
        process: of a core or a heap dump.
        progress: called on the way.
        saved: what an earlier reading of the same process left; pointer words and trace are taken from there.
        begun: the reading of slots, where it has begun already (of a core, and without ``saved``).
        meanwhile: called when the walk is about to begin, which is kernels for a while.

    Raises:
        ValueError: ``saved`` does not fit.
        MapscopeError: the heap cannot be read.
    """
    dump = process.evidence if isinstance(process.evidence, HeapDump) else None
    progress("spans", 0, 0)
    reading = _dumped(process, dump, saved) if dump is not None else begun or begin_reading(process, saved)
    types = TypeTable(process.types, process.layouts)
    _ranges(process, types)
    known = typed_globals(process, types, saved, progress)
    journal_start = len(types.journal)
    progress("types", 0, 0)
    spans = reading.spans.get()
    index, table, pages = spans.index, spans.table, spans.pages
    listed = None if dump is None else dump.records(GOROUTINE)[:, 0]
    goroutines = read_goroutines(process.memory, pages, process.layouts, process.globals, listed)
    frames = read_stacks(process, pages, index, goroutines)
    notes = []
    if dump is None:
        roots, figures = _roots_and_figures(process, spans, frames)
    else:
        roots, figures = dumped_roots(dump, index, frames.roots), dumped_figures(dump)
        other = other_frames(dump, frames.frames)
        if other:
            notes.append(f"{other} frames are listed in this heap dump otherwise than its stacks show them")
    if saved is None:
        state = TraceState.roomy(spans.flags, index)
        reading.slots.get()  # which fills the flags
        state.begin()
        if meanwhile is not None:
            meanwhile()
        uncertain = _traced(process, reading, state, types, roots, known.regions, progress)
    else:
        state, uncertain = _resumed(reading.slots.get(), types, saved)
    notes = reading.slots.get().notes + notes + roots.notes + known.notes if saved is None else list(saved.notes)
    return Heap(
        process, index, table, spans.arenas, types, state, roots, goroutines, frames.roots, known.variables,
        known.facts, figures, frames, uncertain, notes, journal_start,
    )  # fmt: skip


def _resumed(slots: Slots, types: TypeTable, saved: SavedHeap) -> tuple[TraceState, npt.NDArray[np.int64]]:
    """The state after the trace, as it was kept."""
    types.replay((step, argument) for step, argument in saved.journal.tolist())
    types.freeze()
    state = TraceState.fresh(saved.flags, slots.spans.index)
    state.resume(saved.known)
    state.dangling = saved.dangling
    if len(state.known) and int(state.types.max()) >= len(types):
        raise ValueError("types that do not exist")
    return state, saved.uncertain


def _traced(
    process: Process,
    reading: Reading,
    state: TraceState,
    types: TypeTable,
    roots: Roots,
    known: npt.NDArray[np.int64],
    progress: Progress,
) -> npt.NDArray[np.int64]:
    """Walks. Answers the ids of the objects that only conservative scans reach."""
    index, slots = reading.spans.get().index, reading.slots.get()
    _apply_headers(index, types, state, slots.words.objects, slots.words.types)
    progress("mark", 0, 0)
    regions = np.concatenate([known, roots.regions]) if len(known) else roots.regions

    def tell(done: int, total: int) -> None:
        progress("mark", done, total)

    marked = None if progress is quiet else tell  # counting what is marked takes as long as some rounds
    run_trace(index, state, types, regions, roots.mask, roots.loose[: roots.certain], progress=marked)
    uncertain = np.zeros(0, dtype=np.int64)
    maybe = _allocated(process, slots, roots.loose[roots.certain :])
    if len(maybe):
        before = state.flags & MARKED
        run_trace(index, state, types, regions[:0], roots.mask, maybe, progress=marked)
        uncertain = np.flatnonzero((state.flags & MARKED) != before)
    return uncertain


def _roots_and_figures(process: Process, spans: Spans, frames: Stacks) -> tuple[Roots, RuntimeFigures | None]:
    """From the runtime's own structures."""
    memory, layouts, table = process.memory, process.layouts, spans.table
    roots = read_roots(memory, layouts, spans.index, table, process.modules, frames.roots, process.globals)
    return roots, read_runtime_figures(memory, layouts, table, process.globals, process.mheap)


def _dumped(process: Process, dump: HeapDump, saved: SavedHeap | None) -> Reading:
    """From the objects that a heap dump lists. All at once: it adds to the memory, which nobody may read meanwhile."""
    spans, words, _ = lay_heap(process, dump)
    index = spans.index
    if saved is not None and (index.nobjects != len(saved.flags) or len(index.ptrmask) != len(saved.ptrmask)):
        raise ValueError("another heap")
    slots = Slots(spans, spans.flags, words, [])
    return Reading(Later(lambda: spans), Later(lambda: slots))


def _allocated(process: Process, slots: Slots, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The values without those into free slots, which a conservative scan passes over (runtime: scanConservative).

    The collector scans when all is swept. Here a slot may be free that nobody has swept yet: what it points to can
    have become something else.
    """
    spans = slots.spans
    index = spans.index
    ids, _ = index.find(values)
    keep = ids < 0
    there = np.flatnonzero(~keep)
    allocated = slots.flags[ids[there]] & ALLOCATED != 0
    if not isinstance(process.evidence, HeapDump):
        allocated &= ~died_unswept(
            process.memory, process.layouts, index, spans.table, spans.arenas, process.mheap, ids[there]
        )
    keep[there] = allocated
    kept: npt.NDArray[np.uint64] = values[keep]
    return kept


def _ranges(process: Process, types: TypeTable) -> None:
    """Where types, code and static data of all modules lie, one range each: they narrow down what is looked up."""
    modules = process.modules
    types.types_range = (min(m.types for m in modules), max(m.etypes for m in modules))
    types.text_range = (min(m.text for m in modules), max(m.etext for m in modules))
    low = min(min(m.types, m.text, m.data or m.types, m.noptrdata or m.types) for m in modules)
    high = max(max(m.etypes, m.end, m.ebss, m.enoptrbss) for m in modules)
    types.module_range = (low, high)


def _apply_headers(
    index: HeapIndex,
    types: TypeTable,
    state: TraceState,
    objects: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint64],
) -> None:
    """Gives every slot with a type word of its own its type, before the walk."""
    unique, inverse = np.unique(words, return_inverse=True)
    ids = np.array([-1 if (found := types.intern(a)) is None else found for a in unique.tolist()], dtype=np.int32)
    if len(unique):
        state.give(objects, ids[inverse.reshape(-1)], COVER_HEADER)


__all__ = ["ALLOCATED", "COVER_FILL", "DwarfTypes", "Heap", "read_heap"]
