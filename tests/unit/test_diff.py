"""Two snapshots made of figures: matching, sums, findings judged twice, the words of the report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mapscope.diff import compare, where
from mapscope.findings.model import Finding
from mapscope.goruntime.identity import Identity
from mapscope.heap.holding import Held
from mapscope.heap.steps import Step
from mapscope.maps.model import Confidence, Generation, MapTable
from mapscope.report.diff_view import build_diff, render
from mapscope.report.schema import json_schema
from mapscope.report.writing import to_json
from tests.unit.report.fakes import FakeSnapshot, classic, map_type, stalled, swiss, table
from tests.unit.report.schema_check import problems

PROCESS = Identity("example.com/x", "ab" * 20, 4242, (0x401000, 0x500000), ((25, 0x7FFC),), b"r" * 16)
OTHER = replace(PROCESS, pid=4243, start=((25, 0x7FFD),), random=b"s" * 16)
BASE = 0xC000010000


@dataclass
class Snap(FakeSnapshot):
    """A snapshot made of figures, of a process; a chain is one variable by the map's place in ``names``."""

    identity: Identity = PROCESS
    names: tuple[str, ...] = ()

    def held(self, addresses: Sequence[int]) -> list[Held | None]:
        rows = np.searchsorted(self.maps.columns["address"], np.array(addresses, dtype=np.uint64)).tolist()
        return [self._one(row) if row < len(self.names) else None for row in rows]

    def _one(self, row: int) -> Held:
        root = Step("global", 0x500000, None, None, self.names[row])
        return Held((root, Step("object", self.maps[row].address, "hmap<m>", None, None)), 48, root)


def snap(*rows: dict[str, int], **more) -> Snap:
    return Snap(table(*rows), **more)


def at(index: int, row: dict[str, int]) -> dict[str, int]:
    return row | {"address": BASE + 0x40 * index}


def statuses(old: Snap, new: Snap) -> list[tuple[str, str]]:
    return [(one.status, one.finding.rule) for one in compare(old, new).findings]


def row_strategy():
    made = st.one_of(
        st.builds(classic, st.integers(0, 5000), st.integers(0, 12)),
        st.builds(lambda n, p: stalled(n, 12, 319_488 + p), st.integers(1, 9000), st.integers(0, 90_000)),
        st.builds(lambda n, c: swiss(n, 1 << c), st.integers(0, 900), st.integers(3, 14)),
    )
    return st.lists(st.tuples(made, st.integers(-1, 1)), max_size=12).map(
        lambda rows: [at(i, row) | {"type_index": kind} for i, (row, kind) in enumerate(rows)]
    )


NAMES = st.lists(st.sampled_from(["main.a", "main.b", "main.c"]), min_size=12, max_size=12).map(tuple)


@given(row_strategy(), NAMES, st.sampled_from([PROCESS, OTHER]))
def test_a_snapshot_and_itself_do_not_differ(rows, names, identity):
    old = snap(*rows, names=names)
    new = snap(*rows, names=names, identity=identity)
    found = compare(old, new)
    assert {name: len(chosen) for name, chosen in found.matches.lists().items()} == dict.fromkeys(
        ("grown", "shrunk", "new", "gone"), 0
    )
    assert {one.status for one in found.findings} <= {"unchanged"}
    assert all((one.bytes_then, one.maps_then) == (one.bytes_now, one.maps_now) for one in found.findings)


@given(row_strategy(), row_strategy(), NAMES, st.sampled_from([PROCESS, OTHER]), st.randoms(use_true_random=False))
def test_every_map_is_counted_once(before, after, names, identity, random):
    after = [at(2 * i, row) for i, row in enumerate(after)]
    shuffled = list(names)
    random.shuffle(shuffled)
    old, new = snap(*before, names=names), snap(*after, names=tuple(shuffled), identity=identity)
    matches = compare(old, new).matches
    for sums, rows in ((matches.then, before), (matches.now, after)):
        assert int(sums["maps"].sum()) == len(rows)
        assert int(sums["entries"].sum()) == sum(row["count"] for row in rows)
    for name, column in (("bytes", "total_bytes"), ("waste", "waste_bytes")):
        told = int(matches.change(name).sum())
        assert told == int(new.maps.columns[column].sum()) - int(old.maps.columns[column].sum())
    for row in range(len(new.maps)):
        mate = matches.partner(row)
        if mate >= 0:
            assert old.maps[mate].address == new.maps[row].address
            assert old.maps[mate].generation == new.maps[row].generation


def test_one_process_by_address_others_by_chain():
    before = [at(0, classic(100, 5)), at(1, classic(200, 6))]
    after = [at(0, classic(900, 8)), at(3, classic(700, 8))]
    same = compare(snap(*before, names=("main.a", "main.b")), snap(*after, names=("main.b", "main.c"))).matches
    assert same.pairs == 1
    assert same.change("entries").tolist() == [800, -200, 700]
    other = compare(
        snap(*before, names=("main.a", "main.b")), snap(*after, names=("main.b", "main.c"), identity=OTHER)
    ).matches
    assert other.pairs == 0
    assert other.change("entries").tolist() == [-100, 900 - 200, 700]


