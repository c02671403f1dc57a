"""``mapscope growth plan`` as text: why, what moves where, what becomes of each node, what moves do not mend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mapscope.report.escape import clean
from mapscope.report.growth_document import GrowthPlanDocument, NodeChangeRow, TriggerRow
from mapscope.report.style import Style, next_commands, shorten, table, wrap
from mapscope.units import human_bytes

_NAME = 18
_SHOWN = 40


def render(document: GrowthPlanDocument, commands: Sequence[str] = (), style: Style | None = None) -> Iterator[str]:
    """The plan, at most 80 columns wide; ``commands`` are what to run next."""
    style = style or Style()
    fleet = document.fleet
    yield f"{fleet.nodes:,} nodes, {fleet.shards:,} shards, mean load {fleet.mean_load:.2f}"
    yield (
        f"busiest node {fleet.node_skew:.2f} times the mean; heaviest shard {fleet.skew_ratio:.2f} times the mean shard"
    )
    yield ""
    if not document.triggers:
        yield style.good("Nothing is beyond a threshold: no moves.")
        return
    yield style.head("WHY")
    for one in document.triggers[:_SHOWN]:
        yield "  " + _trigger(one)
    yield from _more(len(document.triggers))
    if document.moves:
        yield ""
        yield from _moves(document, style)
        yield ""
        yield from _nodes(document, style)
    if document.advice:
        yield ""
        yield style.head("WHAT MOVES DO NOT MEND")
        for note in document.advice[:_SHOWN]:
            yield from wrap(clean(note.text, 500), indent="    ", first="  - ")
        yield from _more(len(document.advice))
    yield from next_commands(commands, style)


def _trigger(one: TriggerRow) -> str:
    sign = "<" if one.cause == "free_capacity" else ">"
    return f"{one.cause:14} {_name(one.subject):{_NAME}} {one.value:6.3f} {sign} {one.threshold:.3f}"


def _moves(document: GrowthPlanDocument, style: Style) -> Iterator[str]:
    count = len(document.moves)
    head = f"{count:,} move{'' if count == 1 else 's'}, {human_bytes(document.bytes_moved)}"
    yield style.head("MOVES") + f"  {head} (no plan with less than {human_bytes(document.lower_bound_bytes)})"
    cells = [
        (str(at), str(move.shard), _name(move.source), _name(move.target), human_bytes(move.size_bytes),
         f"+{move.load:.3f}", f"{move.skew_after:.6f}")
        for at, move in enumerate(document.moves[:_SHOWN], 1)
    ]  # fmt: skip
    yield from table(("", "shard", "from", "to", "size", "load", "imbalance"), cells, ">><<>>>")
    yield from _more(count)
    yield f"  imbalance {document.skew_before:.6f} before, {document.skew_after:.6f} after all of them"


def _nodes(document: GrowthPlanDocument, style: Style) -> Iterator[str]:
    changed = [one for one in document.nodes if _changed(one)]
    yield style.head("NODES") + f"  {len(changed):,} of {len(document.nodes):,} change"
    cells = [
        (_name(one.name), f"{one.load_before:.3f}", f"{one.load_after:.3f}", f"{100 * one.free_before:.1f} %",
         f"{100 * one.free_after:.1f} %", str(one.shards_before), str(one.shards_after))
        for one in sorted(changed, key=lambda one: (-one.load_before, one.name))[:_SHOWN]
    ]  # fmt: skip
    yield from table(("node", "load", "then", "free", "then", "shards", "then"), cells, "<>>>>>>")
    yield from _more(len(changed))


def _changed(one: NodeChangeRow) -> bool:
    return (one.load_before, one.free_before, one.shards_before) != (one.load_after, one.free_after, one.shards_after)


def _name(text: str) -> str:
    return shorten(clean(text), _NAME)


def _more(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"  and {count - _SHOWN:,} more: -f json has all"
