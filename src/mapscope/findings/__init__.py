"""The rules, one module each, and :func:`run`, which asks them all.

Each rule module has ``RULE``, ``TITLE``, ``select(context)`` (the condition, on columns), ``describe(...)`` (the
words for one map) and ``check(context)`` (the findings of that rule alone). ``run`` adds what no rule can know
alone: which of several rules on one map counts its bytes, so that a sum over findings without ``part_of`` counts no
byte twice.
"""

from __future__ import annotations

from types import ModuleType

from mapscope.findings import (
    r01_stalled_growth,
    r02_same_size,
    r03_stale_values,
    r09_sparse,
    r10_overhinted,
    r11_overflow,
    r12_tombstones,
    r13_large_inline,
    r16_substring_keys,
)
from mapscope.findings.context import Context
from mapscope.findings.model import Finding
from mapscope.findings.overlap import resolve
from mapscope.findings.selection import emit

RULES: tuple[ModuleType, ...] = (
    r01_stalled_growth,
    r02_same_size,
    r03_stale_values,
    r09_sparse,
    r10_overhinted,
    r11_overflow,
    r12_tombstones,
    r13_large_inline,
    r16_substring_keys,
)
"""Every rule, in the order of the catalogue."""


def run(context: Context) -> tuple[Finding, ...]:
    """All findings, the largest first. Those with ``part_of`` repeat bytes of another finding on the same map."""
    selections = {rule.RULE: rule.select(context) for rule in RULES}
    sharing = {
        "R2": r02_same_size.emptied_part(context, selections["R2"]),
        **{rule: selections[rule] for rule in ("R11", "R9", "R12", "R10", "R13")},
    }
    part_of = resolve(sharing)
    found = [
        finding
        for rule in RULES
        for finding in emit(context, selections[rule.RULE], rule.describe, part_of.get(rule.RULE))
    ]
    return tuple(sorted(found, key=lambda f: (-f.bytes, f.part_of != "", int(f.rule[1:]), f.subject)))