def test_maps_of_one_chain_and_type_are_summed():
    old = snap(*[at(i, classic(10, 1)) for i in range(3)], names=("main.a",) * 3)
    new = snap(*[at(i + 8, classic(20, 2)) for i in range(5)], names=("main.a",) * 5, identity=OTHER)
    matches = compare(old, new).matches
    assert len(matches) == 1
    assert (matches.then["maps"].tolist(), matches.now["maps"].tolist()) == ([3], [5])
    assert (matches.then["entries"].tolist(), matches.now["entries"].tolist()) == ([30], [100])


def test_another_type_or_generation_at_one_address_is_another_map():
    old = snap(at(0, classic(10, 1)), at(1, classic(10, 1)))
    new = snap(at(0, classic(10, 1)) | {"type_index": 1}, at(1, swiss(10, 16)))
    assert compare(old, new).matches.pairs == 0


@pytest.mark.parametrize("row", [classic(100, 5), swiss(100, 128)], ids=["classic", "swiss"])
def test_another_seed_at_one_address_is_the_same_map_only_in_the_same_place(row):
    """A slot is used again: without the seed the new map would count as the old one grown."""
    other = row | {"seed": 7} if row["generation"] == Generation.SWISS else row | {"hash0": 7}
    old = snap(at(0, row), at(1, row), names=("main.a", "main.b"))
    emptied = compare(old, snap(at(0, other), at(1, row), names=("main.a", "main.b"))).matches
    assert emptied.pairs == 2
    reused = compare(old, snap(at(0, other), at(1, row), names=("main.c", "main.b"))).matches
    assert reused.pairs == 1
    assert {name: len(rows) for name, rows in reused.lists().items()} == {"grown": 0, "shrunk": 0, "new": 1, "gone": 1}
    kept = compare(old, snap(at(0, row), at(1, row), names=("main.c", "main.b"))).matches
    assert kept.pairs == 2


# --- findings --------------------------------------------------------------------------------------------------------


def test_a_growth_that_stands_is_stalled():
    (one,) = compare(snap(stalled(851_969, 18, 23_014_048)), snap(stalled(851_969, 18, 23_014_048))).findings
    assert (one.status, one.finding.title) == ("unchanged", "stalled growth holds the old bucket array")
    assert one.finding.confidence is Confidence.EXACT
    assert "Stalled: oldbuckets and nevacuate (7 of 131,072) are the same" in one.finding.why


@pytest.mark.parametrize("moved", [{"nevacuate": 8}, {"oldbuckets": 0xC000900000}])
def test_a_growth_that_moves_is_no_finding(moved):
    old, new = snap(stalled(851_969, 18, 23_014_048)), snap(stalled(851_969, 18, 23_014_048) | moved)
    assert statuses(old, new) == [("in progress", "R1")]
    assert compare(old, new).failing == frozenset()


def test_two_processes_say_nothing_of_a_growth():
    old = snap(stalled(851_969, 18, 23_014_048), names=("main.a",))
    (one,) = compare(old, dataclasses.replace(old, identity=OTHER)).findings
    assert (one.status, one.finding.confidence) == ("unchanged", Confidence.POSSIBLE)
    assert "one snapshot cannot show" in one.finding.why


def test_findings_come_and_go():
    tidy, sparse = classic(1_000_000, 18), classic(
        10_486, 18, overflow_count=9000, noverflow=112, overflow_bytes=900 * 144, needed_bytes=320_000
    )  # fmt: skip
    assert ("new", "R9") in statuses(snap(tidy), snap(sparse))
    assert ("gone", "R9") in statuses(snap(sparse), snap(tidy))
    lasting = next(one for one in compare(snap(sparse), snap(sparse)).findings if one.finding.rule == "R9")
    assert lasting.status == "unchanged"
    assert "It was so in the older snapshot too" in lasting.finding.why


def many(count: int, still: int) -> tuple[Snap, Snap]:
    """Many maps whose growth is too small to be told one by one; ``still`` of them stand."""
    rows = [at(i, stalled(100, 7, 15_000)) for i in range(count)]
    return snap(*rows), snap(*[row if i < still else row | {"nevacuate": 20} for i, row in enumerate(rows)])


def test_many_small_growths_are_judged_together():
    (one,) = compare(*many(100, 100)).findings
    assert (one.status, one.finding.maps, one.finding.confidence) == ("unchanged", 100, Confidence.EXACT)
    (one,) = compare(*many(100, 40)).findings
    assert (one.status, one.finding.confidence) == ("unchanged", Confidence.POSSIBLE)
    assert "Of 100 such maps, 40 stand where they stood" in one.finding.why
    (one,) = compare(*many(100, 0)).findings
    assert one.status == "in progress"


# --- identity and chains ---------------------------------------------------------------------------------------------


def test_a_process_id_alone_proves_nothing():
    assert PROCESS.same_process(replace(PROCESS))
    for change in (
        {"start": ((25, 1),)}, {"random": b"x" * 16}, {"modules": (1, 2)}, {"pid": 7}, {"build": "cd" * 20},
    ):  # fmt: skip
        assert not PROCESS.same_process(replace(PROCESS, **change))
    assert not replace(PROCESS, build="").same_process(replace(PROCESS, build=""))


