"""What keys and elems point to, as objects of the heap."""

from __future__ import annotations

from collections.abc import Callable

from mapscope.lab.model.collector import HeapObject
from mapscope.lab.model.maptype import Indirect, MapType


class Pointees:
    """One object for each key and each elem.

    Memory that the map allocated for one of more than 128 bytes has a size. That behind other pointers is not known
    here and counts as 0 bytes.
    """

    def __init__(self, t: MapType, slot: Callable[[int, bool], int]) -> None:
        self.t = t
        self.slot = slot
        self.made: dict[tuple[str, object], HeapObject] = {}

    def of(self, value: object, what: str) -> HeapObject | None:
        """The object of a key or an elem (``what``); None for a cleared slot."""
        if value is None:
            return None
        known = (what, id(value) if isinstance(value, Indirect) or value.__hash__ is None else value)
        if known not in self.made:
            size = 0
            if what == "key" and self.t.indirectkey:
                size = self.slot(self.t.key_size, not self.t.key_pointers)
            elif isinstance(value, Indirect):
                size = self.slot(self.t.elem_size, not self.t.elem_pointers)
            shown = value.value if isinstance(value, Indirect) else value
            self.made[known] = HeapObject(f"{what} {shown}", size, structure=False)
        return self.made[known]
