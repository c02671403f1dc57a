"""From selected rows to findings: one by one where a map is worth it, together where only the sum is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from mapscope.arrays import among, unique
from mapscope.findings.columns import Bools, Ints
from mapscope.findings.context import Context
from mapscope.findings.model import Finding
from mapscope.maps.model import Confidence, Map


class Selection(Struct, frozen=True):
    """Rows of the table that meet a rule's condition, and what each holds for nothing."""

    rows: Ints
    bytes: Ints
    minimum: int
    """Smallest bytes of a map that is reported on its own."""
    facts: Mapping[int, object] = field(default_factory=dict)
    """Answers of the heap by row, for the rules that asked."""

    @classmethod
    def where(cls, condition: Bools, held: Ints, minimum: int) -> Selection:
        """The rows where ``condition`` holds and more than zero bytes are held."""
        rows = np.flatnonzero(condition & (held > 0)).astype(np.int64)
        return cls(rows, held[rows], minimum)

    def without(self, other: Selection) -> Selection:
        """The rows that ``other`` has not. Keeps the minimum and the facts."""
        keep = ~among(self.rows, other.rows)
        return Selection(self.rows[keep], self.bytes[keep], self.minimum, self.facts)


Describe = Callable[[Context, Map, int, object], Finding]
"""Words for one row: context, map, bytes, and the fact of the row (None for rules that need no heap)."""


def emit(
    context: Context, selection: Selection, describe: Describe, part_of: Mapping[int, str] | None = None
) -> Iterator[Finding]:
    """Findings for ``selection``, the largest first.

    A map with at least ``selection.minimum`` bytes gets a finding of its own, up to ``group_after`` maps of one
    type. The others are summed by type; a sum of at least ``group_min_bytes`` gives one finding whose subject is
    the largest of them. ``part_of`` maps a row to the rule that already counts its bytes; such a row never joins a
    sum.
    """
    limits = context.thresholds
    part_of = part_of or {}
    order = np.lexsort((selection.rows, -selection.bytes))
    rows, held = selection.rows[order], selection.bytes[order]
    types = np.asarray(context.maps.columns["type_index"])[rows]
    alone = (held >= selection.minimum) & (_rank_within(types) < limits.group_after)
    for row, size in zip(rows[alone].tolist(), held[alone].tolist(), strict=True):
        finding = _finish(describe(context, context.maps[row], size, selection.facts.get(row)), context.maps[row])
        yield replace(finding, part_of=part_of.get(row, ""))
    counted = ~alone
    if part_of:
        counted &= ~among(rows, np.fromiter(part_of, np.int64, len(part_of)))
    yield from _together(context, selection, describe, rows[counted], held[counted])


def _together(context: Context, selection: Selection, describe: Describe, rows: Ints, held: Ints) -> Iterator[Finding]:
    types = np.asarray(context.maps.columns["type_index"])[rows]
    for index in unique(types).tolist():
        mine = types == index
        total, maps = sum(held[mine].tolist()), int(mine.sum())
        if total < context.thresholds.group_min_bytes:
            continue
        row = int(rows[mine][0])
        found = context.maps[row]
        finding = _finish(describe(context, found, int(held[mine][0]), selection.facts.get(row)), found)
        if maps > 1:
            evidence: dict[str, int | str] = {"maps": maps, "largest_bytes": finding.bytes}
            finding = replace(finding, bytes=total, evidence=evidence | finding.evidence, maps=maps)
        yield finding


def _rank_within(groups: np.typing.NDArray[np.generic]) -> Ints:
    """For each element, how many equal ones stand before it."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, len(ordered)])
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return rank


def _finish(finding: Finding, found: Map) -> Finding:
    """Never surer than the map itself is, and said so."""
    why, confidence = finding.why, Confidence(max(finding.confidence, found.confidence))
    if found.confidence > Confidence.EXACT:
        why += " The map itself was found by the shape of its header, not through a type."
    if found.unreadable:
        why += " Part of its arrays is not in the evidence, so the bytes are a lower bound."
        confidence = Confidence(max(confidence, Confidence.INFERRED))
    return replace(finding, why=why, confidence=confidence)
