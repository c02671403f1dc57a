"""One Go heap at one instant, opened from evidence: the object behind the public API and the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from mapscope import findings as rules
from mapscope._kernels import compiled
from mapscope.arrays import unique
from mapscope.errors import UsageError
from mapscope.findings.context import Context
from mapscope.findings.model import Finding
from mapscope.goruntime.frames import Goroutine
from mapscope.goruntime.identity import Identity, identify
from mapscope.goruntime.process import Process
from mapscope.heap.chains import AllChains, Chain
from mapscope.heap.domtree import DominatorTree
from mapscope.heap.edges import EdgeSearch
from mapscope.heap.holding import Dominator, Held, HeldTable, Holding
from mapscope.heap.later import Later
from mapscope.heap.lookup import Spot
from mapscope.heap.model import Heap
from mapscope.heap.progress import Progress
from mapscope.heap.reconcile import summarise
from mapscope.heap.summary import EvidenceInfo, HeapSummary, ProcessInfo
from mapscope.maps.cells import CellArray, map_cells
from mapscope.maps.contents import Content, object_contents
from mapscope.maps.detail import MapDetail
from mapscope.maps.find import MapSet
from mapscope.maps.inspect import describe_map
from mapscope.maps.iterators import find_iterators, on_stacks, weigh
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import MapTable, Place
from mapscope.maps.owner import Owner, owner_of
from mapscope.maps.queries import Queries
from mapscope.sql import SECONDS, run_sql
from mapscope.table import Table
from mapscope.tables import Tables

_TOLERANCE = 0.01
"""Own figures and the runtime's may differ by this much before a warning is due."""


