"""Owners of maps: the way from a root in words that many maps share, and the tree of all ways by their bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mapscope.heap.holding import HeldTable
from mapscope.report import document as doc
from mapscope.report.holding import step_row
from mapscope.report.page.pack import Column, Texts
from mapscope.report.page.steps import label

UNKNOWN = "not known"
"""Owner of a map without a chain."""
MOST_LEVELS = 5
"""Steps of a chain that the tree of owners tells apart: the root, and the last ones before the map."""
MOST_CHILDREN = 60
"""Children of a node; the smaller ones are one node that says how many."""

_GOROUTINE = re.compile(r"^goroutine \d+")
_LINE = re.compile(r" \([^()]*:\d+\)$")
_INDEX = re.compile(r"\[\d+\]")
_HIDDEN = ("hmap<", "maps.Map<")


def owners(held: HeldTable) -> Iterator[str | None]:
    """By row, the root of its chain and its first field: ``global main.srv .cache``; None where it is not known."""
    for words in paths(held):
        yield " ".join(words[:1]) if words else None


def paths(held: HeldTable) -> Iterator[tuple[str, ...]]:
    """By row, the words of its way from the root to the map, those that many maps share alike; empty: not known."""
    words = [_word(step_row(word)) for word in held.chains.steps.words]
    word = held.chains.steps.word
    codes = held.chains.codes
    known: dict[tuple[int, ...], tuple[str, ...]] = {}
    ranges = zip(held.live.tolist(), held.chains.ranges.tolist(), strict=True)
    for live, (begin, end) in ranges:
        if not live or end <= begin:
            yield ()
            continue
        key = tuple(word[codes[begin:end]].tolist())
        made = known.get(key)
        if made is None:
            texts = [words[code] for code in key[:-1]] or [words[key[0]]]
            made = known[key] = _shortened([text for text in texts if text])
        yield made


def _word(step: doc.StepRow) -> str:
    """A step with its field, without what differs from goroutine to goroutine and from element to element."""
    if (step.type or "").startswith(_HIDDEN) and step.kind == "object":
        return ""  # the header of a map on the way: its array follows
    text = label(step)
    if step.kind == "goroutine":
        text = _LINE.sub("", _GOROUTINE.sub("goroutines", text))
    return text + (" " + _INDEX.sub("[]", step.field) if step.field else "")


def _shortened(texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) <= MOST_LEVELS:
        return tuple(texts)
    return (texts[0], "…", *texts[-(MOST_LEVELS - 2) :])


@dataclass(slots=True)
class _Node:
    label: str
    bytes: int = 0
    waste: int = 0
    maps: int = 0
    row: int = -1
    children: dict[object, _Node] = field(default_factory=dict)


def owner_tree(
    held: HeldTable, sizes: npt.NDArray[np.generic], waste: npt.NDArray[np.generic], labels: Sequence[str],
    rest: Mapping[str, int],
) -> Mapping[str, Column]:  # fmt: skip
    """The maps as leaves under the ways to them, largest first: the treemap's section.

    ``sizes``, ``waste``: bytes by row. ``labels``: words of each map. ``rest``: sums of the maps that have no row.
    """
    root = _Node("all maps")
    columns = zip(paths(held), sizes.tolist(), waste.tolist(), labels, strict=True)
    for row, (path, size, lost, name) in enumerate(columns):
        node = root
        for one in (node, *_down(node, path or (UNKNOWN,))):
            one.bytes, one.waste, one.maps, node = one.bytes + size, one.waste + lost, one.maps + 1, one
        node.children[row] = _Node(name, size, lost, 1, row)
    if rest["maps"]:
        few = _Node(f"{rest['maps']:,} smaller maps", rest["bytes"], rest["waste_bytes"], rest["maps"])
        root.children[-1] = few
        root.bytes, root.waste, root.maps = root.bytes + few.bytes, root.waste + few.waste, root.maps + few.maps
    return _columns(root)


def _down(node: _Node, path: Sequence[str]) -> Iterator[_Node]:
    for word in path:
        node = node.children.setdefault(word, _Node(word))
        yield node


def _columns(root: _Node) -> Mapping[str, Column]:
    """Breadth first, so that parents stand before their children."""
    rows: list[tuple[int, _Node]] = [(-1, root)]
    at = 0
    while at < len(rows):
        children = sorted(rows[at][1].children.values(), key=lambda child: -child.bytes)
        rows += [(at, child) for child in children[:MOST_CHILDREN]]
        few = children[MOST_CHILDREN:]
        if few:
            count = sum(child.maps for child in few)
            sums = _Node(f"{count:,} smaller maps", sum(c.bytes for c in few), sum(c.waste for c in few), count)
            rows.append((at, sums))
        at += 1
    return {
        "parent": np.array([parent for parent, _ in rows], dtype=np.int64),
        "label": Texts.of(node.label for _, node in rows),
        "bytes": np.array([node.bytes for _, node in rows], dtype=np.uint64),
        "waste_bytes": np.array([node.waste for _, node in rows], dtype=np.uint64),
        "maps": np.array([node.maps for _, node in rows], dtype=np.int64),
        "row": np.array([node.row for _, node in rows], dtype=np.int64),
    }
