"""The page of two snapshots: what ``mapscope diff -f html`` shows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from mapscope import diff as two
from mapscope.findings.columns import Bools, Ints
from mapscope.maps.model import Generation, MapTable
from mapscope.report import diff_document as dd
from mapscope.report import document as doc
from mapscope.report.holding import StepRows
from mapscope.report.page.pack import Column, Pack, Texts
from mapscope.report.page.parts import heap_parts
from mapscope.report.page.steps import chain_value, label
from mapscope.report.rows import STATES, state_codes
from mapscope.report.source import Source

KIND = "diff"
MOST = 10_000
"""Maps that the page lists, those of each fate that moved most; the others are in sums."""
MOST_STALLED = 2500
"""Besides, maps that neither grew nor shrank and whose growth stands still."""
MOST_FINDINGS = 500
_FATES = (("grown", "grown"), ("shrunk", "shrunk"), ("new", "new_maps"), ("gone", "gone_maps"))
_SAME = "same"
_HEADER = (
    "address", "count", "capacity", "total_bytes", "needed_bytes", "waste_bytes", "header_bytes", "array_bytes",
    "old_array_bytes", "overflow_bytes", "old_overflow_bytes", "extra_bytes", "directory_bytes", "table_bytes",
    "indirect_bytes", "flags", "B", "noverflow", "buckets", "oldbuckets", "nevacuate", "noldbuckets", "old_evacuated",
    "dirPtr", "dirLen", "globalDepth", "tables", "groups", "tombstones", "growth_left",
)  # fmt: skip
_AMOUNTS = ("maps", "entries", "bytes", "waste")


def shown(found: two.Diff, most: int = MOST) -> int:
    """How many maps of each fate the page lists: so many that all together are at most ``most``, and one at least."""
    left, fates = most, sorted(len(rows) for rows in found.matches.lists().values())
    for at, many in enumerate(fates):
        share = left // (len(fates) - at)
        if many > share:
            return max(share, 1)
        left -= many
    return max(fates[-1], 1)


def diff_pack(
    found: two.Diff, document: dd.DiffDocument, old: Source, new: Source, following: Sequence[str] = ()
) -> Pack:
    """All that the page shows.

    ``document``: of ``found``, with as many maps of each fate as ``shown`` says (``build_diff(…, top=shown(found))``).
    ``following``: commands worth running now.
    """
    pack = Pack(KIND)
    for name in ("old", "new", "same_process", "same_build", "collections", "warnings", "then", "now", "change"):
        pack.values[name] = getattr(document, name)
    pack.values["next"] = list(following)
    pack.values["parts"] = [[msgspec.to_builtins(part) for part in heap_parts(side)] for side in (old, new)]
    pack.values["findings"] = [_finding(one) for one in document.findings[:MOST_FINDINGS]]
    rest = document.findings[MOST_FINDINGS:]
    pack.values["findings_rest"] = {"findings": len(rest), "bytes": sum(one.bytes_now for one in rest)}
    lists = found.matches.lists()
    still, known = _stalled(found), np.zeros(len(found.matches), np.bool_)
    rows: list[int] = []
    fates: list[str] = []
    chains: list[list[doc.StepRow] | None] = []
    sums = {}
    for fate, name in _FATES:
        changes: dd.MapChanges = getattr(document, name)
        listed = lists[fate][: len(changes.maps)]
        known[lists[fate]] = True
        rows += listed.tolist()
        fates += [fate] * len(listed)
        chains += [one.chain for one in changes.maps]
        sums[fate] = {"total": changes.total, "shown": len(listed), "change": changes.change}
    same = np.flatnonzero(still & ~known)[:MOST_STALLED]
    rows += same.tolist()
    fates += [_SAME] * len(same)
    held = new.held(new.maps.columns["address"][found.matches.row_now[same]].tolist()) if len(same) else ()
    steps = StepRows()
    chains += [steps.chain(one) for one in held]
    sums["stalled"] = {"total": int(still.sum()), "shown": int(still[np.array(rows, np.int64)].sum()) if rows else 0}
    pack.values["fates"] = sums
    at = np.array(rows, np.int64)
    pack.sections["moves"] = _moves(found.matches, at, fates, still, old.maps, new.maps)
    pack.sections["then"] = _side(old.maps, found.matches.row_then[at])
    pack.sections["now"] = _side(new.maps, found.matches.row_now[at])
    pack.sections |= _chains(chains)
    return pack


def title(document: dd.DiffDocument) -> str:
    """What the browser's tab says."""
    names = [os.path.basename(side.evidence.path) or side.evidence.path for side in (document.old, document.new)]
    return f"mapscope diff: {names[0]} → {names[1]}"


