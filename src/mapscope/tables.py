"""The tables of a snapshot: maps, objects, types, goroutines, frames, iterators, findings and edges as NumPy columns.

Each is built when it is first asked for. What the columns mean: docs/reference/tables.md.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mapscope.arrays import among
from mapscope.binary.rtype import Kind
from mapscope.errors import UsageError
from mapscope.heap.graph import RootKind
from mapscope.heap.trace import ALLOCATED, MARKED
from mapscope.maps.model import FLAG_SAME_SIZE_GROW, Confidence, Generation, Place
from mapscope.maps.types import kind_word
from mapscope.table import Array, Coded, Table

if TYPE_CHECKING:
    from mapscope.heap.model import Heap
    from mapscope.snapshot import Snapshot

U8 = npt.NDArray[np.uint64]

NAMES = ("maps", "objects", "types", "goroutines", "frames", "iterators", "findings", "edges")
"""All tables."""

_CHUNK = 1 << 20
_STATES = ("steady", "small", "empty", "growing", "growing-same-size")
_OF_MAPS = {
    "count": "count", "capacity": "capacity", "bytes": "total_bytes", "needed": "needed_bytes", "waste": "waste_bytes",
    "header_bytes": "header_bytes", "array_bytes": "array_bytes", "old_array_bytes": "old_array_bytes",
    "overflow_bytes": "overflow_bytes", "old_overflow_bytes": "old_overflow_bytes", "extra_bytes": "extra_bytes",
    "directory_bytes": "directory_bytes", "table_bytes": "table_bytes", "indirect_bytes": "indirect_bytes",
    "flags": "flags", "B": "B", "noverflow": "noverflow", "buckets_address": "buckets",
    "oldbuckets_address": "oldbuckets", "nevacuate": "nevacuate", "noldbuckets": "noldbuckets",
    "old_evacuated": "old_evacuated", "overflow_count": "overflow_count", "old_overflow_count": "old_overflow_count",
    "directory_address": "dirPtr", "dirLen": "dirLen", "globalDepth": "globalDepth", "tables": "tables",
    "groups": "groups", "tombstones": "tombstones", "growth_left": "growth_left",
}  # fmt: skip
"""Name here, name in ``snapshot.maps.columns``."""


class Tables:
    """All tables of a snapshot, each built when it is first asked for: ``tables.maps``, ``tables["maps"]``."""

    def __init__(self, snapshot: Snapshot, heap: Heap) -> None:
        """Use ``snapshot.tables``."""
        self._snapshot = snapshot
        self._heap = heap

    def __getitem__(self, name: str) -> Table:
        if name not in NAMES:
            raise UsageError(f"there is no table {name!r}", f"the tables are {', '.join(NAMES)}")
        table = getattr(self, name)
        assert isinstance(table, Table)
        return table

    @cached_property
    def maps(self) -> Table:
        """One row a map, by address."""
        source = self._snapshot.maps
        columns, objects = source.columns, np.asarray(source.columns["object_id"]).astype(np.int64)
        names = Coded.of(kind.name for kind in source.types)
        index = np.asarray(columns["type_index"]).astype(np.int64)
        known = (index >= 0) & (index < len(source.types))
        swiss = columns["generation"] == Generation.SWISS
        growing = ~swiss & (columns["oldbuckets"] != 0)
        same_size = np.asarray(columns["flags"]).astype(np.int64) & FLAG_SAME_SIZE_GROW != 0
        state = np.select(
            [growing & same_size, growing, columns["count"] == 0, swiss & (columns["dirLen"] == 0)], [4, 3, 2, 1], 0
        )
        return Table("maps", {
            "address": np.asarray(columns["address"]),
            "type": Coded(np.append(names.codes, np.int32(-1))[np.where(known, index, -1)], names.words),
            "generation": _enum(columns["generation"], tuple(one.label for one in Generation)),
            "confidence": _enum(columns["confidence"], tuple(one.label for one in Confidence)),
            "place": _enum(columns["place"], tuple(one.name.lower() for one in Place)),
            "state": Coded(state.astype(np.int32), _STATES),
            "object_address": np.where(objects >= 0, self._address_of(np.maximum(objects, 0)), np.uint64(0)),
            "complete": np.asarray(columns["unreadable"]) == 0,
            **{name: np.asarray(columns[theirs]) for name, theirs in _OF_MAPS.items()},
        })  # fmt: skip

    @cached_property
    def objects(self) -> Table:
        """One row an allocated object of the heap, by address. Builds the dominator tree."""
        state, index = self._heap.state, self._heap.index
        ids = np.flatnonzero(state.flags & ALLOCATED)
        live = state.flags[ids] & MARKED != 0
        uncertain = np.zeros(index.nobjects, dtype=np.bool_)
        uncertain[self._heap.uncertain] = True
        graph, dominators = self._snapshot.holding.graph, self._snapshot.holding.dominators
        retained, above = np.zeros(len(ids), dtype=np.uint64), np.zeros(len(ids), dtype=np.int64)
        nodes = graph.base + np.arange(int(live.sum()))  # nodes are numbered as the marked objects are
        retained[live], above[live] = dominators.retained[nodes], dominators.idom[nodes]
        type_id = state.types_of(ids)
        return Table("objects", {
            "address": self._address_of(ids),
            "bytes": self._bytes_of(ids),
            "type_id": type_id,
            "type": Coded(self._type_names.codes[type_id], self._type_names.words),
            "live": live,
            "uncertain": uncertain[ids],
            "retained_bytes": retained,
            "dominator_kind": Coded(self._node_kind[above].astype(np.int32), _NODE_KINDS),
            "dominator_address": self._node_address[above],
        })  # fmt: skip

    @cached_property
    def types(self) -> Table:
        """One row a type that the heap or the program's types lead to, with the live objects of it."""
        records, state = self._heap.types.records, self._heap.state
        live = np.flatnonzero(state.flags & MARKED)
        of = state.types_of(live)
        count, size = np.zeros(len(records), dtype=np.uint64), np.zeros(len(records), dtype=np.uint64)
        for at in range(0, len(live), _CHUNK):
            part = slice(at, at + _CHUNK)
            known = of[part] >= 0
            mine = of[part][known]
            count += np.bincount(mine, minlength=len(records)).astype(np.uint64)
            np.add.at(size, mine, self._bytes_of(live[part][known]))
        return Table("types", {
            "type_id": np.arange(len(records), dtype=np.int32),
            "type": Coded.of(record.name for record in records),
            "kind": Coded.of(_kind(record.kind) for record in records),
            "size": np.array([record.size for record in records], dtype=np.uint64),
            "address": np.array([record.address for record in records], dtype=np.uint64),
            "objects": count,
            "bytes": size,
        })  # fmt: skip

    @cached_property
    def goroutines(self) -> Table:
        """One row a goroutine, in the runtime's order, dead ones too."""
        all_of = self._snapshot.goroutines
        return Table("goroutines", {
            "id": np.array([one.id for one in all_of], dtype=np.uint64),
            "address": np.array([one.address for one in all_of], dtype=np.uint64),
            "status": Coded.of(one.status for one in all_of),
            "wait_reason": Coded.of(one.wait_reason for one in all_of),
            "wait_seconds": np.array(
                [np.nan if one.wait_seconds is None else one.wait_seconds for one in all_of], dtype=np.float64
            ),
            "system": np.array([one.system for one in all_of], dtype=np.bool_),
            "start_function": Coded.of(one.start_function for one in all_of),
            "creator_function": Coded.of(one.creator_function for one in all_of),
            "creator_file": Coded.of(one.creator_file for one in all_of),
            "creator_line": np.array([one.creator_line for one in all_of], dtype=np.int64),
            "parent": np.array([one.parent or 0 for one in all_of], dtype=np.uint64),
            "frames": np.array([len(one.frames) for one in all_of], dtype=np.int64),
            "problem": Coded.of(one.problem for one in all_of),
        })  # fmt: skip

    @cached_property
    def frames(self) -> Table:
        """One row a function of the source on a stack, innermost first."""
        rows = [(one, depth, frame) for one in self._snapshot.goroutines for depth, frame in enumerate(one.frames)]
        return Table("frames", {
            "goroutine": np.array([one.id for one, _, _ in rows], dtype=np.uint64),
            "goroutine_address": np.array([one.address for one, _, _ in rows], dtype=np.uint64),
            "depth": np.array([depth for _, depth, _ in rows], dtype=np.int64),
            "function": Coded.of(frame.function for _, _, frame in rows),
            "file": Coded.of(frame.file for _, _, frame in rows),
            "line": np.array([frame.line for _, _, frame in rows], dtype=np.int64),
            "inlined": np.array([frame.inlined for _, _, frame in rows], dtype=np.bool_),
            "conservative": np.array([frame.conservative for _, _, frame in rows], dtype=np.bool_),
            "pc_address": np.array([frame.pc for _, _, frame in rows], dtype=np.uint64),
            "sp_address": np.array([frame.sp for _, _, frame in rows], dtype=np.uint64),
            "cfa_address": np.array([frame.cfa for _, _, frame in rows], dtype=np.uint64),
            "entry_address": np.array([frame.entry for _, _, frame in rows], dtype=np.uint64),
        })  # fmt: skip

    @cached_property
    def iterators(self) -> Table:
        """One row an iterator over a map, by address. Builds the dominator tree where there are any."""
        found = self._snapshot.iterators
        frames = [one.frame for one in found]
        return Table("iterators", {
            "address": np.array([one.address for one in found], dtype=np.uint64),
            "map_address": np.array([one.map for one in found], dtype=np.uint64),
            "type": Coded.of(one.type_name for one in found),
            "goroutine": np.array([one.goroutine or 0 for one in found], dtype=np.uint64),
            "function": Coded.of(None if frame is None else frame.function for frame in frames),
            "file": Coded.of(None if frame is None else frame.file for frame in frames),
            "line": np.array([0 if frame is None else frame.line for frame in frames], dtype=np.int64),
            "place": Coded.of(one.place.name.lower() for one in found),
            "state": Coded.of(one.state for one in found),
            "liveness": Coded.of(one.liveness for one in found),
            "position": np.array([one.position for one in found], dtype=np.int64),
            "positions": np.array([one.positions for one in found], dtype=np.int64),
            "detached_address": np.array([one.detached for one in found], dtype=np.uint64),
            "detached_bytes": np.array([one.detached_bytes for one in found], dtype=np.uint64),
            "pinned_bytes": np.array([one.pinned_bytes for one in found], dtype=np.uint64),
            "sole_owner": np.array([one.sole_owner for one in found], dtype=np.bool_),
        })  # fmt: skip

    @cached_property
    def findings(self) -> Table:
        """One row a finding, the largest first."""
        found = self._snapshot.findings
        maps = [self._snapshot.maps.at(one.subject) for one in found]
        return Table("findings", {
            "rule": Coded.of(one.rule for one in found),
            "title": Coded.of(one.title for one in found),
            "bytes": np.array([one.bytes for one in found], dtype=np.uint64),
            "address": np.array([one.subject for one in found], dtype=np.uint64),
            "type": Coded.of(None if one is None else one.type_name for one in maps),
            "maps": np.array([one.maps for one in found], dtype=np.int64),
            "confidence": Coded.of(one.confidence.label for one in found),
            "part_of": Coded.of(one.part_of or None for one in found),
            "why": Coded.of(one.why for one in found),
        })  # fmt: skip

    @cached_property
    def edges(self) -> Table:
        """One row a pointer word, from a root or a live object to a live object. Builds the graph."""
        graph = self._snapshot.holding.graph
        source = np.repeat(np.arange(len(graph), dtype=np.int32), np.diff(graph.offsets))
        hidden = self._node_kind == _HIDDEN
        keep = ~hidden[source]
        source, target = source[keep], graph.targets[keep]
        kinds = self._node_kind.astype(np.int32)
        return Table("edges", {
            "source_kind": Coded(kinds[source], _NODE_KINDS),
            "source_address": self._node_address[source],
            "target_kind": Coded(kinds[target], _NODE_KINDS),
            "target_address": self._node_address[target],
        })  # fmt: skip

    @cached_property
    def _type_names(self) -> Coded:
        """By type id; one more at the end, where -1 leads, for none."""
        return Coded.of([*(record.name for record in self._heap.types.records), None])

    @cached_property
    def _node_kind(self) -> npt.NDArray[np.int8]:
        """By node of the graph, into _NODE_KINDS; the nodes above the roots are none."""
        graph = self._snapshot.holding.graph
        out = np.full(len(graph), len(_NODE_KINDS) - 1, dtype=np.int8)
        out[: graph.base] = graph.roots.kind
        out[: graph.base][graph.roots.kind == RootKind.UNSURE] = _HIDDEN
        out[0] = _HIDDEN
        return out

    @cached_property
    def _node_address(self) -> U8:
        """By node: of the object, of the variable, map or record, of a goroutine's g; 0 where it has none."""
        graph, roots = self._snapshot.holding.graph, self._snapshot.holding.graph.roots
        out = np.zeros(len(graph), dtype=np.uint64)
        out[: graph.base] = roots.key
        stacks = np.flatnonzero(among(roots.kind, [RootKind.GOROUTINE, RootKind.UNSURE_STACK]))
        stacks = stacks[stacks > 0]
        out[stacks] = self._heap.goroutines.address[roots.key[stacks].astype(np.int64)]
        out[0] = 0
        out[graph.base :] = self._address_of(np.flatnonzero(self._heap.state.flags & MARKED))
        return out

    def _address_of(self, ids: npt.NDArray[np.int64]) -> U8:
        out = np.zeros(len(ids), dtype=np.uint64)
        for at in range(0, len(ids) if self._heap.index.nobjects else 0, _CHUNK):
            out[at : at + _CHUNK] = self._heap.index.address_of(ids[at : at + _CHUNK])
        return out

    def _bytes_of(self, ids: npt.NDArray[np.int64]) -> U8:
        out = np.empty(len(ids), dtype=np.uint64)
        for at in range(0, len(ids), _CHUNK):
            out[at : at + _CHUNK] = self._heap.index.sizes_of(ids[at : at + _CHUNK])
        return out


_NODE_KINDS = (*(kind.name.lower() for kind in RootKind), "object")
_HIDDEN = -1


def _enum(codes: Array, words: tuple[str, ...]) -> Coded:
    return Coded(codes.astype(np.int32), words)


def _kind(number: int) -> str:
    """A kind in the words of package reflect."""
    return kind_word(Kind(number).name) if number in Kind.__members__.values() else "?"
