"""Header fields and sums as people read them: addresses in hex, bytes rounded, flags by name."""

from __future__ import annotations

from collections.abc import Mapping

from mapscope.report.escape import clean
from mapscope.units import human_bytes

_FLAGS = ((1, "iterator"), (2, "oldIterator"), (4, "hashWriting"), (8, "sameSizeGrow"))


def shown(facts: Mapping[str, int | str]) -> dict[str, str]:
    """Names as they are, values as text. Names that end in ``_bytes`` are byte counts."""
    return {name: _value(name, value) for name, value in facts.items()}


def flag_names(flags: int) -> str:
    """``3 (iterator|oldIterator)``: hmap.flags of runtime/map.go."""
    names = [name for bit, name in _FLAGS if flags & bit]
    return f"{flags} ({'|'.join(names)})" if names else str(flags)


def _value(name: str, value: int | str) -> str:
    if isinstance(value, str):
        return clean(value)
    if name == "flags":
        return flag_names(value)
    if name.endswith("_bytes"):
        return human_bytes(value)
    return f"{value:,}"
