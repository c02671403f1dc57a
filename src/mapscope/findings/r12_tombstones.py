"""R12: a Swiss map whose tables were doubled by tombstones, not by entries.

A delete in a full group leaves a tombstone, which counts against the load of 7/8 (``table.tombstones``,
internal/runtime/maps/table.go). Go 1.24 drops tombstones only when it grows or splits a table, so steady churn ends
at up to four times the slots. From Go 1.25 on inserts prune them first (``table.pruneTombstones``), but only those of
maps with a fast assign function: ``runtime_mapassign`` does not (runtime_swiss.go of 1.25, runtime.go of 1.26, 1.27).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings.columns import current_waste, ints, is_sparse, is_swiss, slots_for
from mapscope.findings.context import Context
from mapscope.findings.model import Advice, Finding
from mapscope.findings.r09_sparse import sparse_evidence
from mapscope.findings.selection import Selection, emit
from mapscope.findings.sketch import rebuild
from mapscope.maps.model import Confidence, Map
from mapscope.units import Addr

RULE = "R12"
TITLE = "tombstones of deleted entries blew up the tables"


def select(context: Context) -> Selection:
    """Maps with many tombstones and far more slots than they need; the bytes are those beyond make(map, count)."""
    maps, limits = context.maps, context.thresholds
    tombstones, slots = ints(maps, "tombstones"), ints(maps, "capacity")
    bloated = (tombstones > limits.tombstone_share * slots) & is_sparse(
        maps, context.go_release, limits.tombstone_factor
    )
    if context.go_release < (1, 25):
        bloated |= (tombstones > limits.churn_share * slots) & is_sparse(maps, context.go_release, limits.churn_factor)
    return Selection.where(np.asarray(is_swiss(maps) & bloated), current_waste(maps), limits.sparse_min_bytes)


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    needed = slots_for(np.array([min(found.count, 2**48)]), np.array([True]), context.go_release)
    times = found.capacity // int(needed[0])
    share = 100 * found.tombstones // max(found.capacity, 1)
    fast = "where keys are integers of 32 or 64 bits, pointers or strings and values at most 128 bytes"
    if context.go_release < (1, 25):
        text = (
            "Go 1.24 drops tombstones only when a table grows; from Go 1.25 on inserts prune them "
            f"{fast}. Until then, and for other types, rebuild it."
        )
    else:
        text = (
            f"Inserts prune tombstones from Go 1.25 on {fast}, not in maps of other types; and the tables never "
            "shrink: rebuild the map to give them back."
        )
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.EXACT,
        why=f"{share} % of the slots are tombstones (capacity*7/8 - used - growthLeft, over {found.tables:,} tables), "
        f"and the slots are {times:,} times what the entries need.",
        evidence=sparse_evidence(found) | {"growth_left": found.growth_left},
        advice=Advice(text, rebuild(found)),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
