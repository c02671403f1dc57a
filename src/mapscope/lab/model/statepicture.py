"""Pictures of a state machine: Mermaid text, as the article's own diagrams are, and SVG. Nothing else is needed."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from mapscope.lab.model.statemachine import ACTIONS, Machine, Node

_WIDTH, _LINE, _GAP_X, _GAP_Y, _MARGIN, _TOP, _SIDE = 250, 18, 150, 70, 30, 50, 70
_BEGINNINGS = {"mapiterinit", "Init"}
"""Events of an iterator that begins, which changes no array."""
_WRITES = ("new key", "new key beside an open range", "new key for the oldest", "update", "delete")
_ANY_WRITE = frozenset({*_WRITES, "delete of an absent key"})

Places = dict[Node, tuple[int, int]]


def labels(machine: Machine) -> dict[tuple[Node, Node], list[str]]:
    """For each two states with a way between them what leads there: a line for each set of events and its actions."""
    found: dict[tuple[Node, Node], dict[tuple[str, ...], list[str]]] = {}
    for edge in machine.changes():
        by_events = found.setdefault((edge.source, edge.target), {})
        events = tuple(name for name in edge.events if name not in _BEGINNINGS)
        by_events.setdefault(events, []).append(edge.action)
    return {ends: [_label(events, actions) for events, actions in lines.items()] for ends, lines in found.items()}


def stays(machine: Machine, node: Node) -> list[str]:
    """Actions that never lead out of a state."""
    leads = {edge.action for edge in machine.changes() if edge.source == node}
    return [action for action in ACTIONS if action not in leads]


def mermaid(machine: Machine) -> str:
    """The machine as a ``stateDiagram-v2``."""
    lines = ["stateDiagram-v2"]
    number = {node: f"s{at}" for at, node in enumerate(machine.nodes)}
    lines += [f'    state "{"<br/>".join([node.name, *_fields(node)])}" as {number[node]}' for node in machine.nodes]
    lines.append(f"    [*] --> {number[machine.nodes[0]]}")
    for (source, target), texts in labels(machine).items():
        lines += [f"    {number[source]} --> {number[target]}: {text}" for text in texts]
    return "\n".join(lines) + "\n"


def svg(machine: Machine, title: str) -> str:
    """The machine as an SVG document: a column for each step away from a new map; ways are numbered and told below."""
    places = _places(machine)
    ways = labels(machine)
    told = [
        f"{number}  {source.name} → {target.name}: {text}"
        for number, ((source, target), texts) in enumerate(ways.items(), start=1)
        for text in texts
    ]
    told += [f"In “{node.name}” for ever: {', '.join(stays(machine, node))}" for node in machine.nodes]
    right = max(x for x, _ in places.values()) + _WIDTH + _SIDE
    right = max(right, 2 * _MARGIN + 7 * max(map(len, told)))
    below = max(y + _height(node) for node, (_, y) in places.items()) + _MARGIN
    bottom = below + _LINE * len(told) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right}" height="{bottom}" viewBox="0 0 {right} {bottom}">',
        '<g font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">',
        '<path d="M0,0 L10,5 L0,10 z" fill="#555"/></marker>',
        f'<rect width="{right}" height="{bottom}" fill="#fff"/>',
        f'<text x="{_MARGIN}" y="24" font-size="14" font-weight="bold">{escape(title)}</text>',
        *(_way(places, source, target, number) for number, (source, target) in enumerate(ways, start=1)),
        *(_box(node, *place) for node, place in places.items()),
        *(
            f'<text x="{_MARGIN}" y="{below + _LINE * at}" fill="#333">{escape(line)}</text>'
            for at, line in enumerate(told, start=1)
        ),
    ]
    return "\n".join([*parts, "</g></svg>"]) + "\n"


def _label(events: Sequence[str], actions: Sequence[str]) -> str:
    ordered = [action for action in ACTIONS if action in actions]
    if set(ordered) >= _ANY_WRITE:
        ordered = ["any write", *(action for action in ordered if action not in _ANY_WRITE)]
    return ", ".join(ordered) + (f" ({', '.join(events)})" if events else "")


def _fields(node: Node) -> list[str]:
    return [f"{name} {value}" if value[0] in "<>" else f"{name} = {value}" for name, value in node.fields]


def _height(node: Node) -> int:
    return _LINE * (len(node.fields) + 1) + 14


def _places(machine: Machine) -> Places:
    """Left upper corners."""
    depth = {machine.nodes[0]: 0}
    queue = [machine.nodes[0]]
    for node in queue:  # grows
        for edge in machine.changes():
            if edge.source == node and edge.target not in depth:
                depth[edge.target] = depth[node] + 1
                queue.append(edge.target)
    below: dict[int, int] = {}
    places = {}
    for node in machine.nodes:
        column = depth.get(node, 0)
        top = below.get(column, _TOP + 30 * (column % 2))
        below[column] = top + _height(node) + _GAP_Y
        places[node] = _MARGIN + column * (_WIDTH + _GAP_X), top
    return places


def _way(places: Places, source: Node, target: Node, number: int) -> str:
    """An arrow with its number; those there and back keep apart."""
    (x1, y1), (x2, y2) = places[source], places[target]
    half1, half2 = _height(source) // 2, _height(target) // 2
    if x1 != x2:
        there = x1 < x2
        shift = -9 if there else 9
        start = (x1 + _WIDTH if there else x1, y1 + half1 + shift)
        stop = (x2 if there else x2 + _WIDTH, y2 + half2 + shift)
        middle = (start[0] + stop[0]) // 2
        bend = [(middle, start[1] + 2 * shift), (middle, stop[1] + 2 * shift)]
    elif abs(y2 - y1) > max(_height(source), _height(target)) + 2 * _GAP_Y:  # past a box in between
        start, stop = (x1 + _WIDTH, y1 + half1), (x2 + _WIDTH, y2 + half2)
        bend = [(start[0] + _SIDE, start[1]), (stop[0] + _SIDE, stop[1])]
    else:
        down = y1 < y2
        side = 40 if down else _WIDTH - 40
        start = (x1 + side, y1 + 2 * half1 if down else y1)
        stop = (x2 + side, y2 if down else y2 + 2 * half2)
        bend = [start, stop]
    # a point of the cubic curve at 0.4 of its way
    x, y = (round(0.216 * start[at] + 0.432 * bend[0][at] + 0.288 * bend[1][at] + 0.064 * stop[at]) for at in (0, 1))
    return (
        f'<path d="M{start[0]},{start[1]} C{bend[0][0]},{bend[0][1]} {bend[1][0]},{bend[1][1]} {stop[0]},{stop[1]}" '
        'fill="none" stroke="#555" marker-end="url(#tip)"/>'
        f'<circle cx="{x}" cy="{y}" r="9" fill="#fff" stroke="#555"/>'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle" font-size="11">{number}</text>'
    )


def _box(node: Node, x: int, y: int) -> str:
    parts = [
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_height(node)}" rx="6" fill="#eef3fa" stroke="#345"/>',
        f'<text x="{x + 10}" y="{y + 20}" font-weight="bold">{escape(node.name)}</text>',
    ]
    for at, words in enumerate(_fields(node), start=1):
        parts.append(f'<text x="{x + 10}" y="{y + 20 + _LINE * at}">{escape(words)}</text>')
    return "".join(parts)
