"""The model of the classic map beside the program: hmap, every bucket, hiter."""

from __future__ import annotations

from typing import Any

from mapscope.lab.model.buckets import sameSizeGrow
from mapscope.lab.model.classic import ClassicMap
from mapscope.lab.model.classicstate import (
    BucketState,
    ClassicHeader,
    ExtraState,
    HiterState,
    header_of,
    iterator_state_of,
)
from mapscope.lab.model.hiter import hiter
from mapscope.lab.model.maptype import MapType
from mapscope.lab.model.releases import ClassicSettings
from tests.groundtruth.modelreplay import NONE, Replay, numbers, some


class ClassicReplay(Replay[ClassicMap]):
    """A classic map."""

    def __init__(self, family: ClassicSettings) -> None:
        super().__init__()
        self.family = family

    def make(self, t: MapType, hint: int | None) -> ClassicMap:
        return ClassicMap(t, self.family, self.hasher, self.draws.popleft, hint)

    def seed(self) -> int:
        return self.map.hash0

    def seed_said(self, header: list[int]) -> int:
        return header[4]

    def drawn(self, said: dict[str, Any]) -> list[int]:
        theirs = hiter_said(said)
        return [theirs.startBucket | theirs.offset << theirs.B] if theirs.h else []

    def compare_header(self, header: list[int], where: str) -> None:
        assert header_of(self.map) == header_said(header), where

    def compare_iterator(self, it: hiter, said: dict[str, Any], where: str) -> None:
        assert iterator_state_of(self.map, it) == hiter_said(said), where

    def compare_memory(self, said: dict[str, Any], where: str) -> None:
        state = self.map.state()
        assert [list(chain) for chain in state.buckets] == chains_said(said["buckets"]), where
        assert [list(chain) for chain in state.oldbuckets] == chains_said(said["oldbuckets"]), where

    def note(self, name: str, facts: dict[str, int]) -> None:
        if name == "hashGrow":
            self.reached["same-size growth"] += facts["same_size"]
            self.reached["growth beside iterators"] += any(it.key is not None for it in self.map.iterators)
        if name == "mapiterinit":
            self.reached["iteration begun in a growth"] += facts["growing"]
            self.reached["several iterators"] += len(self.map.iterators) > 2
        if name == "mapclear":
            self.reached["clear in a growth"] += facts["growing"]

    def note_step(self, it: hiter) -> None:
        if it.key is None:
            return
        same_size = bool(self.map.oldbuckets is not None and self.map.flags & sameSizeGrow)
        self.reached["step on an array left behind"] += it.buckets is not self.map.buckets
        self.reached["step that filters an old bucket"] += it.checkBucket != NONE and not same_size
        self.reached["step in a same-size growth"] += same_size


def header_said(n: list[int]) -> ClassicHeader:
    extra = ExtraState(pair(n[10:12]), pair(n[12:14]), pair(n[14:16])) if n[9] else None
    return ClassicHeader(*n[:5], some(n[5]), some(n[6]), n[7], n[8], extra)


def hiter_said(said: dict[str, Any]) -> HiterState:
    n = said["hiter"]
    key, elem = numbers(said["entry"])
    bptr = None if said["bptr"] is None else bucket_said(said["bptr"])
    return HiterState(key, elem, bool(n[0]), some(n[1]), bptr, n[5], n[6], n[7], n[8], bool(n[9]), *n[10:15])


def chains_said(chains: list[list[list[Any]]]) -> list[list[BucketState]]:
    return [[bucket_said(one) for one in chain] for chain in chains]


def bucket_said(one: list[Any]) -> BucketState:
    index, tophash, keys, elems = one
    return BucketState(-1 if index == NONE else index, tophash, numbers(keys), numbers(elems))


def pair(n: list[int]) -> tuple[int, int] | None:
    return None if n[0] == NONE else (n[0], n[1])
