"""R14: a ``sync.Map`` up to Go 1.23 keeps entries that were deleted, or a read map that is frozen in mid growth.

``Delete`` of a key in ``read.m`` sets ``entry.p`` to nil and leaves the key in the map; the key goes only when a Store
of a new key copies the live entries to ``dirty`` and enough misses put ``dirty`` in the place of ``read.m``
(``dirtyLocked``, ``missLocked``; sync/map.go). And nothing ever writes to ``read.m``: a ``dirty`` that was promoted in
mid growth keeps its old bucket array until it is replaced. From Go 1.24 on ``sync.Map`` is another structure.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from mapscope.findings.columns import ints, is_swiss
from mapscope.findings.context import Context, DeadEntries, SyncMap
from mapscope.findings.model import Advice, Finding
from mapscope.findings.r01_stalled_growth import growth_evidence
from mapscope.findings.r01_stalled_growth import select as doubling
from mapscope.findings.selection import Selection, emit
from mapscope.maps.facts import ENTRY_MAP
from mapscope.maps.model import Confidence, Map
from mapscope.units import Addr

RULE = "R14"
TITLE = "sync.Map keeps entries that were deleted"
TITLE_FROZEN = "read map of a sync.Map is frozen in mid growth"
TITLE_BOTH = "sync.Map keeps entries that were deleted, and a read map frozen in mid growth"


class SyncFact(Struct, frozen=True):
    """What is wrong with one ``sync.Map``."""

    sync: SyncMap
    dead: DeadEntries | None
    """None where too few entries are dead, or too little hangs on them."""
    old_bytes: int
    """Bytes of the old array of a ``read.m`` that stands in mid growth; 0 where it does not."""


def select(context: Context) -> Selection:
    """``read.m`` of each ``sync.Map`` with dead entries enough, or frozen in a doubling growth with ``dirty`` nil."""
    maps, limits = context.maps, context.thresholds
    count = ints(maps, "count")
    none = np.zeros(0, dtype=np.int64)
    least = limits.growth_min_bytes
    large = ~is_swiss(maps) & (count >= limits.sync_min_entries)
    entry = np.array([t.name == ENTRY_MAP for t in maps.types] + [False])
    index = np.asarray(maps.columns["type_index"]).astype(np.int64)
    rows = np.flatnonzero(large & entry[np.where((index < 0) | (index >= len(maps.types)), len(maps.types), index)])
    if not len(rows):
        return Selection(none, none, least)
    row_of = dict(zip(np.asarray(maps.columns["address"])[rows].tolist(), rows.tolist(), strict=True))
    growths = doubling(context)
    old = dict(zip(growths.rows.tolist(), growths.bytes.tolist(), strict=True))
    pairs = [(one, row_of[one.read]) for one in context.queries.sync_maps if one.read in row_of]
    pairs.sort(key=lambda pair: (-int(count[pair[1]]), pair[1]))
    facts: dict[int, object] = {}
    held: dict[int, int] = {}
    marked = 0
    for rank, (one, row) in enumerate(pairs):
        ask = rank < limits.sync_max_maps and marked < limits.sync_max_marked
        dead = context.queries.dead_entries(one, limits.sync_dead_share) if ask else None
        marked += dead is not None
        if dead is not None and dead.bytes < limits.sparse_min_bytes:
            dead = None
        frozen = 0 if one.dirty or one.amended else old.get(row, 0)
        if dead is not None or frozen:
            facts[row] = SyncFact(one, dead, frozen)
            held[row] = frozen + (dead.bytes if dead is not None else 0)
    return Selection(
        np.fromiter(held, np.int64, len(held)), np.fromiter(held.values(), np.int64, len(held)), least, facts
    )


def frozen_part(selection: Selection) -> dict[int, str]:
    """Rows whose old array this rule counts, so that R1 does not."""
    facts = selection.facts.items()
    return {row: RULE for row, fact in facts if isinstance(fact, SyncFact) and fact.old_bytes}


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one ``sync.Map``; the subject is its ``read.m``."""
    assert isinstance(fact, SyncFact)
    one, dead = fact.sync, fact.dead
    evidence: dict[str, int | str] = {
        "sync_map": one.address, "read": one.read, "dirty": one.dirty, "amended": int(one.amended),
        "count": found.count,
    }  # fmt: skip
    why = []
    if dead is not None:
        why.append(
            f"Of {dead.entries:,} entries {dead.dead:,} are deleted (p is nil or expunged); {dead.objects:,} objects "
            "are reached through their slots alone."
        )
        if one.amended or one.dirty:
            why.append("dirty is there, so enough misses will put it in the place of the read map and drop some of it.")
        else:
            why.append("They stay until a new key is stored and dirty is promoted after that.")
        evidence |= {
            "entries": dead.entries, "dead": dead.dead, "expunged": dead.expunged, "slots": dead.slots,
            "slot_bytes": dead.slot_bytes, "objects": dead.objects, "object_bytes": dead.object_bytes,
        }  # fmt: skip
    if fact.old_bytes:
        why.append(
            "The read map stands in mid growth and nothing writes to a read map, so its old array stays until a new "
            "key is stored and dirty is promoted after that."
        )
        evidence |= growth_evidence(found)
    title = TITLE if not fact.old_bytes else TITLE_FROZEN if dead is None else TITLE_BOTH
    sure = Confidence.POSSIBLE if one.dirty or one.amended else Confidence.EXACT
    return Finding(RULE, title, held, Addr(found.address), sure, " ".join(why), evidence, _ADVICE)


_ADVICE = Advice(
    "From Go 1.24 on sync.Map drops a key when it is deleted and has no read map. Before, rebuild it: copy what is "
    "left into a new sync.Map and swap the pointer while nothing stores; or use a plain map under a sync.RWMutex where "
    "keys come and go.",
    "next := new(sync.Map)\nold.Range(func(k, v any) bool {\n\tnext.Store(k, v)\n\treturn true\n})\n"
    "current.Store(next) // current is an atomic.Pointer[sync.Map]",
)


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
