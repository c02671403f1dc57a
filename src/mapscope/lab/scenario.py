"""What a scenario is: a Go program, what it shows, and a judgement of what came out, release by release.

A scenario is a folder under ``scenarios/``: ``main.go``, and an ``__init__.py`` that defines ``SCENARIO``. The program
tells the truth about its own maps (``scenarios/shared/``); mapscope analyses a core of it; ``judge`` compares both with
what is expected of the release, and says what this means for the claims of the ledger.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mapscope.errors import UsageError
from mapscope.lab.ledger import SWISS_SINCE
from mapscope.lab.toolchains import Toolchain

if TYPE_CHECKING:
    from mapscope.maps.model import Map
    from mapscope.snapshot import Snapshot

FOLDER: Final = Path(__file__).parent / "scenarios"
SHARED: Final = FOLDER / "shared"

Numbers = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: what was expected, whether it holds, and the numbers that say so.

    ``claims``: what the numbers say of claims of the ledger: number of the claim → ``true``, ``partly`` or ``false``.
    """

    what: str
    ok: bool
    numbers: Numbers
    claims: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a scenario's program on one release.

    ``said``: its document; empty where it died. ``output``: what it wrote to stderr, and at its end. ``status``: its
    exit status, None while it waits. ``compiler``: what ``-gcflags=-m`` said. ``snapshot``: of its core, None where it
    died.
    """

    toolchain: Toolchain
    executable: Path
    said: Mapping[str, Any]
    output: str
    status: int | None
    compiler: str
    snapshot: Snapshot | None

    @property
    def classic(self) -> bool:
        """Whether the release has classic maps."""
        return self.toolchain.release < SWISS_SINCE

    def number(self, name: str) -> int:
        """A number that the program said. UsageError where it did not."""
        value = self.said.get(name)
        if not isinstance(value, int):
            raise UsageError(f"the program did not say {name}", "the scenario and its program do not fit together")
        return value

    def pick(self, *names: str) -> dict[str, int | str]:
        """Several numbers by their names."""
        return {name: self.number(name) for name in names}

    def found(self, name: str) -> Map | None:
        """Mapscope's own reading of a map that the program has noted under ``name``."""
        address = next((int(one["address"]) for one in self.said.get("maps", ()) if one["name"] == name), 0)
        return self.snapshot.maps.at(address) if self.snapshot is not None and address else None

    def chain(self, address: int) -> tuple[list[str], str]:
        """Mapscope's chain to an object: the kinds of its steps, and the chain in words on one line."""
        if self.snapshot is None:
            return [], "no snapshot"
        steps = self.snapshot.chain(address)
        words = [" ".join(filter(None, (one.name or one.type or one.kind, one.field))) for one in steps]
        return [one.kind for one in steps], " → ".join(words)

    def rules(self) -> dict[str, int]:
        """Rules that mapscope reports on the maps that the program has noted: rule → bytes."""
        noted = {int(one["address"]) for one in self.said.get("maps", ())}
        out: dict[str, int] = {}
        for one in self.snapshot.findings if self.snapshot is not None else ():
            if int(one.subject) in noted:
                out[one.rule] = out.get(one.rule, 0) + one.bytes
        return out


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario. ``section`` of the article, or empty where the article missed it.

    ``classic`` and ``swiss``: the rules that mapscope must report on the program's noted maps, and no others.
    ``may``: rules that it may report besides, where that depends on how the keys of a run are hashed.
    ``dies``: a part of what the program says when it dies, as it must; empty where it must not.
    ``compiler``: ask the compiler for its decisions (``-m``).
    """

    name: str
    section: str
    shows: str
    judge: Callable[[Run], Iterator[Check]]
    classic: Sequence[str] = ()
    swiss: Sequence[str] = ()
    may: Sequence[str] = ()
    dies: str = ""
    compiler: bool = False
    since: tuple[int, int] = (1, 19)

    @property
    def folder(self) -> Path:
        """Where its program lies."""
        return FOLDER / self.name

    def runs_on(self, toolchain: Toolchain) -> bool:
        """Whether its program can be built with a release."""
        return toolchain.release >= self.since

    def check(self, run: Run) -> list[Check]:
        """Everything that is compared: the headers of all noted maps, the findings, and what the scenario judges."""
        checks = [] if self.dies else [_headers(run), self._findings(run)]
        return [*checks, *self.judge(run)]

    def _findings(self, run: Run) -> Check:
        expected = set(self.classic if run.classic else self.swiss)
        found = run.rules()
        said: dict[str, int | str] = dict(sorted(found.items()))
        words = ", ".join(sorted(expected)) or "nothing"
        as_expected = expected <= set(found) <= expected | set(self.may)
        return Check(f"mapscope reports {words}", as_expected, said or {"findings": 0})


def _headers(run: Run) -> Check:
    """Mapscope reads every noted map as the program does."""
    different: dict[str, int | str] = {}
    noted = run.said.get("maps", ())
    for one in noted:
        found = run.snapshot.maps.at(int(one["address"])) if run.snapshot is not None else None
        if found is None:
            different[one["name"]] = "not found"
            continue
        pairs = {"count": found.count, "slots": found.capacity, "tables": found.tables}
        if run.classic:
            pairs = {
                "count": found.count, "slots": found.capacity, "flags": found.flags, "B": found.B,
                "overflow": found.noverflow, "array": found.buckets, "old": found.oldbuckets,
                "nold": found.noldbuckets, "nevacuate": found.nevacuate, "evacuated": found.old_evacuated,
            }  # fmt: skip
        else:
            pairs["array"] = found.dirPtr
        wrong = [f"{name} {value} for {one[name]}" for name, value in pairs.items() if value != one[name]]
        if wrong:
            different[one["name"]] = ", ".join(wrong)
    return Check(
        "mapscope reads the headers as the program does",
        not different,
        different or {"maps": len(noted), "different": 0},
    )


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """All scenarios, in the order of the article, those that it missed at the end."""
    found = [path.parent.name for path in FOLDER.glob("*/main.go")]
    loaded = [load(name) for name in found]
    return tuple(one.name for one in sorted(loaded, key=lambda one: (one.section or "9", one.name)))


def load(name: str) -> Scenario:
    """The scenario of that name. UsageError where there is none."""
    if not name.isidentifier() or not (FOLDER / name / "main.go").is_file():
        known = ", ".join(sorted(path.parent.name for path in FOLDER.glob("*/main.go")))
        raise UsageError(f"there is no scenario {name!r}", f"there are {known}")
    scenario = importlib.import_module(f"mapscope.lab.scenarios.{name}").SCENARIO
    assert isinstance(scenario, Scenario)
    return scenario


def all_scenarios() -> tuple[Scenario, ...]:
    """Every scenario, in the order of ``names``."""
    return tuple(load(name) for name in names())
