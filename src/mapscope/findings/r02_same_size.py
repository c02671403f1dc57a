"""R2: a classic map in a same-size growth holds two equal bucket arrays, the worst case being an emptied one.

Too many overflow buckets make ``hashGrow`` (runtime/map.go) start a growth of the same size (flag
``sameSizeGrow``). Once the map is empty, ``mapdelete`` and ``mapclear`` return at ``count == 0`` before any
evacuation, so only inserts end it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings.columns import current_waste, ints, is_sparse, old_bytes
from mapscope.findings.context import Context
from mapscope.findings.model import Advice, Finding
from mapscope.findings.r01_stalled_growth import finish_advice, growing, growth_evidence
from mapscope.findings.selection import Selection, emit
from mapscope.findings.sketch import go_type, rebuild
from mapscope.maps.model import FLAG_SAME_SIZE_GROW, Confidence, Map
from mapscope.units import Addr

RULE = "R2"
TITLE = "same-size growth holds two equal bucket arrays"
TITLE_EMPTIED = "emptied map holds two equal bucket arrays"


def select(context: Context) -> Selection:
    """Same-size growths: the old array, and for an emptied map also what the current array holds for nothing."""
    same_size = (ints(context.maps, "flags") & FLAG_SAME_SIZE_GROW) != 0
    emptied = is_sparse(context.maps, context.go_release, context.thresholds.sparse_factor)
    held = old_bytes(context.maps) + np.where(emptied, current_waste(context.maps), 0)
    return Selection.where(growing(context) & same_size, held, context.thresholds.growth_min_bytes)


def emptied_part(context: Context, selection: Selection) -> Selection:
    """The rows of ``selection`` whose bytes include the current array: they compete with the rules of sparse maps."""
    emptied = is_sparse(context.maps, context.go_release, context.thresholds.sparse_factor)[selection.rows]
    return Selection(selection.rows[emptied], selection.bytes[emptied], selection.minimum)


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    emptied = held > found.old_array_bytes + found.old_overflow_bytes
    if emptied:
        why = (
            f"Both arrays are attached to {found.count:,} entries, and only inserts of new keys move the growth on."
            if found.count == 0
            else f"Both arrays are attached to {found.count:,} entries; only writes move the growth on."
        )
        text = "Replace the map: delete and clear do nothing at count 0, and neither ever gives an array back."
        code = f"m = make({go_type(found)})" if found.count == 0 else rebuild(found)
        advice = Advice(text, code)
    else:
        why = (
            "The header shows the growth exactly; that it is stalled, one snapshot cannot show. Only writes move it on."
        )
        advice = finish_advice(found)
    return Finding(
        rule=RULE,
        title=TITLE_EMPTIED if emptied else TITLE,
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.INFERRED if emptied else Confidence.POSSIBLE,
        why=why,
        evidence=growth_evidence(found) | {"array_bytes": found.array_bytes, "noverflow": found.noverflow},
        advice=advice,
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
