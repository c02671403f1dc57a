"""R16: short string keys that are substrings of much larger buffers keep those buffers alive.

A string key is a pointer and a length; the collector keeps the whole object that the pointer lies in. Assigning to
a key that is already there replaces the key's pointer too (``mapassign_faststr``), so updating alone can pin new
buffers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings.columns import ints
from mapscope.findings.context import Context, StringKeys
from mapscope.findings.model import Advice, Finding
from mapscope.findings.selection import Selection, emit
from mapscope.maps.model import Confidence, Map
from mapscope.units import Addr

RULE = "R16"
TITLE = "short string keys keep large buffers alive"


def select(context: Context) -> Selection:
    """Maps with string keys, the largest first; the heap says which objects the keys lie in."""
    maps, limits = context.maps, context.thresholds
    is_string = np.array([t.key_kind == "string" and not t.key_indirect for t in maps.types] + [False])
    index = np.asarray(maps.columns["type_index"]).astype(np.int64)
    index = np.where((index < 0) | (index >= len(maps.types)), len(maps.types), index)
    count = ints(maps, "count")
    rows = np.flatnonzero(is_string[index] & (count > 0))
    rows = rows[np.argsort(-count[rows], kind="stable")][: limits.keys_max_maps]
    facts: dict[int, object] = {}
    held: dict[int, int] = {}
    for row, keys in zip(rows.tolist(), context.queries.string_keys(maps, rows), strict=True):
        if keys is None or keys.excess_bytes < 1:
            continue
        if keys.object_bytes >= limits.keys_factor * max(keys.object_bytes - keys.excess_bytes, 1):
            facts[row], held[row] = keys, keys.excess_bytes
    return Selection(
        np.fromiter(held, np.int64, len(held)),
        np.fromiter(held.values(), np.int64, len(held)),
        limits.keys_min_bytes,
        facts,
    )


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    assert isinstance(fact, StringKeys)
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.INFERRED,
        why=f"{fact.keys:,} keys of {fact.length_bytes:,} bytes in all point into {fact.objects:,} objects of "
        f"{fact.object_bytes:,} bytes. Where something else needs those objects too, cloning frees nothing.",
        evidence={
            "count": found.count,
            "keys": fact.keys,
            "key_length_bytes": fact.length_bytes,
            "objects": fact.objects,
            "object_bytes": fact.object_bytes,
            "excess_bytes": fact.excess_bytes,
        },
        advice=Advice(
            "Clone the key before it goes into the map, on updates too: an update replaces the key's pointer.",
            "m[strings.Clone(k)] = v",
        ),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
