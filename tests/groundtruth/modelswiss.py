"""The model of the Swiss map beside the program: Map, directory, tables, every group, Iter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mapscope.lab.model.maptype import MapType
from mapscope.lab.model.releases import SwissSettings
from mapscope.lab.model.swiss import SwissMap
from mapscope.lab.model.swissiter import Iter
from mapscope.lab.model.swissstate import (
    GroupState,
    IterState,
    SwissHeader,
    TableHeader,
    header_of,
    iterator_state_of,
)
from tests.groundtruth.modelreplay import NONE, Replay, numbers, some

SIGN = 1 << 63


class SwissReplay(Replay[SwissMap]):
    """A Swiss map. Tables are numbered in the order in which the directory comes to name them: on both sides, as the
    program does not see a table that is split again within the operation that made it."""

    def __init__(self, family: SwissSettings) -> None:
        super().__init__()
        self.family = family
        self.seen: dict[int, int] = {}
        """The number by discovery, by the model's own number."""

    def make(self, t: MapType, hint: int | None) -> SwissMap:
        return SwissMap(t, self.family, self.hasher, self.draws.popleft, hint)

    def seed(self) -> int:
        return self.map.seed

    def seed_said(self, header: list[int]) -> int:
        return header[1]

    def drawn(self, said: dict[str, Any]) -> list[int]:
        """``entryOffset`` and ``dirOffset``. The first step has moved this to the first place of its table: any other
        place of the table must come to the same, and the model gets the last."""
        begun, entry, offset = said["iter"][:3]
        if begun and self.map.directory:
            table = self.map.directory[offset & (len(self.map.directory) - 1)]
            places = 1 << (self.map.globalDepth - table.localDepth)
            self.reached["iteration begun inside the places of a table"] += places > 1
            offset = (offset + places - 1) % (2 * SIGN)
        return [entry, offset] if begun else []

    def compare_header(self, header: list[int], where: str) -> None:
        ours = header_of(self.map)
        tables = tuple(replace(one, number=self.seen.setdefault(one.number, len(self.seen))) for one in ours.tables)
        assert replace(ours, tables=tables) == header_said(header), where

    def compare_iterator(self, it: Iter, said: dict[str, Any], where: str) -> None:
        ours = iterator_state_of(it)
        if ours.tab is not None:
            ours = replace(ours, tab=(self.seen[ours.tab[0]], ours.tab[1]))
        assert ours == iter_said(said), where

    def compare_memory(self, said: dict[str, Any], where: str) -> None:
        theirs = tuple(tuple(group_said(one) for one in groups) for groups in said["tables"])
        assert self.map.state().groups == theirs, where

    def note(self, name: str, facts: dict[str, int]) -> None:
        going = any(it.key is not None for it in self.map.iterators)
        if name in ("grow", "split", "growToTable", "Clear"):
            self.reached[f"{name} beside iterators"] += going
        if name == "grow":
            self.reached["grow with tombstones"] += facts["tombstones"] > 0
        if name == "Clear":
            self.reached["Clear of tables"] += facts["tables"] > 0
        if name == "split":
            self.reached["directory of four"] += facts["globalDepth"] > 1
        if name == "Init":
            self.reached["several iterators"] += len(self.map.iterators) > 2

    def note_step(self, it: Iter) -> None:
        if it.key is None:
            return
        self.reached["step in a stale table"] += it.tab is not None and it.tab.index == -1
        self.reached["step in a group left behind"] += it.dirIdx < 0 and bool(self.map.directory)


def header_said(n: list[int]) -> SwissHeader:
    """The list of ``state`` in programs/model/swiss.go."""
    used, seed, allocated, length, depth, shift, writing, tombstones, clears = n[:9]
    assert writing == 0
    tables: list[TableHeader] = []
    rest = n[9:]
    for _ in range(length):
        number = rest.pop(0)
        if not tables or tables[-1].number != number:
            tables.append(TableHeader(number, *rest[:6]))
            del rest[:6]
    assert not rest
    return SwissHeader(used, seed, bool(allocated), length, depth, shift, bool(tombstones), clears, tuple(tables))


def iter_said(said: dict[str, Any]) -> IterState:
    begun, entry, offset, clears, depth, at, table, index, place, entry_at = said["iter"]
    key, elem = numbers(said["entry"])
    tab = None if table == NONE else (table, signed(index))
    group = None if said["group"] is None else group_said(said["group"])
    return IterState(
        key, elem, bool(begun), entry, offset, clears, depth, signed(at), tab, group, some(place), entry_at
    )


def group_said(one: list[Any]) -> GroupState:
    ctrls, keys, elems = one
    return GroupState(ctrls, numbers(keys), numbers(elems))


def signed(n: int) -> int:
    return n - 2 * SIGN if n >= SIGN else n
