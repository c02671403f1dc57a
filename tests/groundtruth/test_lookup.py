"""What lies at an address, and of which map it is a part, against a walk through the memory."""

from __future__ import annotations

import functools
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapscope.errors import UsageError
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow]

VARIANTS = [Variant("1.22"), Variant("1.26"), Variant("1.23", "stripped"), Variant("1.27", "stripped")]
_PARTS = 1200


@dataclass(frozen=True)
class Seen:
    truth: dict[str, Any]
    snapshot: Snapshot


@functools.lru_cache(maxsize=2)
def observe(program: str, variant: Variant) -> Seen:
    executable = harness.build(program, variant)
    with tempfile.TemporaryDirectory(prefix="lookup-") as name:
        folder = Path(name)
        with harness.running(executable, folder=folder) as process:
            core = harness.take_core(process, variant.evidence, folder)
        return Seen(process.truth, open_snapshot(core, executable))


def parts_of(snapshot: Snapshot, row: int) -> dict[int, str]:
    """Addresses of the parts of one map, read word by word from its header on."""
    maps, memory, found = snapshot._maps, snapshot._process.memory, snapshot.maps[row]
    fields = maps.shapes[int(maps.shape_of[row])].fields
    out: dict[int, str] = {}
    if found.is_swiss:
        if not found.dirLen:
            return {found.dirPtr: "groups"} if found.dirPtr else {}
        out[found.dirPtr] = "directory"
        groups = snapshot._process.layouts.struct("table").offset("groups.data")
        for entry in range(min(found.dirLen, 64)):
            table = memory.word(found.dirPtr + 8 * entry)
            out[table] = "table"
            out[memory.word(table + groups)] = "groups"
        return out
    old = found.B if found.same_size_growth else found.B - 1
    for base, bits, name in ((found.buckets, found.B, "buckets"), (found.oldbuckets, old, "old buckets")):
        if not base:
            continue
        out[base] = name
        slot = snapshot.lookup(base)
        end = slot.start + slot.size  # overflow buckets that were made beforehand lie behind the array, in its slot
        for number in range(min(1 << bits, 512)):
            bucket = base + number * fields.bucket_size
            for _ in range(64):
                bucket = memory.word(bucket + fields.overflow_offset)
                if not bucket:
                    break
                if not base <= bucket < end:
                    out.setdefault(bucket, "overflow buckets")
    if found.extra:
        out[found.extra] = "extra"
    return out


@pytest.mark.parametrize("variant", VARIANTS[:3], ids=str)
def test_every_part_is_of_its_map(variant: Variant):
    snapshot = observe("maptypes", variant).snapshot
    rng = random.Random(1)
    rows = [row for row in range(len(snapshot.maps)) if snapshot._maps.shape_of[row] >= 0]
    rng.shuffle(rows)
    seen: dict[str, int] = {}
    for row in rows:
        parts = list(parts_of(snapshot, row).items())
        for address, part in rng.sample(parts, min(len(parts), 12)):
            spot = snapshot.lookup(address)
            owner = snapshot.owner(spot)
            found = snapshot.maps[row]
            assert spot.kind == "object", (hex(address), part)
            assert owner is not None, (hex(address), part, found.type_name)
            assert (owner.map.address, owner.part) == (found.address, part)
            inside = snapshot.owner(snapshot.lookup(address + 1))
            assert inside is not None
            assert inside.part == part
            seen[part] = seen.get(part, 0) + 1
        if sum(seen.values()) > _PARTS:
            break
    wanted = {"directory", "table", "groups"} if variant.swiss else {"buckets", "overflow buckets", "extra"}
    assert set(seen) >= wanted
    assert all(seen[part] > 10 for part in wanted)


@pytest.mark.parametrize("variant", [Variant("1.19", "stripped"), Variant("1.23", "stripped")], ids=str)
def test_every_part_of_maps_whose_type_is_not_known(variant: Variant):
    """Their buckets have no type either."""
    snapshot = observe("maptypes", variant).snapshot
    rows = [row for row in range(len(snapshot.maps)) if snapshot._maps.shape_of[row] >= 0]
    untyped = [row for row in rows if snapshot.maps[row].type_name is None]
    assert len(untyped) > 10
    for row in untyped:
        for address, part in parts_of(snapshot, row).items():
            owner = snapshot.owner(snapshot.lookup(address))
            assert owner is not None, (hex(address), part)
            assert (owner.map.address, owner.part) == (snapshot.maps[row].address, part)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_headers_and_what_maps_hold(variant: Variant):
    """A header is a part of its map; a value that a map points to is none."""
    seen = observe("holding", variant)
    snapshot, cases = seen.snapshot, seen.truth["cases"]
    for name in ("direct", "field", "nested"):
        owner = snapshot.owner(snapshot.lookup(cases[name]))
        assert owner is not None
        assert (owner.map.address, owner.part) == (cases[name], "header")
    assert snapshot.owner(snapshot.lookup(cases["object"])) is None
    outer = snapshot.chain(cases["nested"])
    assert [step.kind for step in outer] == ["global", "object", "object", "object"]
    values = [at for at in _pointees(snapshot, cases["direct"]) if snapshot.lookup(at).size == 512]
    assert len(values) >= 8
    assert all(snapshot.owner(snapshot.lookup(at)) is None for at in values[:4])


