"""Leads a model through a script beside the program that has obeyed it. One subclass for each kind of map."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from mapscope.lab.model.interface import Cursor, MapModel
from mapscope.lab.model.maptype import INT_INT, INT_POINTER, STRING_POINTER, MapType
from tests.groundtruth.modelscripts import Step

NONE = (1 << 64) - 1
TYPES = {
    "plain": INT_INT,
    "text": STRING_POINTER,
    "shared": INT_POINTER,
    "wideelem": MapType(elem_size=136),
    "widekey": MapType(key_size=136),
    "pair": MapType(key_size=16, fast_key=False),
}
"""The kinds of programs/model/kinds.go."""

Model = TypeVar("Model", bound=MapModel)


class Replay(Generic[Model]):
    """The model beside the program. ``reached`` counts what the scripts came to."""

    map: Model

    def __init__(self) -> None:
        self.hashes: dict[tuple[int, int], int] = {}
        self.draws: deque[int] = deque()
        """What the program drew at random in the operation at hand."""
        self.chosen: list[int] = []
        self.opened: list[Cursor] = []
        self.reached: Counter[str] = Counter()

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
        seed = self.seed_said(said["header"])
        if words[0] == "new":
            self.draws.append(seed)
            hint = int(words[1]) - 1
            self.map = self.make(TYPES[words[2]], None if hint < 0 else hint)
            self.map.log = []
        else:
            if seed != self.seed():
                self.draws.append(seed)
            self.obey(words, said, where)
        assert not self.draws, f"{where}: the program drew a random number and the model did not"
        self.compare_header(said["header"], where)
        assert self.map.log is not None
        for event in self.map.log:
            self.reached[event.name] += 1
            self.note(event.name, event.facts)
        self.map.log.clear()

    def hasher(self, key: Any, seed: int) -> int:
        return self.hashes[seed, key]

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
                self.draws.extend(self.drawn(said))
                self.opened.append(self.map.iterate())
                self.compare_iterator(self.opened[-1], said, where)
            case ["next", number]:
                it = self.opened[int(number)]
                self.map.step(it)
                self.compare_iterator(it, said, where)
                self.note_step(it)
            case ["stop", number]:
                self.map.stop(self.opened[int(number)])
            case ["look"]:
                self.compare_memory(said, where)

    @abstractmethod
    def make(self, t: MapType, hint: int | None) -> Model:
        """The model of a new map."""

    @abstractmethod
    def seed(self) -> int:
        """The seed of the model."""

    @abstractmethod
    def seed_said(self, header: list[int]) -> int:
        """The seed of the program's map."""

    @abstractmethod
    def drawn(self, said: dict[str, Any]) -> list[int]:
        """What the program drew to begin an iteration."""

    @abstractmethod
    def compare_header(self, header: list[int], where: str) -> None:
        """After every operation."""

    @abstractmethod
    def compare_iterator(self, it: Any, said: dict[str, Any], where: str) -> None:
        """After every step of an iterator."""

    @abstractmethod
    def compare_memory(self, said: dict[str, Any], where: str) -> None:
        """All buckets or groups."""

    def note(self, name: str, facts: dict[str, int]) -> None:
        """Something happened that a script should come to."""

    def note_step(self, it: Any) -> None:
        """The same of a step."""


def some(n: int) -> int | None:
    """A number, or nothing."""
    return None if n == NONE else n


def numbers(list_: list[int]) -> tuple[int | None, ...]:
    """Keys or elems; 0 is zeroed memory."""
    return tuple(n or None for n in list_)
