"""R9: a map that once held many more entries keeps the arrays it had then, because maps never shrink.

Neither ``mapdelete`` nor ``clear`` gives an array back in any release (golang/go#20135). A map just after growth is
38 to 41 % full and a steady LRU on Go 1.24 sits at 31 %, so the rule starts where the arrays are four times what
make(map, len) would take, and it wants a trace of the fuller past: an overflow bucket (classic) or a tombstone
(Swiss). Without one the map may have been presized, or cleared for reuse: those are R10's, or silent.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings.columns import current_waste, ints, is_sparse, was_fuller, would_show_history
from mapscope.findings.context import Context
from mapscope.findings.model import Advice, Finding
from mapscope.findings.selection import Selection, emit
from mapscope.findings.sketch import go_type, rebuild, rebuild_advice
from mapscope.maps.model import Confidence, Map
from mapscope.units import Addr

RULE = "R9"
TITLE = "sparse map keeps arrays that were made for many more entries"


def select(context: Context) -> Selection:
    """Sparse maps with a trace of the past, or too small to have kept one; the bytes are beyond make(map, count)."""
    maps, limits = context.maps, context.thresholds
    sparse = is_sparse(maps, context.go_release, limits.sparse_factor)
    no_trace_expected = ~would_show_history(maps, limits.history_buckets, limits.history_groups)
    unknown = no_trace_expected & (ints(maps, "count") > 0)
    condition = sparse & (was_fuller(maps) | unknown)
    return Selection.where(np.asarray(condition), current_waste(maps), limits.sparse_min_bytes)


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    trace = found.tombstones if found.is_swiss else max(found.overflow_count, found.noverflow)
    if trace:
        name = "tombstones" if found.is_swiss else "overflow buckets"
        why = f"The arrays and the count are exact, and {trace:,} {name} show that a fuller map was emptied."
        if found.is_swiss and context.go_release < (1, 25):
            why += " On Go 1.24 steady churn alone can end here too."
    else:
        why = (
            "The arrays and the count are exact; whether the map was fuller once or was made too large, nothing shows."
        )
    if found.count == 0:
        advice = Advice(
            "The map is empty and its arrays never shrink: drop it or put a new map in its place; clear keeps them.",
            f"m = make({go_type(found)})",
        )
    else:
        advice = Advice(rebuild_advice(context.go_release), rebuild(found))
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.EXACT if trace else Confidence.POSSIBLE,
        why=why,
        evidence=sparse_evidence(found),
        advice=advice,
    )


def sparse_evidence(found: Map) -> dict[str, int | str]:
    """The fields that show how few entries the arrays hold."""
    evidence: dict[str, int | str]
    if found.is_swiss:
        evidence = {
            "used": found.count,
            "capacity": found.capacity,
            "dirLen": found.dirLen,
            "tables": found.tables,
            "tombstones": found.tombstones,
            "clearSeq": found.clearSeq,
        }
    else:
        evidence = {
            "count": found.count,
            "capacity": found.capacity,
            "B": found.B,
            "noverflow": found.noverflow,
            "overflow_count": found.overflow_count,
        }
    return evidence | {"total_bytes": found.total_bytes, "needed_bytes": found.needed_bytes}


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