def _finding(one: dd.FindingChange) -> dict[str, object]:
    row = msgspec.to_builtins(one.finding)
    row |= {"chain": chain_value(one.finding.chain), "dominator": None}
    return {**msgspec.structs.asdict(one), "finding": row}


def _stalled(found: two.Diff) -> Bools:
    """Matches of one map each whose growth stands where it stood (``findings.twice.stalled``), one process only."""
    matches, relation = found.matches, found.relation
    out = np.zeros(len(matches), np.bool_)
    if not relation.same_process or relation.same_evidence:
        return out
    pairs = np.arange(matches.pairs)
    then, now = matches.row_then[pairs], matches.row_now[pairs]
    before, after = found.old.maps.columns, found.new.maps.columns
    still = before["oldbuckets"][then] != 0
    for name in ("oldbuckets", "nevacuate"):
        still &= before[name][then] == after[name][now]
    out[pairs] = still
    return out


def _moves(
    matches: two.Matches, at: Ints, fates: Sequence[str], still: Bools, old: MapTable, new: MapTable
) -> Mapping[str, Column]:
    then, now = matches.row_then[at], matches.row_now[at]
    both = (then >= 0) & (now >= 0)
    types = [
        _type(new, int(after)) if after >= 0 else _type(old, int(before))
        for before, after in zip(then.tolist(), now.tolist(), strict=True)
    ]
    columns: dict[str, Column] = {
        "fate": Texts.of(fates),
        "stalled": still[at],
        "matched": Texts.coded(np.where(both, np.where(at < matches.pairs, 0, 1), -1), ["address", "chain"]),
        "type": Texts.of(types),
    }
    for name in _AMOUNTS:
        columns[f"{name}_then"] = matches.then[name][at]
        columns[f"{name}_now"] = matches.now[name][at]
    return columns


def _type(maps: MapTable, row: int) -> str | None:
    index = int(maps.columns["type_index"][row])
    return maps.types[index].name if 0 <= index < len(maps.types) else None


def _side(maps: MapTable, rows: Ints) -> Mapping[str, Column]:
    """Headers of the largest map of each match; zeros and ``there`` 0 where it is in the other snapshot only."""
    there = rows >= 0
    safe = np.where(there, rows, 0)
    if not len(maps):
        return {"there": there, **{name: np.zeros(len(rows), np.int64) for name in _HEADER}}
    columns: dict[str, Column] = {"there": there}
    for name in _HEADER:
        values = np.asarray(maps.columns[name])[safe]
        columns[name] = np.where(there, values, np.zeros(1, values.dtype))
    generation = np.where(there, np.asarray(maps.columns["generation"])[safe].astype(np.int64), -1)
    columns["generation"] = Texts.coded(generation, [one.label for one in Generation])
    columns["state"] = Texts.coded(np.where(there, state_codes(maps)[safe].astype(np.int64), -1), STATES)
    return columns


def _chains(chains: Sequence[list[doc.StepRow] | None]) -> dict[str, Mapping[str, Column]]:
    """``chains``: the end of each in ``links``, whose ``step`` is a row of ``steps``; each distinct step once."""
    known: dict[doc.StepRow, int] = {}
    links: list[int] = []
    ends: list[int] = []
    for chain in chains:
        links += [known.setdefault(step, len(known)) for step in chain or ()]
        ends.append(len(links))
    steps = list(known)
    return {
        "chains": {"end": np.array(ends, np.int64), "known": np.array([one is not None for one in chains], np.bool_)},
        "links": {"step": np.array(links, np.int64)},
        "steps": {
            "kind": Texts.of(step.kind for step in steps),
            "label": Texts.of(label(step) for step in steps),
            "field": Texts.of(step.field for step in steps),
            "address": Texts.of(step.address for step in steps),
        },
    }
