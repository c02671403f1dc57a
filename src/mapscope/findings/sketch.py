"""Go code of the advice, formatted as gofmt would, with the map's own type where it is known and short."""

from __future__ import annotations

from mapscope.maps.model import Map

_LONGEST = 100


def go_type(found: Map) -> str:
    """``map[string]*main.Rec``, or ``map[K]V`` where the type is unknown or would not fit a line of code."""
    name = found.type_name
    return name if name is not None and _fits(name) else "map[K]V"


def go_key(found: Map) -> str:
    """The key type, or ``K``."""
    known = found.type
    return known.key if known is not None and _fits(known.name) else "K"


def go_elem(found: Map) -> str:
    """The value type, or ``V``."""
    known = found.type
    return known.elem if known is not None and _fits(known.name) else "V"


def rebuild(found: Map) -> str:
    """Copy what is left into a map of the right size."""
    return f"next := make({go_type(found)}, len(m))\nfor k, v := range m {{\n\tnext[k] = v\n}}\nm = next"


def rebuild_advice(go_release: tuple[int, int]) -> str:
    """What does and what does not give the memory back, for this release."""
    clone = (
        "maps.Clone keeps the size too"
        if go_release >= (1, 25)
        else "maps.Clone would do on this release, but keeps the size from Go 1.25 on"
    )
    return (
        "The arrays of a Go map never shrink. Copy what is left into a map made with its length; "
        f"clear keeps the arrays, and {clone}."
    )


def _fits(name: str) -> bool:
    return len(name) <= _LONGEST and name.isprintable()
