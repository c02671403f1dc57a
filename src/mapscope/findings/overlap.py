"""Several rules can claim the bytes of one map's current arrays; exactly one of them counts them."""

from __future__ import annotations

from collections.abc import Mapping

from mapscope.findings.selection import Selection


def resolve(sharing: Mapping[str, Selection]) -> dict[str, dict[int, str]]:
    """For each rule, the rows whose bytes another rule counts, and which.

    ``sharing`` holds the selections of the rules that claim parts of the same arrays, the more telling rule first.
    On each row the largest claim counts; of equal claims the first rule's. The other claims are parts of it.
    """
    best: dict[int, tuple[int, str]] = {}
    for rule, selection in sharing.items():
        for row, held in zip(selection.rows.tolist(), selection.bytes.tolist(), strict=True):
            if row not in best or held > best[row][0]:
                best[row] = (held, rule)
    return {
        rule: {row: best[row][1] for row in selection.rows.tolist() if best[row][1] != rule}
        for rule, selection in sharing.items()
    }
