"""Rows of the table of maps as records of the document, column by column: a million maps take seconds, not minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mapscope.maps.model import FLAG_SAME_SIZE_GROW, Confidence, Generation, MapTable, Place
from mapscope.report import document as doc
from mapscope.report.escape import valid

_PLACES = tuple(place.name.lower() for place in Place)
_CONFIDENCE = tuple(confidence.label for confidence in Confidence)
_CHUNK = 16384


def map_rows(maps: MapTable, rows: npt.NDArray[np.int64]) -> Iterator[doc.MapRow]:
    """The records of ``rows``, in their order."""
    names = [valid(t.name) for t in maps.types]
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        columns = {name: column[part].tolist() for name, column in maps.columns.items()}
        for values in zip(*columns.values(), strict=True):
            yield _record(dict(zip(columns, values, strict=True)), names)


def _record(row: dict[str, Any], names: list[str]) -> doc.MapRow:
    swiss = row["generation"] == Generation.SWISS
    count, capacity, index = row["count"], row["capacity"], row["type_index"]
    slots = capacity if swiss else capacity // 8
    common = {
        "address": f"0x{row['address']:x}",
        "type": names[index] if 0 <= index < len(names) else None,
        "place": _PLACES[row["place"]],
        "count": count,
        "capacity": capacity,
        "load_factor": round(count / slots, 4) if slots else 0.0,
        "state": _state(row, swiss),
        "confidence": _CONFIDENCE[row["confidence"]],
        "needed_bytes": row["needed_bytes"],
        "waste_bytes": row["waste_bytes"],
        "complete": not row["unreadable"],
    }
    return _swiss(row, common) if swiss else _classic(row, common)


def _classic(row: dict[str, Any], common: dict[str, Any]) -> doc.ClassicMap:
    return doc.ClassicMap(
        **common,
        header=doc.ClassicHeader(
            count=row["count"],
            flags=row["flags"],
            B=row["B"],
            noverflow=row["noverflow"],
            hash0=row["hash0"],
            buckets=f"0x{row['buckets']:x}",
            oldbuckets=f"0x{row['oldbuckets']:x}",
            nevacuate=row["nevacuate"],
            extra=f"0x{row['extra']:x}",
        ),
        bytes=doc.ClassicBytes(
            total=row["total_bytes"],
            header=row["header_bytes"],
            buckets=row["array_bytes"],
            oldbuckets=row["old_array_bytes"],
            overflow=row["overflow_bytes"],
            old_overflow=row["old_overflow_bytes"],
            extra=row["extra_bytes"],
            indirect=row["indirect_bytes"],
        ),
        noldbuckets=row["noldbuckets"],
        old_evacuated=row["old_evacuated"],
        overflow_count=row["overflow_count"],
        old_overflow_count=row["old_overflow_count"],
        prealloc_overflow=row["prealloc_overflow"],
    )


def _swiss(row: dict[str, Any], common: dict[str, Any]) -> doc.SwissMap:
    return doc.SwissMap(
        **common,
        header=doc.SwissHeader(
            used=row["count"],
            seed=row["seed"],
            dirPtr=f"0x{row['dirPtr']:x}",
            dirLen=row["dirLen"],
            globalDepth=row["globalDepth"],
            globalShift=row["globalShift"],
            writing=row["writing"],
            tombstonePossible=row["tombstonePossible"],
            clearSeq=row["clearSeq"],
        ),
        bytes=doc.SwissBytes(
            total=row["total_bytes"],
            header=row["header_bytes"],
            groups=row["array_bytes"],
            tables=row["table_bytes"],
            directory=row["directory_bytes"],
            indirect=row["indirect_bytes"],
        ),
        tables=row["tables"],
        groups=row["groups"],
        tombstones=row["tombstones"],
        growth_left=row["growth_left"],
    )


def _state(row: dict[str, Any], swiss: bool) -> str:
    """As ``Map.state``, on plain values."""
    if not swiss and row["oldbuckets"]:
        return "growing-same-size" if row["flags"] & FLAG_SAME_SIZE_GROW else "growing"
    if not row["count"]:
        return "empty"
    return "small" if swiss and not row["dirLen"] else "steady"
