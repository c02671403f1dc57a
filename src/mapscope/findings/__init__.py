"""The rules, one module each, and :func:`run`, which asks them all.

Each rule module has ``RULE``, ``TITLE``, ``describe(...)`` (the words for one map or iterator) and ``check(context)``
(the findings of that rule alone); a rule on maps has also ``select(context)`` (the condition, on columns). ``run`` adds
what no rule can know alone: which of several rules on one map counts its bytes, so that a sum over findings without
``part_of`` counts no byte twice.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType

from msgspec.structs import replace

from mapscope.findings import (
    r01_stalled_growth,
    r02_same_size,
    r03_stale_values,
    r04_iterator_array,
    r05_iterator_table,
    r06_abandoned_map,
    r07_exhausted_iterator,
    r08_pull_without_stop,
    r09_sparse,
    r10_overhinted,
    r11_overflow,
    r12_tombstones,
    r13_large_inline,
    r14_sync_map,
    r15_sync_range,
    r16_substring_keys,
    r17_conservative_pin,
)
from mapscope.findings.context import Context
from mapscope.findings.model import Finding
from mapscope.findings.overlap import resolve
from mapscope.findings.selection import Selection, emit
from mapscope.heap.later import Later

MAP_RULES: tuple[ModuleType, ...] = (
    r01_stalled_growth,
    r02_same_size,
    r03_stale_values,
    r09_sparse,
    r10_overhinted,
    r11_overflow,
    r12_tombstones,
    r13_large_inline,
    r14_sync_map,
    r16_substring_keys,
)
"""Rules on rows of the table of maps."""
ITERATOR_RULES: tuple[ModuleType, ...] = (
    r04_iterator_array,
    r05_iterator_table,
    r06_abandoned_map,
    r07_exhausted_iterator,
    r08_pull_without_stop,
    r15_sync_range,
    r17_conservative_pin,
)
"""Rules on iterators; an iterator gives at most one finding."""
RULES: tuple[ModuleType, ...] = tuple(sorted(MAP_RULES + ITERATOR_RULES, key=lambda rule: int(rule.RULE[1:])))
"""Every rule, in the order of the catalogue."""
WHOLE_MAP = frozenset({"R6", "R7", "R8", "R15"})
"""Rules whose bytes are those of the whole map: what other rules say of that map is a part of them."""


def begin(context: Context) -> Later[Selection]:
    """Begins R16, which alone reads as much as all others, in the other thread."""
    return Later(partial(r16_substring_keys.select, context)).start()


def run(context: Context, keys: Later[Selection] | None = None) -> tuple[Finding, ...]:
    """All findings, the largest first. Those with ``part_of`` repeat bytes of another finding on the same map.

    ``keys``: what ``begin`` gave, where the caller had something else to do meanwhile.
    """
    keys = keys or begin(context)
    selections = {rule.RULE: keys.get() if rule is r16_substring_keys else rule.select(context) for rule in MAP_RULES}
    sharing = {
        "R2": r02_same_size.emptied_part(context, selections["R2"]),
        **{rule: selections[rule] for rule in ("R11", "R9", "R12", "R10", "R13")},
    }
    part_of = resolve(sharing)
    part_of["R1"] = r14_sync_map.frozen_part(selections["R14"])
    found = [
        finding
        for rule in MAP_RULES
        for finding in emit(context, selections[rule.RULE], rule.describe, part_of.get(rule.RULE))
    ]
    pins = [finding for rule in ITERATOR_RULES for finding in rule.check(context)]
    whole = {pin.subject: pin.rule for pin in pins if pin.rule in WHOLE_MAP and pin.maps == 1}
    found = [replace(f, part_of=whole.get(f.subject, f.part_of)) if f.maps == 1 else f for f in found] + pins
    return tuple(sorted(found, key=lambda f: (-f.bytes, f.part_of != "", int(f.rule[1:]), f.subject)))
