"""Random scripts for the program ``model``, and what it said to each line of one.

A script is made of phases, so that Hypothesis can choose and shrink them; a phase has its own random numbers. The
writer of a script knows which keys are in the map, but neither hashes nor when the map grows.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.groundtruth import harness

KINDS = ("plain", "text", "shared", "wideelem", "widekey", "pair")
SECONDS = 60


class Phase(NamedTuple):
    """``count`` operations of one kind. ``seed`` draws their keys; ``a``, ``b`` are for ``near`` and ``fill``."""

    name: str
    count: int = 0
    seed: int = 0
    a: int = 0
    b: int = 0


class Step(NamedTuple):
    """A line of a script and the answer to it."""

    words: list[str]
    said: dict[str, Any]


class Writer:
    """Writes the lines of a script."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.live: dict[str, None] = {}
        self.fresh = 0
        self.chosen = 0
        self.value = 0
        self.iterators = 0
        self.open: list[int] = []
        self.since_look = 0

    def write(self, line: str) -> None:
        """One operation, and a look at the whole map now and then: the oftener, the smaller it is."""
        self.lines.append(line)
        self.since_look += 1
        size = len(self.live)
        if self.since_look >= (1 if size <= 40 else 10 if size <= 250 else 60 if size <= 1500 else 400):
            self.look()

    def look(self) -> None:
        self.lines.append("look")
        self.since_look = 0

    def put(self, key: str) -> None:
        self.value += 1
        self.live[key] = None
        self.write(f"put {key} {self.value}")

    def put_new(self) -> None:
        self.fresh += 1
        self.put(str(self.fresh))

    def near(self, shift: int, mask: int, wanted: int) -> str:
        """A new key of which ``hash >> shift & mask`` is as wanted: the program looks for one."""
        self.value += 1
        key = f"n{self.chosen}"
        self.chosen += 1
        self.live[key] = None
        self.write(f"near {shift} {mask} {wanted} {self.value}")
        return key

    def drop(self, key: str) -> None:
        self.live.pop(key, None)
        self.write(f"del {key}")

    def drop_some(self, dice: random.Random, count: int) -> None:
        keys = list(self.live)
        dice.shuffle(keys)
        for key in keys[:count]:
            self.drop(key)

    def iterate(self) -> None:
        self.open.append(self.iterators)
        self.iterators += 1
        self.write("iter")

    def step(self, dice: random.Random) -> None:
        if self.open:
            self.write(f"next {dice.choice(self.open)}")

    def phase(self, phase: Phase) -> None:
        """The operations of one phase."""
        dice = random.Random(f"{phase}")
        count = phase.count
        match phase.name:
            case "grow":
                for _ in range(count):
                    self.put_new()
            case "update":
                keys = list(self.live)
                for key in dice.choices(keys, k=count) if keys else ():
                    self.put(key)
            case "shrink":
                self.drop_some(dice, count)
            case "empty":
                self.drop_some(dice, len(self.live))
            case "miss":
                for _ in range(count):
                    self.write(f"{dice.choice(['del', 'get'])} {self.fresh + dice.randrange(1, 1000)}")
            case "near":
                for _ in range(count):
                    self.near(phase.a, phase.b, dice.randrange(phase.b + 1))
            case "crowd":
                for _ in range(count):
                    self.near(phase.a, phase.b, 0)
            case "fill":  # every bucket or group in turn: so many keys there, most of which go again
                self.fill(dice, phase)
            case "clear":
                self.live.clear()
                self.write("clear")
            case "mixed":
                for _ in range(count):
                    self.mixed(dice)
            case "iterate":
                for _ in range(count):
                    self.iterate()
            case "exhaust":  # ranges up to their end and beyond
                for _ in range(count):
                    self.iterate()
                    for _ in range(len(self.live) + 2):
                        self.write(f"next {self.open[-1]}")
            case "needed":
                self.needed()
            case "steps":
                for _ in range(count):
                    self.step(dice)
            case "walk":  # iterators that go on while the map is written
                for _ in range(3):
                    self.iterate()
                for _ in range(count):
                    self.step(dice)
                    self.mixed(dice)

    def fill(self, dice: random.Random, phase: Phase) -> None:
        for wanted in range(phase.b + 1):
            keys = [self.near(phase.a, phase.b, wanted) for _ in range(phase.count)]
            dice.shuffle(keys)
            for key in keys[: phase.count - 1]:
                self.drop(key)
            if dice.random() < 0.1:
                self.iterate()
            self.step(dice)

    def needed(self) -> None:
        """A full table of 64 slots with five tombstones that a probe needs and five that none does: not pruned."""
        sizes = {1: 9, 0: 8, 2: 7, 3: 8, 4: 8, 5: 8, 6: 8}  # the ninth of group 1 goes to group 2
        keys = {group: [self.near(7, 7, group) for _ in range(count)] for group, count in sizes.items()}
        for group in (0, 1):
            for key in keys[group][:5]:
                self.drop(key)
        self.near(7, 7, 7)

    def mixed(self, dice: random.Random) -> None:
        turn = dice.random()
        if turn < 0.4:
            self.put_new()
        elif turn < 0.7:
            self.drop_some(dice, 1)
        elif turn < 0.8 and self.live:
            self.put(dice.choice(list(self.live)))
        elif turn < 0.85 and self.live:
            self.write(f"get {dice.choice(list(self.live))}")
        elif turn < 0.88:
            self.write(f"del {self.fresh + 5000 + dice.randrange(100)}")
        elif turn < 0.9 and len(self.open) < 6:
            self.iterate()
        elif turn < 0.91 and self.open:
            gone = self.open.pop(dice.randrange(len(self.open)))
            self.write(f"stop {gone}")
        else:
            self.step(dice)


def script(kind: str, hint: int | None, phases: Sequence[Phase]) -> list[str]:
    """The lines for a map of that kind, made with that hint."""
    writer = Writer()
    writer.lines.append(f"new {0 if hint is None else hint + 1} {kind}")
    for phase in phases:
        writer.phase(phase)
    writer.look()
    return writer.lines


def obeyed(executable: Path, lines: Sequence[str]) -> Iterator[Step]:
    """Runs the program with a script."""
    done = subprocess.run(
        [executable],
        input="\n".join(lines).encode() + b"\n",
        capture_output=True,
        env=harness.ENVIRONMENT,
        timeout=SECONDS,
        check=False,
    )
    said = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert len(said) == len(lines)
    for line, answer in zip(lines, said, strict=True):
        yield Step(line.split(), json.loads(answer))
