"""Two snapshots held against each other: which maps grew, came and went, and what a second look says of the findings.

Maps of one process are the same when header address, type, generation and seed agree, or the way that leads to them in
place of the seed: a slot can be used again by another map. All others are matched by the way that leads to them, a
chain without addresses and element numbers, and by type; several maps of one chain and type are one group, whose sums
are compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.findings import twice
from mapscope.findings.columns import Ints
from mapscope.findings.model import Finding
from mapscope.goruntime.identity import Identity
from mapscope.heap.holding import Held
from mapscope.heap.steps import Step
from mapscope.heap.summary import EvidenceInfo, HeapSummary, ProcessInfo
from mapscope.maps.model import Generation, MapTable

_LARGEST = np.uint64(2**42)
"""Sums of two million columns of it do not wrap; no map is that large."""
_CHUNK = 4096
_INDEX = re.compile(r"\[\d+\]")
_GOROUTINE = re.compile(r"^goroutine \d+| \([^()]*:\d+\)")
_PLACE = re.compile(r"^(\w+)\+0x[0-9a-f]+")
_HEADERS = ("hmap<", "maps.Map<")
_INSIDE = frozenset({"bucket", "[]bucket", "group", "[]group", "table", "*table", "[]*table", "[]table"})


class Side(Protocol):
    """What is needed of each snapshot; ``mapscope.Snapshot`` has it."""

    @property
    def identity(self) -> Identity:
        """Which process and program it shows."""

    @property
    def evidence(self) -> EvidenceInfo:
        """What was handed in."""

    @property
    def process(self) -> ProcessInfo:
        """The process that it shows."""

    @property
    def heap(self) -> HeapSummary:
        """The heap in sums."""

    @property
    def maps(self) -> MapTable:
        """Every map."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the rules say of it alone."""

    def held(self, addresses: Sequence[int]) -> Sequence[Held | None]:
        """Who holds the map at each address; None where it is not known."""


class Relation(Struct, frozen=True):
    """What the two snapshots are of."""

    same_process: bool
    same_build: bool
    same_program: bool
    """Both executables have the same main package, as far as that is known."""
    same_evidence: bool
    """One file was given twice: nothing can have happened between the two."""
    collections: int | None
    """Garbage collections between the two of one process; None where that is not known."""

    @classmethod
    def of(cls, old: Side, new: Side) -> Relation:
        """The relation of two snapshots."""
        before, after = old.identity, new.identity
        same = before.same_process(after)
        apart = None
        if same and old.heap.runtime is not None and new.heap.runtime is not None:
            apart = new.heap.runtime.num_gc - old.heap.runtime.num_gc
        return cls(
            same_process=same and (apart is None or apart >= 0),
            same_build=before.same_build(after),
            same_program=before.program == after.program or not (before.program and after.program),
            same_evidence=_same_file(old.evidence.path, new.evidence.path),
            collections=apart,
        )


class Amounts(Struct, frozen=True):
    """Sums over maps. ``bytes`` are whole heap slots; ``waste`` is what is beyond make(map, count)."""

    maps: int
    entries: int
    bytes: int
    waste: int


