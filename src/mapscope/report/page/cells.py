"""How full the arrays of the largest and most suspicious maps are, cell by cell: what a map's own page draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mapscope.arrays import among
from mapscope.maps.cells import CellArray
from mapscope.maps.detail import MapDetail
from mapscope.report.page.pack import Column, Texts
from mapscope.report.source import Source
from mapscope.units import hex_addr

Rows = npt.NDArray[np.int64]

MOST_SLOTS = 1 << 27
"""Slots in all the arrays that are looked at, which bounds the time: about two seconds."""


def looked_at(source: Source, rows: Rows, most: int) -> list[int]:
    """Which ``most`` of ``rows`` (numbers into it) get cells: those with findings or iterators, then the largest."""
    maps = source.maps
    address = np.asarray(maps.columns["address"])[rows]
    about = {finding.subject for finding in source.findings} | {one.map for one in source.iterators}
    capacity = np.asarray(maps.columns["capacity"])[rows].astype(np.float64)
    capacity += 8 * np.asarray(maps.columns["noldbuckets"])[rows].astype(np.float64)
    named = among(address, np.array(sorted(about), dtype=np.uint64))
    order = np.concatenate([np.flatnonzero(named), np.flatnonzero(~named)])
    order = order[capacity[order] > 0]
    within: list[int] = order[np.cumsum(capacity[order]) <= MOST_SLOTS].tolist()
    return within[:most]


def cell_sections(source: Source, rows: Rows, chosen: Sequence[int], most: int) -> dict[str, Mapping[str, Column]]:
    """The sections ``arrays``, ``cells``, ``tables`` and ``histograms``; their ``map`` is a number into ``rows``.

    ``most``: cells of one array.
    """
    arrays: list[tuple[int, CellArray]] = []
    details: list[tuple[int, MapDetail]] = []
    for number in chosen:
        address = int(source.maps.columns["address"][rows[number]])
        details.append((number, source.detail(address)))
        arrays += [(number, one) for one in source.cells(address)]
    return array_sections(arrays, most) | detail_sections(details)


def array_sections(arrays: Sequence[tuple[int, CellArray]], most: int) -> dict[str, Mapping[str, Column]]:
    """``arrays``: one row an array; ``cells``: one row a cell, those of an array one behind the other."""
    cells = [_cells(array, most) for _, array in arrays]
    lengths = np.array([len(one["units"]) for one in cells], dtype=np.int64)
    names = ("units", "entries", "extra", "gone")
    none = np.zeros(0, dtype=np.int64)
    return {
        "arrays": {
            "map": np.array([number for number, _ in arrays], dtype=np.int64),
            "name": Texts.of(array.name for _, array in arrays),
            "units": np.array([array.units for _, array in arrays], dtype=np.uint64),
            "seen": np.array([len(array.entries) for _, array in arrays], dtype=np.int64),
            "entries": np.array([int(array.entries.sum()) for _, array in arrays], dtype=np.int64),
            "complete": np.array([array.complete for _, array in arrays], dtype=np.bool_),
            "cell": np.cumsum(lengths) - lengths,
            "cells": lengths,
        },
        "cells": {name: np.concatenate([none, *(one[name] for one in cells)]) for name in names},
    }


def _cells(array: CellArray, most: int) -> dict[str, npt.NDArray[np.int64]]:
    """Sums over neighbours: ``units`` that were looked at, their entries, overflow or tombstones, evacuated ones."""
    seen = len(array.entries)
    cells = min(seen, most)
    edges = np.arange(cells, dtype=np.int64) * seen // max(cells, 1)
    if not cells:
        return dict.fromkeys(("units", "entries", "extra", "gone"), edges)
    return {
        "units": np.diff(np.append(edges, seen)),
        "entries": np.add.reduceat(array.entries.astype(np.int64), edges),
        "extra": np.add.reduceat(array.extra.astype(np.int64), edges),
        "gone": np.add.reduceat(array.gone.astype(np.int64), edges),
    }


def detail_sections(details: Sequence[tuple[int, MapDetail]]) -> dict[str, Mapping[str, Column]]:
    """``tables``: the first Swiss tables of each map; ``histograms``: buckets by entries and by overflow, kinds."""
    tables = [(number, table) for number, one in details for table in one.tables]
    counts: list[tuple[int, str, str, int]] = []
    for number, one in details:
        counts += [(number, "occupancy", str(at), count) for at, count in enumerate(one.occupancy)]
        counts += [(number, "chains", str(at), count) for at, count in enumerate(one.chain_lengths)]
        counts += [(number, "keys", name, count) for name, count in one.key_kinds.items()]
        counts += [(number, "values", name, count) for name, count in one.elem_kinds.items()]
        counts.append((number, "found", one.how_found, 0))
    fields = ("used", "capacity", "growth_left", "local_depth", "index", "tombstones")
    return {
        "tables": {
            "map": np.array([number for number, _ in tables], dtype=np.int64),
            "address": Texts.of(hex_addr(table.address) for _, table in tables),
            **{name: np.array([getattr(table, name) for _, table in tables], dtype=np.int64) for name in fields},
        },
        "histograms": {
            "map": np.array([number for number, *_ in counts], dtype=np.int64),
            "what": Texts.of(what for _, what, _, _ in counts),
            "name": Texts.of(name for _, _, name, _ in counts),
            "count": np.array([count for *_, count in counts], dtype=np.uint64),
        },
    }
