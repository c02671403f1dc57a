"""One step of a chain in words: which root, which object of which type, which field leads on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from mapscope._kernels import load
from mapscope.goruntime.frames import Frame
from mapscope.heap.distinct import distinct_rows
from mapscope.heap.fields import FieldNames, short_name
from mapscope.heap.graph import Graph, RootKind
from mapscope.heap.model import Heap
from mapscope.heap.statics import Static, Statics
from mapscope.heap.textrefs import TextReferences
from mapscope.heap.trace import COVER_FILL

Nodes = npt.NDArray[np.int64]

_RUNTIME = ("runtime.", "internal/runtime/")
_MAX_CALLERS = 64
_MAX_KNOWN = 1 << 18
_TEXT = {
    RootKind.REGISTER: ("register", "register of a thread"),
    RootKind.RUNTIME: ("runtime", "finalizer, cleanup or weak handle"),
    RootKind.UNSURE: ("stacks", "words that only conservative scans take for pointers"),
    RootKind.UNKNOWN: ("unknown", "marked, but no root was found that reaches it"),
}


class Step(Struct, frozen=True, gc=False):
    """One step of a chain, from a root to an object.

    ``kind``: ``global``, ``goroutine``, ``map`` and ``iterator`` (they lie on a stack), ``finalizer``, ``runtime``,
    ``register``, ``unknown``, ``object``, or ``skipped`` (``name`` says how many steps are left out).
    """

    kind: str
    address: int
    """Of the variable, of the word on the stack, of the object; 0 where there is none."""
    type: str | None
    """As reflect writes it, ``[]T`` for an array over the slot; None where nothing tells it."""
    field: str | None
    """The field through which the next step is reached: ``.cache``, ``[3].next``, ``[elem slot]``, ``+0x18``."""
    name: str | None
    """Of a root: ``main.srv``, ``data+0x1a20, used by main.(*LRU).Get``, ``goroutine 8 in main.work (main.go:94)``."""
    goroutine: int | None = None
    """Id of the goroutine whose stack it is."""


class StepTable(Struct, frozen=True):
    """Many steps as columns: ``address`` uint64 and ``word`` int32 by step.

    ``words[word]`` is the step but for its address, which many share.
    """

    address: npt.NDArray[np.uint64]
    word: npt.NDArray[np.int32]
    words: tuple[Step, ...]

    @classmethod
    def of(cls, steps: Sequence[Step]) -> StepTable:
        """The table of a few steps."""
        words: dict[Step, int] = {}
        word = [words.setdefault(replace(step, address=0), len(words)) for step in steps]
        address = np.array([step.address for step in steps], dtype=np.uint64)
        return cls(address, np.array(word, dtype=np.int32), tuple(words))

    def __len__(self) -> int:
        return len(self.word)

    def steps(self) -> list[Step]:
        """The same, one by one."""
        rows = zip(self.address.tolist(), self.word.tolist(), strict=True)
        of = [(w.kind, w.type, w.field, w.name, w.goroutine) for w in self.words]
        return [Step(of[word][0], address, *of[word][1:]) for address, word in rows]


class Steps:
    """Makes steps. All that a name needs is read when it is asked for, and kept."""

    def __init__(self, heap: Heap, graph: Graph, statics: Statics, map_types: Mapping[int, str | None]) -> None:
        """``map_types``: type of each map whose header lies on a stack, and of that of each iterator, by address."""
        process = heap.process
        self._heap, self._graph, self._statics, self._map_types = heap, graph, statics, map_types
        self._leads = heap.state.targets
        self.fields = FieldNames(heap.types, process.types, process.layouts)
        self._references = TextReferences(process, heap.frames.code)
        self._header = "swissmap" if process.types.swiss_maps else "hmap"
        self._labels: dict[tuple[int, bool], str | None] = {}
        self._words: dict[tuple[int, bool, int, int, int], Step] = {}

    def table(self, nodes: Nodes, following: Nodes) -> StepTable:
        """The steps of pairs of nodes, distinct and in ascending order.

        The second of a pair is where the step leads, -1 at the end, -2 before a gap. Node 0 is such a gap: the second
        says how many steps it leaves out.
        """
        base = self._graph.base
        offsets = np.full(len(nodes), -1, dtype=np.int64)
        inner = np.flatnonzero((nodes >= base) & (following >= base))
        offsets[inner] = self.locate(nodes[inner], following[inner])
        roots = np.flatnonzero(nodes < base)
        objects = np.flatnonzero(nodes >= base)
        rows = zip(nodes[roots].tolist(), following[roots].tolist(), strict=True)
        first = StepTable.of([self.root(node, max(to, -1)) if node else _gap(to) for node, to in rows])
        second = self.objects(nodes[objects], offsets[objects])
        address, word = np.empty(len(nodes), dtype=np.uint64), np.empty(len(nodes), dtype=np.int32)
        address[roots], address[objects] = first.address, second.address
        word[roots], word[objects] = first.word, second.word + np.int32(len(first.words))
        return StepTable(address, word, first.words + second.words)

    def objects(self, nodes: Nodes, offsets: Nodes) -> StepTable:
        """Steps of object nodes; ``offsets`` in bytes of the word that leads on, -1 for none."""
        graph, state = self._graph, self._heap.state
        ids = graph.object_of(nodes)
        spans = graph.index.spans[graph.index.span_of_object(ids)]
        address = spans["base"] + (ids - spans["first"]).astype(np.uint64) * spans["elemsize"]
        fill = state.covers_of(ids) >= COVER_FILL
        kinds = (state.types_of(ids), fill, spans["elemsize"], spans["header"] * 8, offsets)
        word, first = distinct_rows(kinds)
        keys = zip(*(column[first].tolist() for column in kinds), strict=True)
        words = []
        for key in keys:
            made = self._words.get(key)
            if made is None:
                label, field = self._object(*key)
                made = Step("object", 0, label, field, None)
                if len(self._words) < _MAX_KNOWN:
                    self._words[key] = made
            words.append(made)
        return StepTable(address, word, tuple(words))

    def describe(self, oid: int, offset: int) -> tuple[str | None, str | None]:
        """Type of an object by its id, and the field at ``offset`` of its slot."""
        span = self._graph.index.spans[self._graph.index.span_of_object(np.array([oid]))[0]]
        state = self._heap.state
        fill = state.cover_of(oid) >= COVER_FILL
        return self._object(state.type_of(oid), fill, int(span["elemsize"]), int(span["header"]) * 8, offset)

    def _object(self, type_id: int, fill: bool, size: int, header: int, offset: int) -> tuple[str | None, str | None]:
        """Type and field of a word at ``offset`` of a slot of ``size`` bytes."""
        one = self.fields.size(type_id) if type_id >= 0 else 0
        many = fill and 0 < one <= (size - header) // 2
        label = self._label(type_id, many)
        if offset < 0:
            return label, None
        within = max(offset - header, 0)
        if not many:
            return label, self.fields.path(type_id, within) or None
        return label, f"[{within // one}]" + self.fields.path(type_id, within % one)

    def _label(self, type_id: int, many: bool) -> str | None:
        if (type_id, many) not in self._labels:
            name = self.fields.type_name(type_id)
            self._labels[type_id, many] = name if name is None or not many else f"[]{name}"
        return self._labels[type_id, many]

    def root(self, node: int, child: int) -> Step:
        """The step of a group of roots that leads to node ``child`` (-1: to none)."""
        roots = self._graph.roots
        kind, key = RootKind(int(roots.kind[node])), int(roots.key[node])
        word, frame = self._word(node, child)
        if kind is RootKind.GLOBAL:
            return self.static(key, word or key, leads=child >= 0)
        if kind in (RootKind.GOROUTINE, RootKind.UNSURE_STACK):
            return self.goroutine(key, word, frame, sure=kind is RootKind.GOROUTINE)
        if kind is RootKind.MAP:
            field = self.fields.layout_path(self._header, word - key) if word else None
            return Step("map", key, self._map_types.get(key), field, None)
        if kind is RootKind.ITERATOR:
            field = self.fields.layout_path("mapiter", word - key) if word else None
            return Step("iterator", key, self._map_types.get(key), field, None)
        if kind is RootKind.FINALIZER:
            return self._finalizer(key, word)
        return Step(_TEXT[kind][0], word if kind is RootKind.RUNTIME else 0, None, None, _TEXT[kind][1])

    def _word(self, node: int, child: int) -> tuple[int, int]:
        """Address and frame of the first word of group ``node`` that points to ``child``, or of a map below it."""
        graph = self._graph
        if 0 <= child < graph.base:
            node, child = child, -1
        rows = graph.roots.words_of(node)
        hits = np.flatnonzero(graph.roots.word_target[rows] == child) if child >= 0 else np.arange(1)
        if rows.start == rows.stop or not len(hits):
            return 0, -1
        at = rows.start + int(hits[0])
        return int(graph.roots.word_address[at]), int(graph.roots.word_frame[at])

    def goroutine(self, row: int, word: int, frame: int, *, sure: bool = True) -> Step:
        """The stack of a goroutine, with the function of the frame that holds the word."""
        stacks = self._heap.frames
        number = int(stacks.table.goid[row])
        inner = self._function(row, frame)
        where = "" if inner is None else f" in {inner.function} ({os.path.basename(inner.file)}:{inner.line})"
        unsure = "" if sure else ", conservatively scanned"
        return Step("goroutine", word, None, None, f"goroutine {number}{where}{unsure}", number)

    def _function(self, row: int, frame: int) -> Frame | None:
        """The function of a frame; for one of the runtime the caller that the reader wrote, where there is one."""
        stacks, own = self._heap.frames, None
        if frame < 0:
            return None
        last = min(int(stacks.frames.first[row + 1]), frame + _MAX_CALLERS)
        for at in range(frame, last):
            for function in stacks.frame(at):
                own = own or function
                if not function.function.startswith(_RUNTIME):
                    return function
        return own

    def static(self, key: int, address: int, *, leads: bool) -> Step:
        """A package-level variable; ``leads``: the field at ``address`` leads on."""
        place = self._statics.at(key)
        if place is None:
            return Step("global", key, None, None, None)
        offset = address - place.address
        field = self._static_field(place, offset) if leads else None
        return Step(
            "global", place.address, short_name(place.type_name or "") or None, field or None, self._name(place)
        )

    def _static_field(self, place: Static, offset: int) -> str:
        if place.type_id >= 0:
            return self.fields.path(place.type_id, offset)
        return f"+0x{offset:x}" if offset else ""

    def _name(self, place: Static) -> str:
        if place.name is not None:
            return place.name
        words = f"{place.section}+0x{place.section_offset:x}"
        users = self._references.users(place.address)
        return f"{words}, used by {users[0]}" if users else words

    def _finalizer(self, key: int, word: int) -> Step:
        ids, _ = self._graph.index.find(np.array([key], dtype=np.uint64))
        if int(ids[0]) < 0:
            return Step("finalizer", key, None, None, "object with a finalizer")
        label, field = self.describe(int(ids[0]), word - key if word else -1)
        return Step("finalizer", key, label, field, "object with a finalizer")

    def locate(self, sources: Nodes, targets: Nodes) -> Nodes:
        """Offset of the first word in each source node that points to its target node; -1 where there is none.

        The pairs are distinct and in ascending order.
        """
        graph, out = self._graph, np.full(len(sources), -1, dtype=np.int64)
        load("graph").locate(graph.index, self._leads, graph.object_of(sources), graph.object_of(targets), out)
        return out

    def words_to(self, source: int, target: int, most: int) -> Nodes:
        """Offsets of the words in node ``source`` that point to node ``target``, both objects; ``most`` at most."""
        out = np.zeros(most, dtype=np.int64)
        objects = self._graph.object_of(np.array([source, target], dtype=np.int64)).tolist()
        return out[: load("graph").words_to(self._graph.index, self._leads, *objects, out)]


def _gap(steps: int) -> Step:
    return Step("skipped", 0, None, None, f"{steps} step{'s' if steps > 1 else ''} left out")