class Snapshot:
    """A heap that has been read. Open it with :func:`open_snapshot`.

    Attributes:
        evidence: what was handed in, and what it lacks.
        process: the process that it shows.
        heap: sums, the runtime's own figures, the reconciliation with resident memory.
        maps: the table of all maps.
    """

    def __init__(
        self,
        process: Process,
        heap: Heap,
        maps: MapSet,
        edges: EdgeSearch | None = None,
        sums: Later[HeapSummary] | None = None,
    ) -> None:
        """Use :func:`open_snapshot`. ``edges`` and ``sums``: what may have begun already."""
        self._edges = edges or EdgeSearch(heap.index, heap.state.targets, heap.state.flags)
        self._process = process
        self._heap = heap
        self._maps = maps
        self.maps: MapTable = maps.table
        self.heap: HeapSummary = summarise(heap) if sums is None else sums.get()
        exe = process.executable
        self.process = ProcessInfo(
            process.go_version, exe.arch, process.evidence.pid, exe.stripped and not exe.has_dwarf, exe.has_dwarf,
            exe.source_root,
        )  # fmt: skip
        self.evidence = EvidenceInfo(
            path=str(process.evidence.path),
            kind=process.evidence.kind,
            size_bytes=process.evidence.size_bytes,
            executable=str(exe.path),
            executable_found_by=process.found_by,
            build_id=exe.elf.build_id or exe.elf.go_build_id,
            missing=process.missing,
            warnings=tuple(self._warnings()),
            pause_seconds=process.core.live.pause_seconds if process.core and process.core.live else None,
            redacted=process.redaction is not None,
        )
        self.notes: tuple[str, ...] = (*heap.notes, *maps.notes, *self._limits())

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the largest first."""
        queries = Queries(self._heap, self._maps, lambda: self.holding.graph)
        release, live = self._process.layouts.release, self.heap.live_bytes
        context = Context(self.maps, release, live, queries)
        keys = rules.begin(context)
        return rules.run(replace(context, iterators=self.iterators), keys)

    @cached_property
    def identity(self) -> Identity:
        """Which process and program this is, to be compared with that of another snapshot."""
        return identify(self._process)

    @cached_property
    def holding(self) -> Holding:
        """Graph, dominators and chains, each made when it is first asked for."""
        columns = self.maps.columns
        rows = np.flatnonzero(columns["place"] == Place.STACK).tolist()
        on_stack = {self.maps[row].address: self.maps[row].type_name for row in rows}
        return Holding(self._heap, on_stack, on_stacks(self._iterators), objects=self._edges.take)

    @cached_property
    def _iterators(self) -> tuple[MapIterator, ...]:
        return find_iterators(self._heap, self._maps)

    @cached_property
    def iterators(self) -> tuple[MapIterator, ...]:
        """Iterators over maps in frames and on the heap, by address, with what only each of them keeps."""
        return weigh(self._iterators, self.holding) if self._iterators else ()

    @property
    def iterator_findings(self) -> tuple[Finding, ...]:
        """The findings of the rules on iterators."""
        about = {rule.RULE for rule in rules.ITERATOR_RULES}
        return tuple(finding for finding in self.findings if finding.rule in about)

    def chain(self, address: int) -> Chain:
        """The shortest chain from a root to what lies at ``address``; its last step is the object.

        UsageError where nothing live lies there.
        """
        return self.holding.chain(address)

    def chains(self, address: int) -> AllChains:
        """All chains to what lies at ``address`` that are worth telling apart, merged into trees from their roots."""
        return self.holding.chains(address)

    def dominators(self, top: int = 20) -> list[Dominator]:
        """What retains most: objects and roots that no other dominates, at most ``top`` (0: all)."""
        return self.holding.largest(top)

    def retained(self, address: int) -> int:
        """Bytes that would be free without the object, or the map on a stack, at ``address``."""
        return self.holding.retained(address)

    def holder(self, address: int) -> Held:
        """Chain, retained size and dominator of whatever lies at ``address``. UsageError as for ``chain``."""
        return self.holding.one(address)

    def held(self, addresses: Sequence[int]) -> list[Held | None]:
        """Chain, retained size and dominator of many objects or maps at once; None for what is not live."""
        return self.holding.held(addresses)

    def holders(self, addresses: npt.NDArray[np.uint64]) -> HeldTable:
        """The same as columns, for many of them."""
        return self.holding.columns(addresses)

    def prepare(self, addresses: npt.NDArray[np.uint64]) -> bool:
        """Begins what ``holders`` will be asked of the same addresses, where there is something to wait for."""
        return self.holding.prepare(addresses)

    def lookup(self, address: int) -> Spot:
        """What lies at any address: an object, garbage, a variable, a stack … UsageError beyond 64 bits."""
        if not 0 <= address < 1 << 64:
            raise UsageError(f"{address:#x} is no address", "give it as the report does: 0xc000012345")
        return self.holding.lookup.at(address)

    def owner(self, spot: Spot) -> Owner | None:
        """The map whose part the live object at ``spot`` is; None where it is of no map."""
        if spot.kind != "object":
            return None
        return owner_of(self._heap, self.holding.graph, self._maps, spot.object_id)

    def peek(self, spot: Spot) -> tuple[tuple[str, Content], ...]:
        """Some contents of the object at ``spot``, for whoever asks for them: nothing else calls this."""
        return object_contents(self._heap, spot.object_id) if spot.kind == "object" else ()

    @cached_property
    def suspects(self) -> tuple[Dominator, ...]:
        """The few dominators that hold most of the heap."""
        return tuple(self.holding.suspects())

    @cached_property
    def goroutines(self) -> tuple[Goroutine, ...]:
        """Every goroutine with its frames, dead ones too, in the runtime's order."""
        return tuple(self._heap.frames)

    def maps_by_goroutine(self) -> dict[int, tuple[int, int]]:
        """Maps that only one goroutine's stack keeps: how many and their bytes, by the address of its g."""
        columns = self.maps.columns
        rows = self.holding.goroutine_rows(np.asarray(columns["address"], dtype=np.uint64))
        sizes = np.asarray(columns["total_bytes"]).astype(np.int64)
        address = self._heap.goroutines.address
        out: dict[int, tuple[int, int]] = {}
        for row in unique(rows[rows >= 0]).tolist():
            mine = rows == row
            out[int(address[row])] = (int(mine.sum()), int(sizes[mine].sum()))
        return out

    @cached_property
    def tables(self) -> Tables:
        """What ``sql`` asks: maps, objects, types, goroutines … as NumPy columns, each built when it is asked for."""
        return Tables(self, self._heap)

    def sql(self, text: str, seconds: float = SECONDS) -> Table:
        """The result of one SELECT statement over the tables. Needs DuckDB: the extra ``query``.

        UsageError where DuckDB is missing, refuses the statement, or takes longer than ``seconds``.
        """
        return run_sql(self.tables, text, seconds)

    def detail(self, address: int, *, contents: bool = False) -> MapDetail:
        """One map in full, with a few of its keys and values where ``contents`` asks for them.

        UsageError when no map's header lies at ``address``.
        """
        found = self.maps.at(address)
        if found is None:
            raise UsageError(
                f"there is no map at 0x{address:x} in this {self._process.evidence.kind}",
                "list the maps with their addresses: mapscope maps CORE",
            )
        return describe_map(self._heap, self._maps, found, contents=contents)

    def cells(self, address: int) -> tuple[CellArray, ...]:
        """How full the arrays of the map at ``address`` are, bucket by bucket. UsageError as for ``detail``."""
        found = self.maps.at(address)
        if found is None:
            raise UsageError(
                f"there is no map at 0x{address:x} in this {self._process.evidence.kind}",
                "list the maps with their addresses: mapscope maps CORE",
            )
        return map_cells(self._maps, found)

    def dominator_tree(self, most: int) -> DominatorTree:
        """The top of the dominator tree, at most ``most`` nodes."""
        return self.holding.tree(most)

    def type_sums(self) -> Table:
        """Live objects and their bytes by type: ``tables.types``."""
        return self.tables.types

    def redact(self, path: str | os.PathLike[str], *, overwrite: bool = False, progress: Progress | None = None) -> int:
        """Writes the core again without any contents: see docs/how-to/redact.md. Answers its bytes on disk.

        The file is complete or absent, and has mode 0600. EvidenceError where it cannot be written,
        UsageError where the evidence is no core, or the process has several modules.
        """
        from mapscope.redact import redact

        core = self._process.core
        if core is None:
            raise UsageError(
                f"only cores can be redacted, this is a {self._process.evidence.kind}",
                "take a core of the process: gcore PID",
            )
        if len(self._process.modules) > 1:
            raise UsageError(
                f"this process has {len(self._process.modules)} Go modules: cores of programs with plugins, or linked "
                "against a shared runtime, cannot be redacted yet",
                "hand on the report instead: mapscope analyze CORE -f json",
            )
        return redact(core, self._heap, self._maps, self._iterators, path, overwrite=overwrite, progress=progress)

    def _warnings(self) -> list[str]:
        warnings = list(self._process.warnings)
        if not compiled():
            warnings.append(
                "the compiled kernels are not installed: this runs on the reference kernels, which are slow"
            )
        figures, live = self.heap.runtime, self.heap.live_bytes + self.heap.dead_bytes
        objects = self.heap.live_objects + self.heap.dead_objects
        if figures is None:
            warnings.append("the runtime's own statistics are not in this core: nothing to compare the sums with")
            return warnings
        for what, ours, theirs in (
            ("bytes", live, figures.heap_alloc_bytes), ("objects", objects, figures.heap_objects)
        ):  # fmt: skip
            if abs(ours - theirs) > _TOLERANCE * max(theirs, 1):
                warnings.append(
                    f"allocated {what} as counted here ({ours:,}) and as the runtime counts them ({theirs:,}) differ "
                    f"by more than {_TOLERANCE:.0%}: figures below may be off by as much"
                )
        return warnings

    def _limits(self) -> list[str]:
        """What this kind of evidence and executable cannot show."""
        if not self.process.stripped:
            return []
        inferred = int((np.asarray(self.maps.columns["confidence"]) > 0).sum())
        words = (
            f"the executable is stripped: {inferred} maps were found by their shape; a map of at most 8 entries that "
            "no typed word leads to, and an empty one, can exist unseen"
        )
        return [words]
