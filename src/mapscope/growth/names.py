"""Names of what a move makes on the nodes: they begin alike and hold the store and the move, so that they are found."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "mapscope_"
_PATTERN = re.compile(r"mapscope_([0-9a-f]{8})_m([0-9]{1,19})(?:_copy)?")


@dataclass(frozen=True, slots=True)
class Names:
    """Of one move. ``store``: the name of the control database's store."""

    store: str
    move: int

    @property
    def stream(self) -> str:
        """Slot, publication and subscription."""
        return f"{PREFIX}{self.store}_m{self.move}"

    @property
    def copy_origin(self) -> str:
        """The replication origin that marks the rows of the base copy."""
        return f"{self.stream}_copy"

    @property
    def mark(self) -> str:
        """The table, in ``mapscope_node``, whose one row goes through the stream to measure it."""
        return self.stream


def move_of(name: str, store: str) -> int | None:
    """The move that an object of this store belongs to; None for another's."""
    found = _PATTERN.fullmatch(name)
    return int(found[2]) if found and found[1] == store else None
