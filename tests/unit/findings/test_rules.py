"""Each rule on the states that were measured on real toolchains, and on the healthy states that look like them."""

from __future__ import annotations

import numpy as np
import pytest

from mapscope.findings import RULES, run
from mapscope.findings.columns import slots_for
from mapscope.findings.context import StaleValues, StringKeys
from mapscope.maps.model import Confidence
from tests.unit.report.fakes import STRING_KEYS, Queries, classic, context, judge, map_type, stalled, swiss, table

FIRST = 0xC000010000
"""Address of the first row of a table."""


def test_rules_are_those_of_the_catalogue():
    assert [rule.RULE for rule in RULES] == [
        "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
        "R16", "R17",
    ]  # fmt: skip
    assert all(rule.TITLE and rule.__doc__ for rule in RULES)


# --- what the entries need -------------------------------------------------------------------------------------------


def classic_slots(hint: int, load: tuple[int, int]) -> int:
    """makemap of runtime/map.go: B rises while count > 8 and count > loadNum*(2^B/loadDen)."""
    B = 0
    while hint > 8 and hint > load[0] * ((1 << B) // load[1]):
        B += 1
    return 8 << B


def swiss_slots(hint: int) -> int:
    """NewMap of internal/runtime/maps/map.go: directory of tables of at most 1024 slots."""
    if hint <= 8:
        return 8
    target = hint * 8 // 7
    directory = 1
    while directory < -(-target // 1024):
        directory *= 2
    each, slots = target // directory, 8
    while slots < each:
        slots *= 2
    return directory * slots


COUNTS = sorted({*range(60), *(1 << n for n in range(24)), 13_313, 106_497, 851_969, 3_407_873, 896, 897, 1024, 14_336})


@pytest.mark.parametrize(("release", "load"), [((1, 21), (12, 2)), ((1, 23), (13, 2))])
def test_needed_slots_of_classic_maps(release, load):
    needed = slots_for(np.array(COUNTS), np.zeros(len(COUNTS), np.bool_), release)
    assert needed.tolist() == [classic_slots(count, load) for count in COUNTS]


def test_needed_slots_of_swiss_maps():
    needed = slots_for(np.array(COUNTS), np.ones(len(COUNTS), np.bool_), (1, 26))
    assert needed.tolist() == [swiss_slots(count) for count in COUNTS]


# --- R1 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "B", "pinned"),
    [(13_313, 12, 359_952), (106_497, 15, 2_879_936), (851_969, 18, 23_014_048), (3_407_873, 20, 92_169_632)],
)
def test_stalled_growth_pins_what_was_measured(count, B, pinned):
    (finding,) = judge(stalled(count, B, pinned))
    assert (finding.rule, finding.bytes, finding.subject) == ("R1", pinned, FIRST)
    assert finding.confidence == Confidence.POSSIBLE, "one snapshot cannot show that a growth is stalled"
    assert finding.evidence["nevacuate"] == 7
    assert finding.evidence["noldbuckets"] == 1 << B - 1
    assert finding.evidence["oldbuckets"] == 0xC000800000
    assert f"{(1 << B - 1) - 7:,} deletes" in finding.advice.text
    assert "var absent uint64" in finding.advice.code


@pytest.mark.parametrize(
    "change",
    [
        {"oldbuckets": 0, "noldbuckets": 0, "nevacuate": 0, "old_array_bytes": 0, "old_overflow_bytes": 0},
        {"nevacuate": 1 << 17},
        {"flags": 4},
        {"old_array_bytes": 8_000, "old_overflow_bytes": 0},
    ],
    ids=["finished", "all evacuated", "a write is going on", "small"],
)
def test_growth_that_is_over_or_moving_or_small_is_silent(change):
    assert judge(stalled(851_969, 18, 23_014_048) | change) == ()


def test_many_small_stalled_maps_are_one_finding():
    row = stalled(20, 5, 576) | {"old_array_bytes": 576, "old_overflow_bytes": 0}
    findings = judge(*[row] * 5_000)
    assert [(f.rule, f.maps, f.bytes) for f in findings] == [("R1", 5_000, 5_000 * 576)]
    assert findings[0].evidence["maps"] == 5_000
    assert judge(*[row] * 100) == (), "57,600 bytes in all are not worth a word"


def test_more_maps_than_anyone_reads_are_summed():
    findings = judge(*[stalled(13_313, 12, 359_952)] * 250)
    assert [f.maps for f in findings].count(1) == 100
    assert [f.maps for f in findings].count(150) == 1
    assert sum(f.bytes for f in findings) == 250 * 359_952


# --- R2 --------------------------------------------------------------------------------------------------------------


def same_size(count: int, **more: int) -> dict[str, int]:
    row = classic(count, 12, flags=8, oldbuckets=0xC000800000, noldbuckets=4096, nevacuate=0)
    return row | {"old_array_bytes": row["array_bytes"], "needed_bytes": row["array_bytes"] + 48} | more


def test_same_size_growth_of_a_full_map_holds_its_old_array():
    (finding,) = judge(same_size(20_000))
    assert (finding.rule, finding.bytes) == ("R2", 630_784)
    assert finding.confidence == Confidence.POSSIBLE


def test_emptied_map_holds_both_arrays_and_is_told_to_be_replaced():
    findings = judge(same_size(0, needed_bytes=48, noverflow=4000, overflow_count=4000, overflow_bytes=400_000))
    assert findings[0].rule == "R2"
    assert findings[0].bytes == 2 * 630_784 + 400_000
    assert "do nothing at count 0" in findings[0].advice.text
    assert findings[0].advice.code == "m = make(map[uint64]uint64)"
    assert {f.rule for f in findings[1:]} == {"R9", "R11"}
    assert {f.part_of for f in findings[1:]} == {"R2"}, "the current array is counted once"


# --- R3 --------------------------------------------------------------------------------------------------------------


def test_stale_values_count_what_only_evacuated_buckets_reach():
    queries = Queries(stale={FIRST: StaleValues(buckets=900, objects=6_000, bytes=6_000_000)})
    findings = judge(stalled(13_313, 12, 359_952, flags=2), queries=queries)
    assert [(f.rule, f.bytes, f.part_of) for f in findings] == [("R3", 6_000_000, ""), ("R1", 359_952, "")]
    assert findings[0].evidence["stale_objects"] == 6_000


@pytest.mark.parametrize("flags", [0, 1])
def test_without_an_iterator_before_the_growth_nothing_is_stale(flags):
    queries = Queries(stale={FIRST: StaleValues(900, 6_000, 6_000_000)})
    assert [f.rule for f in judge(stalled(13_313, 12, 359_952, flags=flags), queries=queries)] == ["R1"]


def test_unreadable_old_array_gives_no_stale_values():
    assert [f.rule for f in judge(stalled(13_313, 12, 359_952, flags=3))] == ["R1"]


# --- R9, R10 ---------------------------------------------------------------------------------------------------------

EMPTIED_CLASSIC = classic(10_486, 18, overflow_count=900, noverflow=112, overflow_bytes=900 * 144, needed_bytes=320_000)
EMPTIED_SWISS = swiss(10_486, 1 << 21, tombstones=60_000, needed_bytes=300_000)


def test_map_after_deleting_nearly_all_is_sparse():
    (finding,) = judge(EMPTIED_CLASSIC)
    total = 48 + 40_108_032 + 900 * 144
    assert (finding.rule, finding.bytes, finding.confidence) == ("R9", total - 320_000, Confidence.EXACT)
    assert "maps.Clone would do on this release" in finding.advice.text
    assert "next := make(map[uint64]uint64, len(m))" in finding.advice.code


def test_from_go_1_25_clone_is_no_advice():
    (finding,) = judge(EMPTIED_SWISS, release=(1, 26))
    assert finding.rule == "R9"
    assert "maps.Clone keeps the size too" in finding.advice.text
    assert finding.evidence["used"] == 10_486


@pytest.mark.parametrize("release", [(1, 23), (1, 25), (1, 26)])
def test_emptied_map_with_traces_is_sparse_too(release):
    row = EMPTIED_CLASSIC if release < (1, 24) else EMPTIED_SWISS
    (finding,) = judge(row | {"count": 0}, release=release)
    assert finding.rule == "R9"
    assert finding.advice.code == "m = make(map[uint64]uint64)"


@pytest.mark.parametrize("per_bucket", [3.0, 3.25, 6.5])
@pytest.mark.parametrize("B", [12, 14, 16])
def test_a_map_that_grew_into_its_arrays_is_told_by_its_overflow_buckets(B, per_bucket):
    """Entries thrown into buckets at random: just after a doubling (Go 1.21, the others), and just before the next."""
    chance = np.random.default_rng(B)
    for _ in range(20):
        held = np.bincount(chance.integers(0, 1 << B, int(per_bucket * (1 << B))), minlength=1 << B)
        overflow = int(np.maximum(-(-held // 8) - 1, 0).sum())
        row = classic(1 << B - 6, B, overflow_count=overflow, noverflow=min(overflow, 99), needed_bytes=1_000)
        (finding,) = [one for one in judge(row) if one.rule in ("R9", "R10")]
        assert (finding.rule, finding.confidence) == ("R9", Confidence.EXACT)


def test_an_unlucky_hash_seed_is_no_fuller_past():
    """Seen once: a presized map that was never fuller, with 26 overflow buckets."""
    assert judge(classic(70_000, 16, overflow_count=26, noverflow=13, needed_bytes=2_506_824), release=(1, 21)) == ()


def test_large_hint_and_few_entries_is_possible_only():
    for row in (classic(100, 18, needed_bytes=4_000), swiss(100, 1 << 21, needed_bytes=4_000)):
        (finding,) = judge(row)
        assert (finding.rule, finding.confidence) == ("R10", Confidence.POSSIBLE)
        assert "history is unknown" in finding.why


def test_cleared_map_that_was_refilled_says_so():
    (finding,) = judge(swiss(100, 1 << 21, clearSeq=3, needed_bytes=4_000), release=(1, 26))
    assert "cleared 3 times" in finding.why


def test_few_buckets_leave_no_trace_so_sparseness_is_only_possible():
    row = classic(20, 9, bucket=1104, needed_bytes=6_000)
    (finding,) = judge(row)
    assert (finding.rule, finding.confidence) == ("R9", Confidence.POSSIBLE)


HEALTHY = {
    "just after growth, classic": classic(13_313, 12, overflow_count=26, noverflow=26),
    "just after growth, swiss": swiss(115_000, 1 << 18, needed_bytes=4_460_000),
    "presized, not yet filled, classic": classic(0, 18, needed_bytes=48),
    "presized, not yet filled, swiss": swiss(0, 1 << 21, needed_bytes=48),
    "presized, a quarter filled": swiss(300_000, 1 << 21, needed_bytes=9_000_000),
    "cleared for reuse, classic": classic(0, 18, hash0=77, needed_bytes=48),
    "cleared for reuse, swiss": swiss(0, 1 << 21, clearSeq=12, needed_bytes=48),
    "steady LRU at 31 %, 1.24": swiss(81_264, 1 << 18, tombstones=9_000, needed_bytes=2_230_000),
    "half emptied": classic(700_000, 18, overflow_count=20_000, needed_bytes=20_070_000),
    "at full load": classic(1_703_936, 18, overflow_count=55_000, overflow_bytes=5_500_000, noverflow=6_800),
    "churned LRU, 1.23": classic(1_400_000, 18, overflow_count=140_000, overflow_bytes=17_000_000, noverflow=17_000),
    "small": classic(5, 0),
    "sparse but small": classic(1, 6, overflow_count=3, overflow_bytes=432, needed_bytes=192),
    "small swiss": swiss(3, 8, dirLen=0, tables=0),
    "nil-like header": {"generation": 0, "header_bytes": 48},
}


@pytest.mark.parametrize("row", HEALTHY.values(), ids=HEALTHY)
@pytest.mark.parametrize("release", [(1, 21), (1, 23), (1, 24), (1, 26)])
def test_healthy_look_alikes_stay_silent(row, release):
    assert judge(row, release=release) == ()


def test_two_maps_of_one_site_with_sizes_s_and_2s_stay_silent():
    assert judge(classic(13_000, 11), classic(26_000, 12)) == ()


# --- R11, R12, R13 ---------------------------------------------------------------------------------------------------


def test_overflow_near_the_runtimes_limit():
    row = classic(26_000, 12, overflow_count=4_000, noverflow=4_000, overflow_bytes=3_744 * 144)
    (finding,) = judge(row | {"needed_bytes": row["array_bytes"] + 48})
    assert (finding.rule, finding.bytes) == ("R11", 3_744 * 144)
    assert finding.evidence["overflow_count"] == 4_000


def test_tombstones_that_doubled_the_tables():
    (finding,) = judge(swiss(100_000, 1 << 18, tombstones=85_824, needed_bytes=2_300_000), release=(1, 24))
    assert finding.rule == "R12"
    assert finding.bytes == (1 << 18) // 8 * 136 + 48 + 40 * 256 - 2_300_000
    assert finding.why.startswith("32 % of the slots are tombstones")
    assert "the slots are 2 times what the entries need" in finding.why
    assert "from Go 1.25 on inserts prune them where keys are integers" in finding.advice.text


def test_tombstones_in_a_map_that_needs_its_slots_are_silent():
    row = swiss(90_000, 1 << 17, tombstones=20_000)
    assert judge(row, release=(1, 24)) == ()


MEASURED = [
    # What programs on these releases printed about a map[uint64]uint64 of their own: used, slots, tombstones. LRU rows
    # are "size x rounds": so many times every entry was replaced by a new one.
    ("LRU 20000 x1", (1, 24), 20_000, 32_768, 4_429, []),
    ("LRU 20000 x16", (1, 24), 20_000, 65_536, 8_536, []),
    ("LRU 60000 x4", (1, 24), 60_000, 131_072, 26_179, []),
    ("LRU 60000 x64", (1, 24), 60_000, 262_144, 29_791, []),
    ("LRU 80000 x16", (1, 24), 80_000, 262_144, 34_378, []),
    ("LRU 80000 x64", (1, 24), 80_000, 262_144, 112_952, ["R12"]),
    ("LRU 100000 x1", (1, 24), 100_000, 261_120, 2_701, []),
    ("LRU 100000 x64", (1, 24), 100_000, 524_288, 13_698, ["R9"]),
    ("random churn 100000, 5M", (1, 24), 100_000, 523_264, 5_372, ["R9"]),
    ("LRU 100000 x16", (1, 25), 100_000, 262_144, 85_965, []),
    ("LRU 100000 x64", (1, 26), 100_000, 262_144, 67_857, []),
    ("LRU 110000 x16", (1, 26), 110_000, 262_144, 100_688, []),
    ("random churn 100000, 5M", (1, 26), 100_000, 262_144, 64_511, []),
    ("99 % of 2^20 deleted", (1, 24), 10_486, 2_097_152, 111_938, ["R9"]),
    ("99 % of 2^20 deleted", (1, 26), 10_486, 2_097_152, 112_393, ["R9"]),
    ("99 % of 5000 deleted", (1, 26), 50, 8_192, 1_099, ["R9", "R12"]),
    ("all of 5000 deleted", (1, 25), 0, 8_192, 1_040, ["R9", "R12"]),
    ("presized 2^20, 100000 in", (1, 26), 100_000, 2_097_152, 0, ["R10"]),
    ("full 110000", (1, 24), 110_000, 145_408, 0, []),
]


@pytest.mark.parametrize(
    ("release", "used", "slots", "tombstones", "rules"),
    [case[1:] for case in MEASURED],
    ids=[f"{case[0]}, {case[1][0]}.{case[1][1]}" for case in MEASURED],
)
def test_swiss_maps_as_programs_measured_them(release, used, slots, tombstones, rules):
    needed = 48 + swiss_slots(used) * 17
    findings = judge(swiss(used, slots, tombstones=tombstones, needed_bytes=needed), release=release)
    assert [f.rule for f in findings] == rules
    assert all(f.part_of == ("" if f.rule == rules[0] else rules[0]) for f in findings)


@pytest.mark.parametrize(
    ("count", "B", "overflow", "rules"),
    [
        (100_000, 14, 7_552, []),
        (80_000, 14, 8_915, []),
        (100_000, 14, 15_662, ["R11"]),
        (10_486, 18, 5_602, ["R9"]),
        (50, 10, 67, ["R9"]),
        (100_000, 18, 0, ["R10"]),
    ],
    ids=["LRU x1", "LRU x4", "LRU x16", "99 % of 2^20 deleted", "99 % of 5000 deleted", "presized 2^20"],
)
def test_classic_maps_as_programs_measured_them(count, B, overflow, rules):
    loose = max(overflow - ((1 << B - 4) if B >= 4 else 0), 0) * 144
    slots = classic_slots(count, (13, 2))
    needed = 48 + (slots // 8 + slots // 128) * 144
    row = classic(count, B, overflow_count=overflow, noverflow=min(overflow, 65_535), overflow_bytes=loose)
    assert [f.rule for f in judge(row | {"needed_bytes": needed})] == rules


def test_large_values_in_a_sparse_map():
    types = (map_type("map[int]main.Big", "int", "main.Big", "int", 8, 128),)
    row = classic(1_000, 15, bucket=1104, overflow_count=200, overflow_bytes=0, needed_bytes=300_000)
    findings = run(context(table(row, types=types)))
    assert [(f.rule, f.part_of) for f in findings] == [("R9", ""), ("R13", "R9")]
    assert findings[1].bytes == ((8 << 15) - 1_000) * (128 - 8), "every empty slot would cost 8 bytes, not 128"
    assert "map[int]*main.Big" in findings[1].advice.code


def test_values_held_by_pointer_already_are_no_large_inline_values():
    types = (map_type("map[int]main.Huge", "int", "main.Huge", "int", 8, 129),)
    row = classic(1_000, 15, overflow_count=200, needed_bytes=300_000)
    assert [f.rule for f in run(context(table(row, types=types)))] == ["R9"]


# --- R16 -------------------------------------------------------------------------------------------------------------


def test_substring_keys_hold_their_buffers():
    keys = StringKeys(keys=1_000, length_bytes=2_400, object_bytes=52_816_000, objects=1_000, excess_bytes=52_800_000)
    (finding,) = judge(classic(1_000, 8, 208, type_index=1), queries=Queries(keys={FIRST: keys}))
    assert (finding.rule, finding.bytes) == ("R16", 52_800_000)
    assert "strings.Clone" in finding.advice.code
    assert finding.evidence["key_length_bytes"] == 2_400


@pytest.mark.parametrize(
    "keys",
    [
        StringKeys(1_000, 2_400, 16_000, 1_000, 0),
        StringKeys(1_000, 60_000, 90_000, 3, 26_000),
        StringKeys(1_000, 40_000_000, 60_000_000, 1, 20_000_000),
        None,
    ],
    ids=["exact copies", "small excess", "the keys are most of the buffer", "unreadable"],
)
def test_keys_of_their_own_size_are_silent(keys):
    queries = Queries(keys={} if keys is None else {FIRST: keys})
    assert judge(classic(1_000, 8, 208, type_index=1), queries=queries) == ()


def test_only_maps_with_string_keys_are_asked_and_the_largest_first():
    queries = Queries()
    rows = [classic(n, 8, 208, type_index=n % 2) for n in range(12_000)]
    judge(*rows, queries=queries)
    assert queries.asked == [FIRST + 0x40 * n for n in range(11_999, 1_999, -2)]


def test_only_the_largest_old_arrays_are_marked_around():
    queries = Queries()
    judge(*[stalled(13_313, 12, 359_952 + n, flags=2) for n in range(40)], queries=queries)
    assert queries.marked == [FIRST + 0x40 * n for n in range(39, 23, -1)]


# --- words -----------------------------------------------------------------------------------------------------------


def test_shape_only_and_unreadable_maps_are_never_exact():
    inferred, cut = judge(EMPTIED_CLASSIC | {"confidence": 1}, EMPTIED_CLASSIC | {"unreadable": 1})
    assert inferred.confidence == cut.confidence == Confidence.INFERRED
    assert "shape of its header" in inferred.why
    assert "lower bound" in cut.why


@pytest.mark.parametrize("name", ["map[string]" + "x" * 5_000, "map[int]\x1b[2Jmain.T", "map[int]a\nb"])
def test_types_that_fit_no_code_are_not_put_into_code(name):
    types = (map_type(name),)
    (finding,) = run(context(table(EMPTIED_CLASSIC, types=types)))
    assert "map[K]V" in finding.advice.code
    assert name not in finding.advice.code


def test_unknown_types_still_get_findings():
    (finding,) = judge(EMPTIED_CLASSIC | {"type_index": -1})
    assert "map[K]V" in finding.advice.code


def test_each_check_alone_agrees_with_run():
    keys = StringKeys(1_000, 2_400, 52_816_000, 1_000, 52_800_000)
    stale = StaleValues(900, 6_000, 6_000_000)
    maps = table(
        stalled(13_313, 12, 359_952, flags=2),
        EMPTIED_CLASSIC,
        classic(100, 18, needed_bytes=4_000),
        swiss(10_000, 1 << 18, tombstones=60_000, needed_bytes=300_000),
        classic(1_000, 8, 208, type_index=1),
        same_size(20_000),
    )
    addresses = maps.columns["address"].tolist()
    asked = context(maps, queries=Queries(stale={addresses[0]: stale}, keys={addresses[4]: keys}))
    alone = {(f.rule, f.subject, f.bytes) for rule in RULES for f in rule.check(asked)}
    assert alone == {(f.rule, f.subject, f.bytes) for f in run(asked)}
    assert {rule for rule, _, _ in alone} == {"R1", "R2", "R3", "R9", "R10", "R12", "R16"}


def test_findings_are_ordered_by_bytes():
    findings = judge(stalled(13_313, 12, 359_952), EMPTIED_CLASSIC, stalled(851_969, 18, 23_014_048))
    assert [f.rule for f in findings] == ["R9", "R1", "R1"]
    assert np.all(np.diff([f.bytes for f in findings]) <= 0)


def test_string_type_is_used_in_the_sketch():
    (finding,) = judge(EMPTIED_CLASSIC | {"type_index": 1})
    assert STRING_KEYS.name in finding.advice.code
