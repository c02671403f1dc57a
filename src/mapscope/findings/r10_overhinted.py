"""R10: a map with far more room than entries and no trace of ever having been fuller.

Most likely ``make`` was given a hint far above what came. The same state is left by ``clear`` (it wipes tombstones and
overflow buckets) and is passed through while a presized map is filled, so the confidence is never above "possible", the
factor is twice that of R9, and a map without a single entry stays silent: it was just made, or just cleared for reuse.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings.columns import current_waste, ints, is_sparse, was_fuller, would_show_history
from mapscope.findings.context import Context
from mapscope.findings.model import Advice, Finding
from mapscope.findings.r09_sparse import sparse_evidence
from mapscope.findings.selection import Selection, emit
from mapscope.findings.sketch import go_type
from mapscope.maps.model import Confidence, Map
from mapscope.units import Addr

RULE = "R10"
TITLE = "map was made far larger than what it holds"


def select(context: Context) -> Selection:
    """Very sparse maps with entries and without a trace of a fuller past that would have left one."""
    maps, limits = context.maps, context.thresholds
    never_fuller = ~was_fuller(maps) & would_show_history(maps, limits.history_buckets, limits.history_groups)
    sparse = is_sparse(maps, context.go_release, limits.hint_factor)
    condition = sparse & never_fuller & (ints(maps, "count") > 0)
    return Selection.where(np.asarray(condition), current_waste(maps), limits.sparse_min_bytes)


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    if found.is_swiss and found.clearSeq:
        past = f"it was cleared {found.clearSeq:,} times (clearSeq), so it may be in reuse"
    else:
        past = "a hint too large, a clear, or a map that is still being filled all look like this"
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.POSSIBLE,
        why=f"The arrays and the count are exact; the history is unknown: {past}.",
        evidence=sparse_evidence(found),
        advice=Advice(
            "If the map does not fill up later, give make a smaller hint, or none: it then grows with its entries.",
            f"m := make({go_type(found)}, {found.count})",
        ),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
