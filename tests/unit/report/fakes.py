"""Tables of maps built from figures measured on real toolchains, and a snapshot made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from mapscope.errors import UsageError
from mapscope.findings import run
from mapscope.findings.context import Context, DeadEntries, StaleValues, StringKeys, SyncMap
from mapscope.findings.model import Finding
from mapscope.goruntime.frames import Goroutine
from mapscope.heap.chains import AllChains, ChainTable, ChainTree
from mapscope.heap.domtree import DominatorTree, LeftOut
from mapscope.heap.holding import Dominator, Held, HeldTable
from mapscope.heap.steps import Step, StepTable
from mapscope.heap.summary import EvidenceInfo, HeapSummary, ProcessInfo, Reconciliation, RuntimeFigures
from mapscope.maps.cells import CellArray
from mapscope.maps.detail import MapDetail, TableDetail
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Generation, Map, MapTable, MapType
from mapscope.table import Coded, Table
from mapscope.units import Addr

CLASSIC, SWISS = int(Generation.CLASSIC), int(Generation.SWISS)

_PARTS = (
    "header_bytes", "array_bytes", "old_array_bytes", "overflow_bytes", "old_overflow_bytes", "extra_bytes",
    "directory_bytes", "table_bytes", "indirect_bytes",
)  # fmt: skip


def map_type(
    name: str = "map[uint64]uint64", key: str = "uint64", elem: str = "uint64", kind: str = "uint64", key_size: int = 8,
    elem_size: int = 8,
) -> MapType:  # fmt: skip
    """A type descriptor; keys and values above 128 bytes are held by pointer."""
    slot_key, slot_elem = (size if size <= 128 else 8 for size in (key_size, elem_size))
    return MapType(
        address=Addr(0x4A0000), name=name, key=key, elem=elem, key_kind=kind, elem_kind="uint64", key_size=key_size,
        elem_size=elem_size, key_indirect=key_size > 128, elem_indirect=elem_size > 128, slot_key_size=slot_key,
        slot_elem_size=slot_elem, bucket_size=8 + 8 * (slot_key + slot_elem) + 8,
    )  # fmt: skip


STRING_KEYS = map_type("map[string]*main.Rec", "string", "*main.Rec", "string", 16, 8)


def table(*rows: dict[str, int], types: tuple[MapType, ...] = (map_type(), STRING_KEYS)) -> MapTable:
    """A table of ``rows``. Left out: addresses ascend, the type is 0, total and waste follow from the parts."""
    built = MapTable.empty(len(rows), types)
    built.columns["type_index"][:] = 0
    for index, row in enumerate(rows):
        row = {"address": 0xC000010000 + 0x40 * index} | row
        row.setdefault("total_bytes", sum(row.get(part, 0) for part in _PARTS))
        row.setdefault("needed_bytes", row["total_bytes"])
        row.setdefault("waste_bytes", max(0, row["total_bytes"] - row["needed_bytes"]))
        for name, value in row.items():
            built.columns[name][index] = value
    return built


def page_round(size: int) -> int:
    """Size of the heap slot of a large object: whole 8 KiB pages."""
    return -(-size // 8192) * 8192 if size > 32768 else size


def classic(count: int, B: int, bucket: int = 144, **more: int) -> dict[str, int]:
    """A classic map that is not growing; array as ``makeBucketArray`` allocates it."""
    prealloc = 1 << (B - 4) if B >= 4 else 0
    return {
        "generation": CLASSIC, "count": count, "B": B, "capacity": 8 << B, "header_bytes": 48, "buckets": 0xC000400000,
        "array_bytes": page_round(((1 << B) + prealloc) * bucket), "prealloc_overflow": prealloc,
    } | more  # fmt: skip


def stalled(count: int, B: int, pinned: int, bucket: int = 144, flags: int = 0, **more: int) -> dict[str, int]:
    """A classic map in a doubling growth whose old array and old overflow buckets take ``pinned`` bytes."""
    old = page_round(((1 << B - 1) + (1 << B - 5)) * bucket)
    row = classic(count, B, bucket)
    needed = row["array_bytes"] + row["header_bytes"]
    return row | {
        "flags": flags, "oldbuckets": 0xC000800000, "noldbuckets": 1 << B - 1, "nevacuate": 7, "old_evacuated": 9,
        "old_array_bytes": old, "old_overflow_bytes": pinned - old, "needed_bytes": needed,
    } | more  # fmt: skip


def swiss(count: int, capacity: int, slot: int = 16, **more: int) -> dict[str, int]:
    """A Swiss map of full-size tables."""
    tables = max(capacity // 1024, 1)
    return {
        "generation": SWISS, "count": count, "capacity": capacity, "groups": capacity // 8, "tables": tables,
        "dirLen": tables, "dirPtr": 0xC000400000, "globalDepth": tables.bit_length() - 1, "globalShift": 64,
        "seed": 0xFEDCBA9876543210, "header_bytes": 48, "array_bytes": capacity // 8 * (8 + 8 * slot),
        "table_bytes": 32 * tables, "directory_bytes": 8 * tables,
    } | more  # fmt: skip


@dataclass
class Queries:
    """Answers by address of the map."""

    stale: dict[int, StaleValues] = field(default_factory=dict)
    keys: dict[int, StringKeys] = field(default_factory=dict)
    dead: dict[int, DeadEntries] = field(default_factory=dict)
    sync_maps: tuple[SyncMap, ...] = ()
    asked: list[int] = field(default_factory=list)
    marked: list[int] = field(default_factory=list)

    def stale_values(self, found: Map) -> StaleValues | None:
        self.marked.append(found.address)
        return self.stale.get(found.address)

    def string_keys(self, maps: MapTable, rows: np.ndarray) -> list[StringKeys | None]:
        addresses = maps.columns["address"][rows].tolist()
        self.asked += addresses
        return [self.keys.get(address) for address in addresses]

    def in_sync_map(self, address: int) -> bool:
        return any(address in (one.read, one.dirty) for one in self.sync_maps)

    def dead_entries(self, one: SyncMap, least_share: float) -> DeadEntries | None:
        self.marked.append(one.read)
        found = self.dead.get(one.read)
        return found if found is not None and found.dead >= least_share * found.entries else None


def context(maps: MapTable, release: tuple[int, int] = (1, 23), queries: Queries | None = None) -> Context:
    """What a rule gets."""
    return Context(maps=maps, go_release=release, heap_live_bytes=1 << 40, queries=queries or Queries())


def judge(
    *rows: dict[str, int], release: tuple[int, int] = (1, 23), queries: Queries | None = None
) -> tuple[Finding, ...]:
    """The findings on a table of ``rows``."""
    return run(context(table(*rows), release, queries))


RECONCILIATION = Reconciliation(
    rss_bytes=300_000_000, live_bytes=220_000_000, dead_bytes=30_000_000, free_span_bytes=20_000_000,
    stack_bytes=4_000_000, runtime_bytes=16_000_000, outside_go_bytes=8_000_000, unexplained_bytes=2_000_000,
)  # fmt: skip
FIGURES = RuntimeFigures(
    heap_alloc_bytes=221_000_000, heap_objects=1_200_000, heap_inuse_bytes=250_000_000, heap_sys_bytes=270_000_000,
    heap_released_bytes=0, stack_inuse_bytes=4_000_000, other_sys_bytes=16_000_000, num_gc=17,
    heap_marked_bytes=219_000_000,
)  # fmt: skip

DOMINATING = Step("object", 0xC000010000, "main.Service", None, None)


@dataclass
class FakeSnapshot:
    """The attributes of a snapshot, without any evidence behind them."""

    maps: MapTable
    release: tuple[int, int] = (1, 23)
    queries: Queries = field(default_factory=Queries)
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    path: str = "/tmp/core.4242"
    executable: str | None = "/srv/service"
    found_by: str = "NT_FILE"
    stripped: bool = False
    runtime: RuntimeFigures | None = FIGURES
    who: dict[int, Held] = field(default_factory=dict)
    suspects: tuple[Dominator, ...] = ()
    iterators: tuple[MapIterator, ...] = ()
    goroutines: tuple[Goroutine, ...] = ()
    resident_live: int = RECONCILIATION.live_bytes
    kind: str = "core"
    dominating: Step = DOMINATING

    @property
    def evidence(self) -> EvidenceInfo:
        return EvidenceInfo(
            path=self.path, kind=self.kind, size_bytes=310_000_000, executable=self.executable,
            executable_found_by=self.found_by, build_id="ab" * 20, missing=self.missing, warnings=self.warnings,
        )  # fmt: skip

    @property
    def process(self) -> ProcessInfo:
        return ProcessInfo(
            go_version="go{}.{}.9".format(*self.release), arch="amd64", pid=4242, stripped=self.stripped,
            has_dwarf=not self.stripped,
        )  # fmt: skip

    @property
    def heap(self) -> HeapSummary:
        return HeapSummary(
            live_bytes=220_000_000, live_objects=1_190_000, dead_bytes=30_000_000, dead_objects=90_000,
            runtime=self.runtime,
            reconciliation=replace(RECONCILIATION, live_bytes=self.resident_live) if self.kind == "core" else None,
        )  # fmt: skip

    @property
    def findings(self) -> tuple[Finding, ...]:
        return run(replace(context(self.maps, self.release, self.queries), iterators=self.iterators))

    def held(self, addresses: Sequence[int]) -> list[Held | None]:
        return [self.who.get(address) for address in addresses]

    def maps_by_goroutine(self) -> dict[int, tuple[int, int]]:
        return {}

    def prepare(self, addresses: np.ndarray) -> bool:
        return False

    def holders(self, addresses: np.ndarray) -> HeldTable:
        rows = self.held(addresses.tolist())
        chains = [one.chain if one else () for one in rows]
        ends = np.cumsum([0, *map(len, chains)])
        steps = StepTable.of([step for chain in chains for step in chain])
        above = [one.dominator if one else None for one in rows]
        over = StepTable.of([step for step in above if step])
        codes = np.cumsum([step is not None for step in above]) - 1
        return HeldTable(
            np.array([one is not None for one in rows], dtype=np.bool_),
            ChainTable(steps, np.arange(len(steps), dtype=np.int32), np.stack([ends[:-1], ends[1:]], axis=1)),
            np.array([one.retained if one else 0 for one in rows], dtype=np.uint64),
            over,
            np.where([step is not None for step in above], codes, -1).astype(np.int32),
        )

    def holder(self, address: int) -> Held:
        if address not in self.who:
            raise UsageError(f"nothing lies at 0x{address:x}", "mapscope maps lists maps")
        return self.who[address]

    def chains(self, address: int) -> AllChains:
        held = self.holder(address)
        tree = ChainTree(held.chain[0], 1, 0, 0, (ChainTree(held.chain[-1], 1, 1, 48, ()),))
        return AllChains(held.chain, (tree,), 1, 0, 1, 1)

    def cells(self, address: int) -> tuple[CellArray, ...]:
        entries, none = np.array([8, 0, 3, 1]), np.zeros(4, dtype=np.int64)
        return (CellArray("buckets", 4, 1, entries, none, none > 0, True),)

    def dominator_tree(self, most: int) -> DominatorTree:
        sizes = np.array([150_000_000, 100_000_000], dtype=np.uint64)
        steps = StepTable.of([self.dominating, self.dominating])
        own, left = np.array([48, 96], dtype=np.uint64), np.array([3, 0])
        few = LeftOut(np.array([0]), np.array([0]), ("main.Rec",), np.array([2]), own[:1])
        return DominatorTree(np.array([-1, 0]), steps, sizes, own, left, own, 220_000_000, 7, 70_000_000, few)

    def type_sums(self) -> Table:
        names = Coded.of([kind.name for kind in self.maps.types] or ["int"])
        count = np.arange(1, len(names.codes) + 1, dtype=np.uint64)
        return Table("types", {"type": names, "kind": Coded.of(["map"] * len(count)), "objects": count, "bytes": count})

    def dominators(self, top: int = 20) -> list[Dominator]:
        return list(self.suspects[:top])

    def detail(self, address: int, *, contents: bool = False) -> MapDetail:
        found = self.maps.at(address)
        if found is None:
            raise UsageError(f"there is no map at 0x{address:x}", "mapscope maps lists them")
        tables = (TableDetail(0xC000900000, 700, 1024, 196, 3, 0, 0),) if found.is_swiss else ()
        return MapDetail(
            map=found, occupancy=(10, 20, 40, 80, 40, 20, 10, 5, 1),
            chain_lengths=() if found.is_swiss else (200, 25, 1),
            tables=tables, key_kinds={"string": 90, "int": 10}, elem_kinds={"ptr": 100},
            how_found="reached from main.cache through its type",
        )  # fmt: skip


def sample(path: str = "/tmp/core.4242") -> FakeSnapshot:
    """One of each: a stalled growth, a sparse map, a tidy map, a map without a type, substring keys."""
    maps = table(
        stalled(851_969, 18, 23_014_048, flags=3),
        classic(10_486, 18, overflow_count=900, noverflow=112, overflow_bytes=900 * 144, needed_bytes=320_000),
        classic(6, 0),
        classic(40_000, 13, type_index=-1, confidence=1),
        classic(1_000, 8, 208, type_index=1),
    )
    keys = StringKeys(keys=1_000, length_bytes=2_400, object_bytes=52_816_000, objects=1_000, excess_bytes=52_800_000)
    return FakeSnapshot(maps, queries=Queries(keys={int(maps.columns["address"][4]): keys}), path=path)


def swiss_sample() -> FakeSnapshot:
    """The maps of a newer release: emptied, churned, tidy, small, presized."""
    maps = table(
        swiss(10_486, 1 << 21, tombstones=60_000, growth_left=1_764_000, needed_bytes=300_000),
        swiss(100_000, 1 << 19, tombstones=120_000, needed_bytes=2_300_000),
        swiss(100_000, 1 << 17, needed_bytes=2_300_000),
        swiss(5, 8, groups=1, tables=0, dirLen=0, table_bytes=0, directory_bytes=0),
        swiss(0, 1 << 20, needed_bytes=48),
    )
    return FakeSnapshot(maps, release=(1, 24))


def rows_of(maps: MapTable) -> np.ndarray:
    """Every row."""
    return np.arange(len(maps))
