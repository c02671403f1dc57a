"""Chains, dominators and suspects as rows of the document, and as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mapscope.heap.holding import Dominator, Held
from mapscope.heap.steps import Step
from mapscope.report import document as doc
from mapscope.report.escape import clean, valid
from mapscope.report.style import Style, percent
from mapscope.units import hex_addr, human_bytes

SHOWN_STEPS = 12
"""Steps of a chain that the text shows; the document has all."""
_ARROW = " → "


def step_row(step: Step) -> doc.StepRow:
    """One step; its address is null where it has none."""
    return doc.StepRow(
        kind=step.kind,
        address=hex_addr(step.address) if step.address else None,
        type=None if step.type is None else valid(step.type),
        field=None if step.field is None else valid(step.field),
        name=None if step.name is None else valid(step.name),
        goroutine=step.goroutine,
    )


class StepRows:
    """Rows of steps, each distinct step made once: many chains share their beginnings."""

    def __init__(self) -> None:
        """Starts with none."""
        self._known: dict[int, tuple[Step, doc.StepRow]] = {}

    def row(self, step: Step) -> doc.StepRow:
        """As ``step_row``."""
        found = self._known.get(id(step))
        if found is None:
            found = self._known[id(step)] = (step, step_row(step))
        return found[1]

    def chain(self, held: Held | None) -> list[doc.StepRow] | None:
        """The rows of a chain; None where nothing is known."""
        return None if held is None else [self.row(step) for step in held.chain]

    def dominator(self, held: Held | None) -> doc.StepRow | None:
        """The row of the dominator."""
        return None if held is None or held.dominator is None else self.row(held.dominator)


def dominator_row(found: Dominator) -> doc.DominatorRow:
    """One node of the dominator tree."""
    return doc.DominatorRow(
        step=step_row(found.step),
        count=found.count,
        retained_bytes=found.retained,
        shallow_bytes=found.shallow,
        chain=[step_row(step) for step in found.chain],
        gathers=[step_row(step) for step in found.gathers],
    )


def step_text(step: doc.StepRow) -> str:
    """``global main.srv``, ``*main.Server .cache``, ``hmap<map[int]int> .oldbuckets``."""
    parts = []
    if step.kind in ("object", "skipped"):
        parts.append(_object_text(step))
    elif step.kind == "goroutine":
        parts.append(
            f"{clean(step.name or 'goroutine')} stack" if " in " not in (step.name or "") else clean(step.name or "")
        )
    elif step.kind == "map":
        parts.append(f"{clean(step.type or 'map')} on the stack")
    elif step.kind == "iterator":
        parts.append(f"iterator over {clean(step.type or 'a map')} on the stack")
    elif step.kind == "global":
        parts.append(_global_text(step))
    else:
        parts.append(clean(step.name or step.kind))
        if step.type:
            parts.append(clean(step.type))
    if step.field:
        parts.append(clean(step.field))
    return " ".join(parts)


def _object_text(step: doc.StepRow) -> str:
    if step.kind == "skipped":
        return f"({clean(step.name or '')})"
    if step.type is None:
        return f"object {step.address}"
    pseudo = "<" in step.type and step.type.split("<", 1)[0] in _PSEUDO
    if pseudo and not step.type.startswith(_HEADERS):
        return step.type.split("<", 1)[0]  # the header before it says which map it is
    return clean(step.type) if pseudo or step.type.startswith("[]") else "*" + clean(step.type)


_HEADERS = ("hmap<", "maps.Map<", "hchan<")
_PSEUDO = frozenset(
    {"hmap", "maps.Map", "hchan", "bucket", "[]bucket", "group", "[]group", "table", "*table", "[]*table"}
)


def _global_text(step: doc.StepRow) -> str:
    name = clean(step.name or "?")
    return f"global at {name}" if "+0x" in name.split(",")[0] else f"global {name}"


def chain_text(steps: Sequence[doc.StepRow], most: int = SHOWN_STEPS) -> str:
    """The steps with arrows between them; the middle of a long chain is left out."""
    texts = [step_text(step) for step in steps]
    if len(texts) > most:
        left = len(texts) - most
        texts = [*texts[: most // 2], f"({left} more)", *texts[most // 2 + left :]]
    return _ARROW.join(texts)


def held_lines(finding: doc.FindingRow, indent: str, style: Style) -> Iterator[str]:
    """One wrapped line: who holds the map of a finding."""
    if finding.chain:
        yield from style.wrap(f"held by: {chain_text(finding.chain)}", indent + "    ", indent)


def suspect_lines(suspects: Iterable[doc.DominatorRow], live: int, style: Style) -> Iterator[str]:
    """A few lines a suspect: how much, what, through whom."""
    for number, found in enumerate(suspects, 1):
        share = percent(found.retained_bytes, live)
        of = f", {share} of the live heap" if share else ""
        what = step_text(found.step)
        if found.count > 1:
            what = f"{found.count:,} objects {what}"
        yield from style.wrap(f"{style.bad(human_bytes(found.retained_bytes))}{of}: {what}", "     ", f"  {number}. ")
        if len(found.chain) > 1:
            yield from style.wrap(f"held by: {chain_text(found.chain)}", "         ", "     ")
        gathers = [step for step in found.gathers if step.type or step.address]
        if gathers and found.count == 1:
            yield from style.wrap(f"it gathers in: {_gathers(gathers[-1])}", "         ", "     ")


def _gathers(step: doc.StepRow) -> str:
    where = f" at {step.address}" if step.address and step.type else ""
    return step_text(step) + where
