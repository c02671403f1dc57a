"""Steps of chains as the page draws them: what each is, and the field that leads on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from mapscope.heap.steps import StepTable
from mapscope.report import document as doc
from mapscope.report.holding import step_row, step_text
from mapscope.report.page.pack import Column, Texts


def step_value(step: doc.StepRow) -> dict[str, object]:
    """One step: kind, words, the field that leads on, address and goroutine where it has them."""
    return {"kind": step.kind, "label": label(step), "field": step.field, "address": step.address,
            "goroutine": step.goroutine}  # fmt: skip


def chain_value(chain: Sequence[doc.StepRow] | None) -> list[dict[str, object]] | None:
    """A chain; None where it is not known."""
    return None if chain is None else [step_value(step) for step in chain]


def label(step: doc.StepRow) -> str:
    """The words of a step without its field. Objects of no known type are just objects: the address stands beside."""
    if step.kind == "object" and step.type is None:
        return "object"
    return step_text(msgspec.structs.replace(step, field=None))


def step_columns(table: StepTable) -> Mapping[str, Column]:
    """Many steps."""
    rows = [step_row(word) for word in table.words]
    goroutine = np.array([row.goroutine or 0 for row in rows] or [0], dtype=np.uint64)
    return {
        "kind": Texts.coded(table.word, [row.kind for row in rows]),
        "label": Texts.coded(table.word, [label(row) for row in rows]),
        "field": Texts.coded(np.where(_there(rows)[table.word], table.word, -1), [row.field or "" for row in rows]),
        "address": table.address,
        "goroutine": goroutine[table.word] if len(table.word) else np.zeros(0, np.uint64),
    }


def _there(rows: Sequence[doc.StepRow]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([row.field is not None for row in rows] or [False], dtype=np.bool_)