def step(kind: str, type_: str | None, field: str | None, name: str | None = None) -> Step:
    return Step(kind, 0x1234, type_, field, name)


def test_chains_are_told_apart_by_names_alone():
    end = step("object", "hmap<m>", None)
    root = step("global", None, ".shards[3]", "main.shop")
    assert where([root, end]) == where([step("global", None, ".shards[5]", "main.shop"), end])
    assert where([root, end]) != where([step("global", None, ".other[5]", "main.shop"), end])
    node = step("object", "main.node", ".next")
    assert where([root, *[node] * 3, end]) == where([root, *[node] * 9, end])
    small = [step("object", "maps.Map<m>", ".dirPtr"), step("object", "group<m>", "[elem slot]")]
    large = [
        step("object", "maps.Map<m>", ".dirPtr"), step("object", "[]*table<m>", "[2]"),
        step("object", "table<m>", ".groups"), step("object", "[]group<m>", "[7][elem slot]"),
    ]  # fmt: skip
    old = [step("object", "hmap<m>", ".oldbuckets"), step("object", "[]bucket<m>", "[1][elem slot]")]
    assert where([root, *small, end]) == where([root, *large, end]) == where([root, *old, end])
    stacks = [
        step("goroutine", None, None, f"goroutine {n} in main.(*T).work (main.go:{n})") for n in (8, 91)
    ]  # fmt: skip
    assert where([stacks[0], end]) == where([stacks[1], end])
    assert "main.(*T).work" in where([stacks[0], end])
    places = [step("global", None, None, f"data+0x{n:x}, used by main.use") for n in (16, 32)]
    assert where([places[0], end]) != where([places[1], end])
    assert where([places[0], end], same_build=False) == where([places[1], end], same_build=False)


# --- the report ------------------------------------------------------------------------------------------------------


def document(old: Snap, new: Snap, top: int = 0):
    return build_diff(compare(old, new), old, new, top)


def test_the_document_is_what_the_schema_says():
    old = snap(stalled(851_969, 18, 23_014_048), classic(5, 0), names=("main.a", "main.b"))
    new = snap(at(0, stalled(851_969, 18, 23_014_048)), at(5, classic(9000, 12)), names=("main.a", "main.c"))
    schema = json_schema()
    told = json.loads(to_json(document(old, new)))
    assert problems(told, schema["$defs"]["DiffDocument"], schema) == []
    assert (told["new_maps"]["total"], told["gone_maps"]["total"]) == (1, 1)
    assert told["new_maps"]["maps"][0]["chain"][0]["name"] == "main.c"


def test_sums_count_what_top_leaves_out():
    old, new = snap(), snap(*[classic(10 + i, 3) for i in range(9)], names=tuple(f"main.v{i}" for i in range(9)))
    told = document(old, new, 2).new_maps
    assert (told.total, len(told.maps), told.change.entries) == (9, 2, sum(range(10, 19)))


HOSTILE = "map[\x1b]0;x\x07\u202estring]int" + "x" * 300


def test_text_fits_and_escapes():
    types = (map_type(HOSTILE, key="string"),)

    def hostile(*rows: dict[str, int]) -> Snap:
        name = "main.\x1b[31m\u202e" + "v" * 300
        return Snap(MapTable(table(*rows).columns, types), names=(name,) * 9, path="/tmp/\x1b[2Jcore\n" + "y" * 300)

    sparse = classic(10_486, 18, overflow_count=9000, noverflow=112, overflow_bytes=900 * 144, needed_bytes=320_000)
    old = hostile(at(0, classic(2**42, 5)), at(1, sparse), at(2, stalled(851_969, 18, 23_014_048)))
    new = hostile(at(0, classic(9, 9)), at(1, sparse), at(2, stalled(851_969, 18, 23_014_048)), at(7, classic(3, 1)))
    lines = list(render(document(old, new)))
    assert all(len(line) <= 80 for line in lines), max(lines, key=len)
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "\u202e" not in text
    for head in ("FINDINGS", "GROWN 1", "NEW 1"):
        assert head in text


def test_warnings_say_what_cannot_be_compared():
    old = snap(classic(5, 0))
    other = replace(PROCESS, program="example.com/y", build="cd" * 20)
    assert "two different programs" in document(old, snap(classic(5, 0), identity=other)).warnings[0]
    build = replace(PROCESS, build="cd" * 20)
    assert "two builds of one program" in document(old, snap(classic(5, 0), identity=build)).warnings[0]
    earlier = snap(classic(5, 0), runtime=replace(old.runtime, num_gc=3))
    told = document(old, earlier)
    assert "give the older one first" in told.warnings[0]
    assert not told.same_process


def test_findings_without_a_map_in_the_table_are_kept():
    made = Finding("R1", "t", 5, 0x1, Confidence.EXACT, "why")  # type: ignore[arg-type]

    class Odd(Snap):
        findings = (made,)

    (one,) = compare(Odd(table()), Odd(table())).findings
    assert (one.status, one.bytes_now) == ("unchanged", 5)
