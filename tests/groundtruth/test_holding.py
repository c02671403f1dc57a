"""Who holds what, and how much it is worth, against a program that lets go of everything one by one and measures."""

from __future__ import annotations

import functools
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from mapscope.heap.steps import Step
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.variants import DUMPED, SERIES, Variant, arm64

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

_CLOSE = 0.01


@dataclass(frozen=True)
class Seen:
    """One run: where things lie, what each was worth when it went, and what mapscope saw."""

    addresses: dict[str, int]
    worth: dict[str, int]
    snapshot: Snapshot

    def chain(self, name: str) -> tuple[Step, ...]:
        """The shortest chain to a case."""
        return self.snapshot.chain(self.addresses[name])


NAMED = [Variant(series) for series in SERIES]
NAMED += [Variant(series, evidence="dump") for series in DUMPED]
NAMED += [Variant("1.26", "pie"), Variant("1.24", "default", "noswissmap"), Variant("1.27", "default", "mapsplitgroup")]
NAMED += arm64("1.23", "1.27", evidence="child")
STRIPPED = [Variant(series, "stripped") for series in SERIES]
STRIPPED += [Variant(series, "stripped", evidence="dump") for series in DUMPED]
STRIPPED += arm64("1.21", "1.23", "1.26", "1.27", mode="stripped", evidence="child")


def each(runs: list[Variant]) -> pytest.MarkDecorator:
    """The test once for each of ``runs``, those of one release on one worker."""
    runs = sorted(runs, key=lambda run: SERIES.index(run.series))
    groups = [pytest.mark.xdist_group(f"holding-{run.series}") for run in runs]
    return pytest.mark.parametrize(
        "variant",
        [pytest.param(run, id=str(run), marks=group) for run, group in zip(runs, groups, strict=True)],
        scope="module",  # so that the tests of one variant follow each other
    )


@functools.lru_cache(maxsize=2)
def observe(variant: Variant) -> Seen:
    """Builds, runs, takes the core, lets the program go on and measure."""
    executable = harness.build("holding", variant)
    with tempfile.TemporaryDirectory(prefix="holding-") as name:
        folder = Path(name)
        with harness.running(executable, folder=folder, arch=variant.arch) as program:
            core = harness.take_core(program, variant.evidence, folder)
            told, _ = program.process.communicate(timeout=harness.START_SECONDS * harness.EMULATION)
        return Seen(program.truth["cases"], json.loads(told), open_snapshot(core, executable))


@pytest.fixture
def seen(variant: Variant) -> Seen:
    """The run of this variant, shared by the tests of one worker."""
    return observe(variant)


def words(steps: tuple[Step, ...]) -> list[str]:
    """Name or type with the field, a step each."""
    return [" ".join(filter(None, (step.name or step.type, step.field))) for step in steps]


def expected(variant: Variant) -> dict[str, list[str]]:
    """The chains of a build with DWARF."""
    header = "maps.Map<main.recs>" if variant.swiss else "hmap<main.recs>"
    outer = "maps.Map<map[string]main.recs>" if variant.swiss else "hmap<map[string]main.recs>"
    inner = "group<map[string]main.recs>" if variant.swiss else "bucket<map[string]main.recs>"
    arrays = "dirPtr" if variant.swiss else "buckets"
    return {
        "direct": ["main.direct", header],
        "field": ["main.srv", "main.server .cache", header],
        "object": ["main.srv", "main.server"],
        "array": ["main.shop .shards[2]", header],
        "slice": ["main.items", "[]main.item [3].m", header],
        "list": [
            "main.list",
            *["main.node .next"] * 2,
            "main.node",
            "24 steps left out",
            *["main.node .next"] * 22,
            "main.node .m",
            header,
        ],
        "head": ["main.list", "main.node"],
        "box": ["main.boxed", "main.server .cache", header],
        "channel": ["main.queue", "hchan<main.recs> .buf", "[]main.recs [1]", header],
        "nested": [
            "main.nested",
            f"{outer} .{arrays}",
            f"{inner} [elem slot]",
            header,
        ],
        "twins": ["main.twinA", header],
    }


@each(NAMED)
def test_chains_name_every_field(variant, seen):
    told = {name: words(seen.chain(name)) for name in expected(variant)}
    assert told == expected(variant)
    closure = seen.chain("closure")
    assert [step.name for step in closure] == ["main.closure", None, None]
    assert closure[1].field in (".m", ".X0")
    (goroutine, header) = seen.chain("goroutine")
    assert re.fullmatch(r"goroutine \d+ in main\.hold \(main\.go:\d+\)", goroutine.name or "")
    assert goroutine.kind == "goroutine"
    assert header.address == seen.addresses["goroutine"]


@each(STRIPPED)
def test_chains_of_a_stripped_twin_have_the_same_shape(variant, seen):
    full = observe(variant.twin)
    for name in seen.addresses:
        here, there = seen.chain(name), full.chain(name)
        assert [step.kind for step in here] == [step.kind for step in there], name
        for step, other in zip(here[1:], there[1:], strict=True):
            if step.type is not None:
                assert (step.type, step.field) == (other.type, other.field), name
        if here[0].kind == "global":
            assert re.match(r"(data|bss)\+0x[0-9a-f]+, used by main\.(use\w+|main)", here[0].name or ""), name


@each([*NAMED, *STRIPPED])
def test_every_byte_that_goes_was_retained(seen):
    for name, address in seen.addresses.items():
        worth = seen.worth[name] + {"object": seen.worth["field"], "head": seen.worth["list"]}.get(name, 0)
        assert seen.snapshot.retained(address) == pytest.approx(worth, rel=_CLOSE), name
    held = dict(zip(seen.addresses, seen.snapshot.held(list(seen.addresses.values())), strict=True))
    for name, one in held.items():
        assert one is not None
        assert one.chain == seen.chain(name)
        assert one.retained == seen.snapshot.retained(seen.addresses[name])
        assert (one.dominator is None) == (name == "twins"), name
    server = held["field"].dominator
    assert server is not None
    assert server.address == seen.addresses["object"]


@each([*NAMED, *STRIPPED])
def test_all_chains_are_found_and_merged(variant, seen):
    both = seen.snapshot.chains(seen.addresses["twins"])
    assert (both.chains, both.referrers, both.more) == (2, 2, 0)
    assert sorted(len(list(branch(tree))) for tree in both.trees) == [2, 3]
    if not variant.stripped:
        assert {tree.step.name for tree in both.trees} == {"main.twinA", "main.twinB"}
    (tree,) = seen.snapshot.chains(seen.addresses["field"]).trees
    assert [node.chains for node in branch(tree)] == [1, 1, 1]
    assert list(branch(tree))[-1].step.address == seen.addresses["field"]


def branch(tree):
    """The nodes of a tree without forks."""
    yield tree
    while tree.children:
        (tree,) = tree.children
        yield tree


@each([*NAMED, *STRIPPED])
def test_what_holds_most_is_a_suspect(variant, seen):
    heap = seen.snapshot.heap.live_bytes
    top = seen.snapshot.dominators(3)
    assert top[0].retained >= top[1].retained >= top[2].retained
    suspects = seen.snapshot.suspects
    assert all(one.retained >= heap / 10 for one in suspects)
    if not variant.stripped:
        assert {"main.srv", "main.shop", "main.list"} <= {one.chain[0].name for one in suspects}
