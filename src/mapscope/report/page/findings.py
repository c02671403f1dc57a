"""Findings, suspects and iterators as values of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from mapscope.findings.model import Finding
from mapscope.report import document as doc
from mapscope.report.page.caps import Caps
from mapscope.report.page.steps import chain_value, step_value
from mapscope.report.source import Source


def finding_values(
    source: Source, rows: Sequence[doc.FindingRow], group_of: Mapping[int, int], most: int
) -> dict[str, object]:
    """The largest findings in full, in the order of the document, and the sum of the others."""
    found = source.findings
    shown, rest = found[:most], found[most:]
    return {
        "findings": [_finding(row, finding, group_of) for row, finding in zip(rows, shown, strict=False)],
        "findings_rest": {"findings": len(rest), "bytes": sum(one.bytes for one in rest if not one.part_of)},
    }


def goroutines_named(source: Source, caps: Caps) -> set[int]:
    """Ids of the goroutines whose stacks findings and iterators need."""
    ids = {one.goroutine for one in source.iterators if one.goroutine is not None}
    return ids | {one for one in map(_goroutine, source.findings[: caps.findings]) if one is not None}


def _goroutine(finding: Finding) -> int | None:
    found = finding.evidence.get("goroutine")
    return found if isinstance(found, int) else None


def _finding(row: doc.FindingRow, finding: Finding, group_of: Mapping[int, int]) -> dict[str, object]:
    goroutine = _goroutine(finding)
    values = {name: getattr(row, name) for name in row.__struct_fields__}
    return values | {
        "chain": chain_value(row.chain),
        "dominator": None if row.dominator is None else step_value(row.dominator),
        "goroutine": goroutine,
        "group": None if goroutine is None else group_of.get(goroutine),
    }


def iterator_values(rows: Sequence[doc.IteratorRow], group_of: Mapping[int, int], most: int) -> dict[str, object]:
    """The iterators that keep most."""
    return {
        "iterators": [
            msgspec.structs.asdict(row) | {"group": None if row.goroutine is None else group_of.get(row.goroutine)}
            for row in rows[:most]
        ],
        "iterators_rest": max(0, len(rows) - most),
    }


def suspect_values(rows: Sequence[doc.DominatorRow]) -> Sequence[object]:
    """The few dominators that hold most."""
    return [
        {
            "step": step_value(row.step),
            "count": row.count,
            "retained_bytes": row.retained_bytes,
            "shallow_bytes": row.shallow_bytes,
            "chain": chain_value(row.chain),
            "gathers": chain_value(row.gathers),
        }
        for row in rows
    ]
