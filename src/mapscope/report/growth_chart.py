"""A small chart of one series in text: columns of eighths, and the threshold as a dotted line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LINE = "┄"


def chart(
    values: Sequence[float], level: float, low: float, high: float, width: int = 64, height: int = 8
) -> Iterator[str]:
    """``height`` lines, highest first, each with its value at the left, at most ``width`` + 7 columns.

    A column shows the highest of the values that fall on it; ``level`` is where the dotted line stands.
    """
    if not values:
        return
    columns = min(width, len(values))
    highest = [max(values[at * len(values) // columns : (at + 1) * len(values) // columns]) for at in range(columns)]
    step = (high - low) / height
    for row in reversed(range(height)):
        floor = low + row * step
        crossed = floor <= level < floor + step
        cells = [_cell(value, floor, step, crossed) for value in highest]
        yield f"{floor:6.2f} " + "".join(cells).rstrip()


def _cell(value: float, floor: float, step: float, crossed: bool) -> str:
    eighths = round(8 * min(max((value - floor) / step, 0.0), 1.0))
    return _LINE if crossed and eighths == 0 else _EIGHTHS[eighths]
