"""``mapscope growth simulate`` as text, at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.report.growth_chart import chart
from mapscope.report.growth_document import GrowthSimulationDocument
from mapscope.report.style import Style, wrap
from mapscope.units import human_bytes


def render(document: GrowthSimulationDocument, style: Style | None = None) -> Iterator[str]:
    """The figures, then the busiest node over time."""
    style = style or Style()
    more = ""
    if document.lower_bound_bytes:
        more = f", {document.bytes_moved / document.lower_bound_bytes:.2f} times the lower bound"
    yield (
        f"{document.nodes:,} nodes, {document.shards:,} shards, {document.hours:g} hours, "
        f"noise {100 * document.noise:g} %, seed {document.seed}"
    )
    yield ""
    yield f"  moves            {document.moves:,} in {document.plans:,} plans, {document.not_begun:,} not begun"
    yield f"  bytes moved      {human_bytes(document.bytes_moved)}{more}"
    yield f"  time to balance  {_time(document)}"
    yield f"  flaps            {document.flaps:,} back within the cool-down, {document.returns:,} back at any time"
    yield f"  moved again      {document.again:,}"
    full = f"at most {100 * document.fullest_target:.1f} % full"
    yield f"  targets          {full}, load at most {document.hottest_target:.2f}, when a move ended"
    yield ""
    yield style.head("BUSIEST NODE") + ", load ratio over time; the dotted line is the threshold"
    busiest = [one.busiest for one in document.rounds]
    low, high = 0.4, max(1.0, *busiest) if busiest else 1.0
    yield from chart(busiest, document.settings["load_enter"], low, high)
    yield " " * 7 + f"0 h{f'{document.hours:g} h':>{max(min(64, len(busiest)) - 3, 4)}}"
    for text in document.advice[:5]:
        yield from wrap(text, indent="    ", first="  - ")


def _time(document: GrowthSimulationDocument) -> str:
    if not document.beyond_at_start:
        return "nothing was beyond a threshold at the start"
    if document.balanced_hours is None:
        return "never: a node stays beyond a threshold"
    return f"{document.balanced_hours:.1f} hours"