def _pointees(snapshot: Snapshot, header: int) -> list[int]:
    """What the words of the first parts of a map's arrays point to, where that is in the heap."""
    out = []
    for part in list(parts_of(snapshot, snapshot.maps.at(header).row)):
        spot = snapshot.lookup(part)
        words = snapshot._process.memory.words(spot.start, min(spot.size, 4096) // 8)
        out += [word for word in words.tolist() if snapshot.lookup(word).kind == "object"]
    return out


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_kinds_of_places(variant: Variant):
    seen = observe("holding", variant)
    snapshot, server = seen.snapshot, seen.truth["cases"]["object"]
    inside = snapshot.lookup(server + 24)
    assert (inside.kind, inside.start, inside.size) == ("object", server, 32)
    if not variant.stripped:
        assert (inside.type, inside.field) == ("main.server", ".other")
    root = snapshot.chain(server)[0]
    variable = snapshot.lookup(root.address)
    assert (variable.kind, variable.start, variable.name) == ("variable", root.address, root.name)
    holder = next(one for one in snapshot.goroutines if any(f.function == "main.hold" for f in one.frames))
    frame = next(frame for frame in holder.frames if frame.function == "main.hold")
    stack = snapshot.lookup(frame.sp)
    assert stack.kind == "stack"
    assert f"goroutine {holder.id} in main.hold" in (stack.name or "")
    code = snapshot.lookup(frame.pc)
    assert (code.kind, code.name) == ("code", "main.hold")
    kind = next(one.type for one in snapshot.maps if one.type is not None)
    described = snapshot.lookup(kind.address)
    assert (described.kind, described.name) == ("types", kind.name)
    for nowhere in (0, 8, 2**63, 2**64 - 1):
        assert snapshot.lookup(nowhere).kind == "nothing"
    for wrong in (-1, 2**64):
        with pytest.raises(UsageError):
            snapshot.lookup(wrong)


@pytest.mark.parametrize("variant", VARIANTS[1:2], ids=str)
def test_slots_of_random_addresses(variant: Variant):
    """Every address of a span is of the slot that division gives; what the marks say of it is its kind."""
    snapshot = observe("maptypes", variant).snapshot
    spans, flags = snapshot._heap.index.spans, snapshot._heap.state.flags
    rng = random.Random(2)
    kinds = set()
    lost = np.flatnonzero(flags & 2)[::3]  # the program has collected its garbage: some is made
    flags[lost] &= np.uint8(0xFD)
    for _ in range(3000):
        span = spans[rng.randrange(len(spans))]
        base, size = int(span["base"]), int(span["elemsize"])
        address = base + rng.randrange(int(span["bytes"]))
        number = (address - base) // size
        spot = snapshot.lookup(address)
        assert spot.span is not None
        assert (spot.span.address, spot.span.slot_bytes) == (base, size)
        if number >= int(span["nelems"]):
            assert spot.kind == "span"
        else:
            flag = int(flags[int(span["first"]) + number])
            assert spot.kind == ("free" if not flag & 1 else "object" if flag & 2 else "garbage")
            assert (spot.start, spot.size) == (base + number * size, size)
        kinds.add(spot.kind)
    flags[lost] |= np.uint8(2)
    assert kinds >= {"object", "garbage", "free"}


def test_a_branch_is_the_tree_below_a_node():
    """Against the array of immediate dominators, child by child."""
    snapshot = observe("holding", VARIANTS[1]).snapshot
    holding = snapshot.holding
    idom, retained = holding.dominators.idom, holding.dominators.retained
    work, seen = [0], 0
    while work and seen < 60:
        node = work.pop(0)
        children = [int(one) for one in np.flatnonzero(idom == node) if one]
        children.sort(key=lambda one: (-int(retained[one]), one))
        branch = holding.branch(node, 5)
        assert [row[0] for row in branch.rows] == children[:5]
        assert [row[2] for row in branch.rows] == [int(retained[one]) for one in children[:5]]
        assert branch.children == len(children)
        assert branch.rest == sum(int(retained[one]) for one in children[5:])
        assert branch.retained == branch.shallow + sum(int(retained[one]) for one in children)
        for at, _, kept, own, below in branch.rows:
            assert below == bool(kept > own) == bool(len(np.flatnonzero(idom == at)))
            work.append(at)
        seen += 1
    for wrong in (-1, len(holding.graph)):
        with pytest.raises(UsageError):
            holding.branch(wrong, 5)
