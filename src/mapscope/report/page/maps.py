"""The table of maps: the largest in full, the rest in sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mapscope.arrays import among
from mapscope.heap.holding import HeldTable
from mapscope.heap.steps import StepTable
from mapscope.maps.model import Confidence, Generation, MapTable, Place
from mapscope.report.page.owners import owners
from mapscope.report.page.pack import Column, Texts
from mapscope.report.page.steps import step_columns
from mapscope.report.rows import STATES, state_codes
from mapscope.report.source import Source

Rows = npt.NDArray[np.int64]

_SLOTS = 8
_SAME = (
    "address", "count", "capacity", "total_bytes", "needed_bytes", "waste_bytes",
    "header_bytes", "array_bytes", "old_array_bytes", "overflow_bytes", "old_overflow_bytes", "extra_bytes",
    "directory_bytes", "table_bytes", "indirect_bytes", "flags", "B", "noverflow", "hash0", "buckets", "oldbuckets",
    "nevacuate", "extra", "noldbuckets", "old_evacuated", "overflow_count", "old_overflow_count", "prealloc_overflow",
    "seed", "dirPtr", "dirLen", "globalDepth", "globalShift", "writing", "tombstonePossible", "clearSeq", "tables",
    "groups", "tombstones", "growth_left",
)  # fmt: skip
"""Columns that go to the page under their own names."""


def chosen_rows(source: Source, most: int) -> Rows:
    """Rows of ``most`` maps, the largest first; those of findings and iterators are among them."""
    maps = source.maps
    size = np.asarray(maps.columns["total_bytes"])
    order = np.argsort(~size.astype(np.uint64), kind="stable")
    wanted = {finding.subject for finding in source.findings[: most // 2]}
    wanted |= {one.map for one in source.iterators[: most // 4]}
    named = among(maps.columns["address"], np.array(sorted(wanted), dtype=np.uint64))
    first = order[named[order]][:most]
    others = order[~named[order]][: most - len(first)]
    both: Rows = np.concatenate([first, others])
    return both[np.argsort(~size[both].astype(np.uint64), kind="stable")]


def rest_of(maps: MapTable, rows: Rows) -> dict[str, int]:
    """Sums of the maps that the page does not list."""
    out = np.ones(len(maps), dtype=np.bool_)
    out[rows] = False
    return {
        "maps": int(out.sum()),
        "count": total(maps, "count", out),
        "bytes": total(maps, "total_bytes", out),
        "waste_bytes": total(maps, "waste_bytes", out),
    }


def total(maps: MapTable, name: str, rows: npt.NDArray[np.bool_] | Rows) -> int:
    """An exact sum of a column of hostile 64-bit values."""
    column = np.asarray(maps.columns[name])[rows].astype(np.uint64)
    high, low = column >> np.uint64(32), column & np.uint64(0xFFFFFFFF)
    return (int(high.sum(dtype=np.uint64)) << 32) + int(low.sum(dtype=np.uint64))


def map_columns(
    source: Source, rows: Rows, held: HeldTable, paths_of: Sequence[tuple[str, ...]], most_steps: int
) -> dict[str, Mapping[str, Column]]:
    """The sections ``maps``, ``chains`` (codes into ``steps``), ``steps`` and ``over`` (dominators).

    ``held``: who holds ``rows``;
    ``paths_of``: by what way. ``most_steps``: of all chains together; the first rows have theirs.
    """
    maps = source.maps
    columns = {name: np.asarray(maps.columns[name])[rows] for name in _SAME}
    swiss = np.asarray(maps.columns["generation"])[rows] == Generation.SWISS
    units = np.maximum(columns["capacity"].astype(np.float64) / np.where(swiss, 1, _SLOTS), 1)
    index = np.asarray(maps.columns["type_index"])[rows].astype(np.int64)
    index[index >= len(maps.types)] = -1
    rules: dict[int, list[str]] = {}
    for finding in source.findings:
        rules.setdefault(finding.subject, []).append(finding.rule)
    loops: dict[int, int] = {}
    for one in source.iterators:
        loops[one.map] = loops.get(one.map, 0) + 1
    addresses = columns["address"].tolist()
    begin, length, codes, steps = _chains(held, most_steps)
    section: dict[str, Column] = {
        **columns,
        "type": Texts.coded(index, [kind.name for kind in maps.types]),
        "generation": Texts.coded(swiss, [one.label for one in Generation]),
        "state": Texts.coded(state_codes(maps)[rows], STATES),
        "confidence": Texts.coded(np.asarray(maps.columns["confidence"])[rows], [one.label for one in Confidence]),
        "place": Texts.coded(np.asarray(maps.columns["place"])[rows], [one.name.lower() for one in Place]),
        "load": np.where(columns["capacity"] > 0, columns["count"].astype(np.float64) / units, 0.0),
        "complete": np.asarray(maps.columns["unreadable"])[rows] == 0,
        "rules": Texts.of(" ".join(rules[one]) if one in rules else None for one in addresses),
        "iterators": np.array([loops.get(one, 0) for one in addresses], dtype=np.int64),
        "owner": Texts.of(owners(paths_of)),
        "held": held.live,
        "retained_bytes": np.where(held.live, held.retained, 0).astype(np.uint64),
        "dominator": np.where(held.live, held.above, -1),
        "chain": begin,
        "steps": length,
    }
    return {
        "maps": section,
        "chains": {"step": codes},
        "steps": step_columns(steps),
        "over": step_columns(held.dominators),
    }


def _chains(held: HeldTable, most: int) -> tuple[Rows, Rows, Rows, StepTable]:
    """By row, where its chain begins and how long it is (0: left out); the codes of all chains; their steps."""
    table = held.chains
    length = np.where(held.live, table.ranges[:, 1] - table.ranges[:, 0], 0)
    length[np.cumsum(length) > most] = 0
    begin = np.cumsum(length) - length
    where = np.repeat(table.ranges[:, 0] - begin, length) + np.arange(int(length.sum()))
    used, codes = np.unique(table.codes[where], return_inverse=True)
    steps = StepTable(table.steps.address[used], table.steps.word[used], table.steps.words)
    return begin, length, codes.reshape(-1).astype(np.int64), steps
