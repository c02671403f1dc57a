"""One iterator over a map: an ``hiter`` (runtime/map.go, up to Go 1.23) or a ``maps.Iter`` (internal/runtime/maps)."""

from __future__ import annotations

from msgspec import Struct

from mapscope.goruntime.frames import Frame
from mapscope.maps.model import Place
from mapscope.units import Addr

RUNNING, EXHAUSTED = "running", "exhausted"
"""``state``: it stands at an entry (``key`` is set); it has come to the end (``key`` is nil, the map still set)."""
EXACT, POSSIBLE, UNCERTAIN = "exact", "possible", "uncertain"
"""``liveness``: all of it fits and the collector's own maps call it live; it fits, but something is missing (a loop
left by ``break``, a stray copy); it lies in a frame or a stack that is scanned conservatively."""


class MapIterator(Struct, frozen=True):
    """An iterator, where it stands and what it keeps."""

    address: Addr
    map: Addr
    """Address of the map's header."""
    type_name: str | None
    goroutine: int | None
    """Id of the goroutine on whose stack it lies; None on the heap."""
    row: int
    """Row of that goroutine in ``Heap.frames``; -1 on the heap."""
    frame: Frame | None
    """The function with the loop, and the line where it stands; None where that is not known."""
    caller: Frame | None
    """The first function of the program itself at or above ``frame``; None where there is none."""
    status: str | None
    """Of the goroutine: ``waiting``, ``running`` …"""
    wait_reason: str | None
    wait_seconds: float | None
    """At least so long; None when not known."""
    coroutine: bool
    """It lies on the stack of a coroutine (``iter.Pull``)."""
    place: Place
    state: str
    liveness: str
    position: int
    """How far it has come, of ``positions``: buckets (classic), entries of the directory (Swiss), slots of a map with
    one group."""
    positions: int
    detached: Addr
    """The bucket array, table or group that it walks and that the map has left behind; 0: none."""
    detached_bytes: int
    """Whole heap slots of it, without what its entries point to."""
    pinned_bytes: int = 0
    """What only this iterator keeps alive: arrays, the map, and all that they point to."""
    sole_owner: bool = False
    """Nothing else keeps the map (in a coroutine: nothing but its own stack)."""
    together: int = 1
    """Iterators over the map that keep something in common which none of them keeps alone."""
    together_bytes: int = 0
    """What these keep, each's own part included; 0 where ``together`` is 1."""
    together_own: bool = False
    """Nothing but these keeps the map."""

    @property
    def where(self) -> str:
        """``main.work (/src/main.go:94)``; ``heap`` for one that lies there; ``stack`` where no function is known."""
        if self.frame is None:
            return "heap" if self.place == Place.HEAP else "stack"
        return f"{self.frame.function} ({self.frame.file}:{self.frame.line})"

    @property
    def blocked(self) -> bool:
        """Its goroutine waits for something, so the loop does not go on by itself."""
        return self.status in ("waiting", "leaked", "syscall")