class Matches(Struct, frozen=True):
    """One element for each match: a map in both, a group of them, or what has no partner.

    ``then`` and ``now`` hold the sums by name (``maps``, ``entries``, ``bytes``, ``waste``); ``row_then`` and
    ``row_now`` the row of the largest map in each table, -1 where there is none. Matches below ``pairs`` are single
    maps with the same header address.
    """

    of_old: Ints
    """Match of each row of the older table."""
    of_new: Ints
    pairs: int
    then: dict[str, Ints]
    now: dict[str, Ints]
    row_then: Ints
    row_now: Ints

    def __len__(self) -> int:
        return len(self.row_then)

    def change(self, name: str) -> Ints:
        """Now less then, by match."""
        return np.asarray(self.now[name] - self.then[name])

    def partner(self, row: int) -> int:
        """Row of the older table with the map of ``row`` of the newer one, by address; -1 where there is none."""
        match = int(self.of_new[row])
        return int(self.row_then[match]) if match < self.pairs else -1

    def lists(self) -> dict[str, Ints]:
        """Matches by what became of them, the largest change first: ``grown``, ``shrunk``, ``new``, ``gone``."""
        both = (self.row_then >= 0) & (self.row_now >= 0)
        size, entries = self.change("bytes"), self.change("entries")
        up = (size > 0) | ((size == 0) & (entries > 0))
        down = (size < 0) | ((size == 0) & (entries < 0))
        chosen = {
            "grown": both & up,
            "shrunk": both & down,
            "new": self.row_then < 0,
            "gone": self.row_now < 0,
        }
        out = {}
        for name, mask in chosen.items():
            rows = np.flatnonzero(mask).astype(np.int64)
            out[name] = rows[np.lexsort((rows, -np.abs(entries[rows]), -np.abs(size[rows])))]
        return out


def amounts(sums: dict[str, Ints], chosen: Ints | None = None) -> Amounts:
    """The sums of ``chosen`` matches, or of all, exact."""
    picked = [column if chosen is None else column[chosen] for column in sums.values()]
    named = dict(zip(sums, (int(column.sum()) for column in picked), strict=True))
    return Amounts(named["maps"], named["entries"], named["bytes"], named["waste"])


def match(old: Side, new: Side, relation: Relation) -> Matches:
    """Matches the maps of two snapshots."""
    ids: dict[str, int] = {}
    types_old, types_new = _type_ids(old.maps, ids), _type_ids(new.maps, ids)
    of_old, of_new = np.full(len(old.maps), -1, np.int64), np.full(len(new.maps), -1, np.int64)
    pairs = 0
    if relation.same_process:
        at_old, at_new, sure = _by_address(old.maps, new.maps, types_old, types_new)
        sure |= _same_chains(old, new, at_old, at_new, ~sure, relation.same_build)
        at_old, at_new = at_old[sure], at_new[sure]
        pairs = len(at_old)
        of_old[at_old] = of_new[at_new] = np.arange(pairs)
    keys: dict[tuple[str, int], int] = {}
    for side, of, types in ((old, of_old, types_old), (new, of_new, types_new)):
        rows = np.flatnonzero(of < 0)
        of[rows] = _by_chain(side, rows, types[rows], keys, relation.same_build)
        of[rows] += pairs
    total = pairs + len(keys)
    then, row_then = _sums(old.maps, of_old, total)
    now, row_now = _sums(new.maps, of_new, total)
    return Matches(of_old, of_new, pairs, then, now, row_then, row_now)


def where(chain: Iterable[Step], *, same_build: bool = True) -> str:
    """A chain to a map as text that stays the same from snapshot to snapshot; the map itself is left out.

    No addresses, element numbers, numbers of goroutines and lines; repeated steps (a list, a tree) count once, and the
    arrays within a map that is passed on the way are left out, as they change with its size. ``same_build``: places in
    the data section without a name can be compared.
    """
    words: list[str] = []
    for step in tuple(chain)[:-1]:
        word = _word(step.kind, step.name or "", step.type or "", step.field or "", same_build)
        if word and (not words or words[-1] != word):
            words.append(word)
    return "\n".join(words)


@lru_cache(maxsize=1 << 16)
def _word(kind: str, name: str, type_: str, field: str, same_build: bool) -> str:
    """What stays the same of a step; empty for arrays within a map."""
    if kind == "object" and type_.split("<", 1)[0] in _INSIDE:
        return ""
    field = _INDEX.sub("[*]", field)
    if type_.startswith(_HEADERS):
        type_, field = "map<" + type_.split("<", 1)[1], ""
    if kind == "goroutine":
        name = _GOROUTINE.sub("", name)
    elif kind == "global" and not same_build:
        name = _PLACE.sub(r"\1", name)
    elif kind == "skipped":
        name = ""
    return "\0".join((kind, name, type_, field))


