"""Owners of maps: the way from a root in words that many maps share, and the tree of all ways by their bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.heap.holding import HeldTable
from mapscope.report import document as doc
from mapscope.report.holding import step_row
from mapscope.report.page.pack import Column, Texts
from mapscope.report.page.steps import label

UNKNOWN = "not known"
"""Owner of a map without a chain."""
MOST_LEVELS = 16
"""Words of a way that the tree of owners tells apart: the root, and the last ones before the map."""

_GOROUTINE = re.compile(r"^goroutine \d+")
_LINE = re.compile(r" \([^()]*:\d+\)$")
_INDEX = re.compile(r"\[\d+\]")
_LEFT_OUT = "…"
_MOST_JOINED = 4
_HIDDEN = ("hmap<", "maps.Map<")


def owners(paths_of: Sequence[tuple[str, ...]]) -> Iterator[str | None]:
    """By row, the nearest object or root that is no part of a map, and what leads on: ``*main.Service .cache``.

    ``paths_of``: as ``paths`` gives them. None where it is not known.
    """
    for path in paths_of:
        at = max((at for at, word in enumerate(path) if not word.startswith((".", "[", "bucket", "group"))), default=0)
        yield " ".join(path[at:]) if path else None


def paths(held: HeldTable) -> list[tuple[str, ...]]:
    """By row, the words of its way from the root to the map, those that many maps share alike; empty: not known.

    An object and the field that leads on are two words.
    """
    words = [_words(step_row(word)) for word in held.chains.steps.words]
    word, codes = held.chains.steps.word, held.chains.codes
    known: dict[tuple[int, ...], tuple[str, ...]] = {}
    out: list[tuple[str, ...]] = []
    for live, (begin, end) in zip(held.live.tolist(), held.chains.ranges.tolist(), strict=True):
        if not live or end <= begin:
            out.append(())
            continue
        key = tuple(word[codes[begin:end]].tolist())
        made = known.get(key)
        if made is None:
            way = [text for code in key[:-1] for text in words[code]] or words[key[0]][:1]
            made = known[key] = _shortened(way)
        out.append(made)
    return out


def _words(step: doc.StepRow) -> list[str]:
    """A step and its field, without what differs from goroutine to goroutine and from element to element."""
    if (step.type or "").startswith(_HIDDEN) and step.kind == "object":
        return []  # the header of a map on the way: its array follows
    text = label(step)
    if step.kind == "goroutine":
        text = _LINE.sub("", _GOROUTINE.sub("goroutines", text))
    return [text, _INDEX.sub("[]", step.field)] if step.field else [text]


def _shortened(texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) <= MOST_LEVELS:
        return tuple(texts)
    return (texts[0], _LEFT_OUT, *texts[-(MOST_LEVELS - 2) :])


class _Node(Struct):
    label: str
    bytes: int = 0
    waste: int = 0
    maps: int = 0
    row: int = -1
    children: dict[object, _Node] = field(default_factory=dict)


def owner_tree(
    paths_of: Sequence[tuple[str, ...]], sizes: npt.NDArray[np.generic], waste: npt.NDArray[np.generic],
    labels: Sequence[str], rest: Mapping[str, int], most: int,
) -> Mapping[str, Column]:  # fmt: skip
    """The maps as leaves under the ways to them, largest first: the treemap's section.

    ``paths_of``: as ``paths`` gives them; ``sizes``, ``waste``: bytes by row. ``labels``: words of each map. ``rest``:
    sums of the maps that have no row. ``most``: children of a node; the smaller ones are one that says how many.
    """
    root = _Node("all maps")
    columns = zip(paths_of, sizes.tolist(), waste.tolist(), labels, strict=True)
    for row, (path, size, lost, name) in enumerate(columns):
        node = root
        for one in (node, *_down(node, path or (UNKNOWN,))):
            one.bytes, one.waste, one.maps, node = one.bytes + size, one.waste + lost, one.maps + 1, one
        node.children[row] = _Node(name, size, lost, 1, row)
    if rest["maps"]:
        few = _Node(f"{rest['maps']:,} smaller maps", rest["bytes"], rest["waste_bytes"], rest["maps"])
        root.children[-1] = few
        root.bytes, root.waste, root.maps = root.bytes + few.bytes, root.waste + few.waste, root.maps + few.maps
    return _columns(root, most)


def _down(node: _Node, path: Sequence[str]) -> Iterator[_Node]:
    for word in path:
        node = node.children.setdefault(word, _Node(word))
        yield node


def _columns(root: _Node, most: int) -> Mapping[str, Column]:
    """Breadth first, so that parents stand before their children."""
    rows: list[tuple[int, _Node]] = [(-1, root)]
    at = 0
    while at < len(rows):
        children = sorted(map(_joined, rows[at][1].children.values()), key=lambda child: -child.bytes)
        rows += [(at, child) for child in children[:most]]
        few = children[most:]
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


def _joined(node: _Node) -> _Node:
    """A node with one child and that child as one: nobody wants to open boxes that hold one box."""
    words = [node.label]
    while len(node.children) == 1:
        (node,) = node.children.values()
        words.append(node.label)
    if len(words) > _MOST_JOINED:
        last = [word for word in words[-3:] if word != _LEFT_OUT]
        words = [*words[:1], *([_LEFT_OUT] if words[0] != _LEFT_OUT else []), *last]
    node.label = " › ".join(words)
    return node
