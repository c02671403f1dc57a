"""Leads the model of the classic map through a script and compares it with what the program said of its own map."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
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
from mapscope.lab.model.maptype import INT_INT, INT_POINTER, STRING_POINTER, MapType
from mapscope.lab.model.releases import ClassicSettings
from tests.groundtruth.modelscripts import Step

NONE = (1 << 64) - 1
TYPES = {
    "shared": INT_POINTER,
    "plain": INT_INT,
    "text": STRING_POINTER,
    "wideelem": MapType(elem_size=136),
    "widekey": MapType(key_size=136),
}


class Replay:
    """The model beside the program. ``reached`` counts what the scripts came to."""

    def __init__(self, settings: ClassicSettings) -> None:
        self.settings = settings
        self.hashes: dict[tuple[int, int], int] = {}
        self.draws: deque[int] = deque()
        self.chosen: list[int] = []
        self.opened: list[hiter] = []
        self.reached: Counter[str] = Counter()
        self.map: ClassicMap

    def follow(self, steps: Iterable[Step]) -> int:
        """Every step; the number of operations done, without looks."""
        operations = 0
        for line, step in enumerate(steps, start=1):
            self.follow_one(step, line)
            operations += step.words[0] != "look"
        return operations

    def follow_one(self, step: Step, at: int) -> None:
        words, said = step
        where = f"{' '.join(words)} (line {at})"
        self.learn(said)
        header = header_said(said["header"])
        if words[0] == "new":
            self.draws.append(header.hash0)
            hint = int(words[1]) - 1
            self.map = ClassicMap(
                TYPES[words[2]],
                self.settings,
                lambda key, seed: self.hashes[seed, key],
                self.draws.popleft,
                None if hint < 0 else hint,
            )
            self.map.log = []
        else:
            if header.hash0 != self.map.hash0:
                self.draws.append(header.hash0)
            self.obey(words, said, where)
        assert not self.draws, f"{where}: the program drew a random number and the model did not"
        assert header_of(self.map) == header, where
        self.note()

    def learn(self, said: dict[str, Any]) -> None:
        if "met" in said:
            seed, key, hash_ = said["met"]
            self.hashes[seed, key] = hash_
        if "rehashed" in said:
            seed, *rest = said["rehashed"]
            self.hashes.update({(seed, key): hash_ for key, hash_ in zip(rest[::2], rest[1::2], strict=True)})

    def key(self, word: str) -> int:
        return self.chosen[int(word[1:])] if word[0] == "n" else int(word)

    def obey(self, words: list[str], said: dict[str, Any], where: str) -> None:
        match words:
            case ["put", key, value]:
                self.map.assign(self.key(key), int(value))
            case ["near", *_, value]:
                self.chosen.append(said["key"])
                self.map.assign(said["key"], int(value))
            case ["del", key]:
                self.map.delete(self.key(key))
            case ["get", key]:
                assert self.map.lookup(self.key(key)) == (said["found"] or None, bool(said["ok"])), where
            case ["clear"]:
                self.map.clear()
            case ["iter"]:
                theirs = hiter_said(said)
                if theirs.h:
                    self.draws.append(theirs.startBucket | theirs.offset << theirs.B)
                self.opened.append(self.map.iterate())
                assert iterator_state_of(self.map, self.opened[-1]) == theirs, where
            case ["next", number]:
                it = self.opened[int(number)]
                self.map.step(it)
                assert iterator_state_of(self.map, it) == hiter_said(said), where
                self.note_step(it)
            case ["stop", number]:
                self.map.stop(self.opened[int(number)])
            case ["look"]:
                state = self.map.state()
                assert [list(chain) for chain in state.buckets] == chains_said(said["buckets"]), where
                assert [list(chain) for chain in state.oldbuckets] == chains_said(said["oldbuckets"]), where

    def note(self) -> None:
        """What the operation came to, so that the test can ask whether the scripts went everywhere."""
        assert self.map.log is not None
        for event in self.map.log:
            self.reached[event.name] += 1
            if event.name == "hashGrow":
                self.reached["same-size growth"] += event.facts["same_size"]
                self.reached["growth beside iterators"] += any(it.key is not None for it in self.map.iterators)
            if event.name == "mapiterinit":
                self.reached["iteration begun in a growth"] += event.facts["growing"]
                self.reached["several iterators"] += len(self.map.iterators) > 2
            if event.name == "mapclear":
                self.reached["clear in a growth"] += event.facts["growing"]
        self.map.log.clear()

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
    key, elem = said["entry"]
    bptr = None if said["bptr"] is None else bucket_said(said["bptr"])
    return HiterState(
        key or None, elem or None, bool(n[0]), some(n[1]), bptr, n[5], n[6], n[7], n[8], bool(n[9]), *n[10:15]
    )


def chains_said(chains: list[list[list[Any]]]) -> list[list[BucketState]]:
    return [[bucket_said(one) for one in chain] for chain in chains]


def bucket_said(one: list[Any]) -> BucketState:
    index, tophash, keys, elems = one
    index = -1 if index == NONE else index
    return BucketState(index, tophash, tuple(key or None for key in keys), tuple(elem or None for elem in elems))


def pair(n: list[int]) -> tuple[int, int] | None:
    return None if n[0] == NONE else (n[0], n[1])


def some(n: int) -> int | None:
    return None if n == NONE else n