def _type_ids(maps: MapTable, ids: dict[str, int]) -> Ints:
    """Number of each row's type, the same for types of one name in both tables; -1 where it is not known."""
    numbers = [ids.setdefault(one.name, len(ids)) for one in maps.types]
    return np.asarray(np.array([*numbers, -1], dtype=np.int64)[maps.columns["type_index"]])


def _by_address(
    old: MapTable, new: MapTable, types_old: Ints, types_new: Ints
) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Rows of one header address whose type, where both know it, and generation agree; and whether the seed does.

    A seed is drawn for each map, and anew when a map becomes empty (runtime/map.go: mapclear, mapdelete;
    internal/runtime/maps: Map.Clear, Delete). Another seed is a map that was emptied, or one in a slot used again.
    """
    _, at_old, at_new = np.intersect1d(old.columns["address"], new.columns["address"], return_indices=True)
    here, there = types_old[at_old], types_new[at_new]
    same = (here == there) | (here < 0) | (there < 0)
    same &= old.columns["generation"][at_old] == new.columns["generation"][at_new]
    at_old, at_new = at_old[same].astype(np.int64), at_new[same].astype(np.int64)
    seeds = [
        np.where(one.columns["generation"] == Generation.SWISS, one.columns["seed"], one.columns["hash0"])
        for one in (old, new)
    ]
    return at_old, at_new, np.asarray(seeds[0][at_old] == seeds[1][at_new])


def _same_chains(
    old: Side, new: Side, at_old: Ints, at_new: Ints, doubted: npt.NDArray[np.bool_], same_build: bool
) -> npt.NDArray[np.bool_]:
    """Which of the ``doubted`` pairs are held in the same way in both snapshots."""
    out = np.zeros(len(at_old), np.bool_)
    rows = np.flatnonzero(doubted)
    held = [side.held(side.maps.columns["address"][at[rows]].tolist()) for side, at in ((old, at_old), (new, at_new))]
    for row, before, after in zip(rows.tolist(), *held, strict=True):
        if before is not None and after is not None:
            out[row] = where(before.chain, same_build=same_build) == where(after.chain, same_build=same_build)
    return out


def _by_chain(
    side: Side, rows: npt.NDArray[np.int64], types: Ints, keys: dict[tuple[str, int], int], same_build: bool
) -> Ints:
    """Number of the group of each row; ``keys`` is shared by both sides."""
    out = np.empty(len(rows), dtype=np.int64)
    addresses = side.maps.columns["address"][rows]
    for start in range(0, len(rows), _CHUNK):
        end = min(start + _CHUNK, len(rows))
        held = side.held(addresses[start:end].tolist())
        out[start:end] = [
            keys.setdefault(("" if one is None else where(one.chain, same_build=same_build), kind), len(keys))
            for one, kind in zip(held, types[start:end].tolist(), strict=True)
        ]
    return out


def _sums(maps: MapTable, of: Ints, total: int) -> tuple[dict[str, Ints], Ints]:
    """Sums by match, and the row of the largest map of each."""
    names = {"entries": "count", "bytes": "total_bytes", "waste": "waste_bytes"}
    sums = {"maps": np.bincount(of, minlength=total).astype(np.int64)}
    for name, column in names.items():
        sums[name] = np.zeros(total, np.int64)
        np.add.at(sums[name], of, np.minimum(maps.columns[column].astype(np.uint64), _LARGEST).astype(np.int64))
    largest = np.full(total, -1, np.int64)
    order = np.argsort(maps.columns["total_bytes"], kind="stable")
    largest[of[order]] = order  # of equal places the last, which is the largest, stays
    return sums, largest


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


class FindingChange(Struct, frozen=True):
    """What became of a finding, or of all findings of one rule on one match."""

    status: str
    """``new``, ``unchanged`` (it stays; its bytes may differ), ``in progress`` (no finding: a growth that moves on) or
    ``gone``."""
    finding: Finding
    """As the newer snapshot has it, judged with both; of one that is gone, as the older had it."""
    bytes_then: int
    bytes_now: int
    maps_then: int
    maps_now: int


class Diff(Struct, frozen=True):
    """Two snapshots held against each other. Make it with :func:`compare`."""

    old: Side
    new: Side
    relation: Relation
    matches: Matches
    findings: tuple[FindingChange, ...]
    """New ones first, then those that stay, are in progress, are gone; each by bytes."""

    @property
    def failing(self) -> frozenset[str]:
        """Rules with findings that are new or stay."""
        return frozenset(one.finding.rule for one in self.findings if one.status in ("new", "unchanged"))


STATUS = ("new", "unchanged", "in progress", "gone")
"""What can become of a finding, in the order of the report."""
_Key = tuple[str, str, int | str]


def compare(old: Side, new: Side) -> Diff:
    """Holds two snapshots against each other. Raises no error of its own: different programs compare by chain."""
    relation = Relation.of(old, new)
    matches = match(old, new, relation)
    return Diff(old, new, relation, matches, tuple(_findings(old, new, relation, matches)))


def _findings(old: Side, new: Side, relation: Relation, matches: Matches) -> list[FindingChange]:
    before = _by_key(old, matches.of_old, old.findings, relation)
    after = _by_key(new, matches.of_new, new.findings, relation)
    out = []
    for key, found in after.items():
        known = before.get(key, ())
        status = "unchanged" if known else "new"
        chosen = found[0]
        if relation.same_process and not relation.same_evidence:
            second = [_again(one, old, new, matches, bool(known), relation) for one in found]
            if all(one.in_progress for one in second):
                status = "in progress"
            chosen = second[0].finding
        out.append(_change(status, chosen, known, found))
    out += [_change("gone", found[0], found, ()) for key, found in before.items() if key not in after]
    return sorted(
        out, key=lambda one: (STATUS.index(one.status), -max(one.bytes_now, one.bytes_then), one.finding.subject)
    )


def _by_key(side: Side, of: Ints, findings: Iterable[Finding], relation: Relation) -> dict[_Key, list[Finding]]:
    """Findings by what makes them the same in the other snapshot, the largest of each first."""
    out: dict[_Key, list[Finding]] = {}
    for finding in findings:
        found = side.maps.at(finding.subject)
        key: _Key
        if found is None:
            key = (finding.rule, "at", int(finding.subject) if relation.same_process else finding.title)
        elif finding.maps > 1:
            key = (finding.rule, "type", found.type_name or "")
        else:
            key = (finding.rule, "map", int(of[found.row]))
        out.setdefault(key, []).append(finding)
    for group in out.values():
        group.sort(key=lambda one: -one.bytes)
    return out


def _again(finding: Finding, old: Side, new: Side, matches: Matches, known: bool, relation: Relation) -> twice.Twice:
    after = new.maps.at(finding.subject)
    if after is None:
        return twice.Twice(finding)
    apart = ""
    if relation.collections:
        count = relation.collections
        apart = f", {count:,} garbage collection{'' if count == 1 else 's'} apart"
    if finding.maps > 1:
        row = np.where(matches.of_new < matches.pairs, matches.row_then[matches.of_new], -1)
        return twice.judge_group(finding, old.maps, new.maps, row, apart)
    partner = matches.partner(after.row)
    return twice.judge(finding, old.maps[partner] if partner >= 0 else None, after, known, apart)


def _change(status: str, chosen: Finding, then: Sequence[Finding], now: Sequence[Finding]) -> FindingChange:
    return FindingChange(
        status=status,
        finding=chosen,
        bytes_then=sum(one.bytes for one in then),
        bytes_now=sum(one.bytes for one in now),
        maps_then=sum(one.maps for one in then),
        maps_now=sum(one.maps for one in now),
    )
