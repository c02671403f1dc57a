"""What one request leaves behind, as the store takes it. Plain values: they come from another process."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass

PAIRS, RISING, LOOPS = "P3", "P5", "P7"


@dataclass(frozen=True, slots=True)
class Value:
    """One indicator; ``low`` and ``high`` bound its 95 % interval where there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Map memory that one place made."""

    function: str
    file: str
    line: int
    type: str | None
    part: str
    told: str
    entry: str
    inuse_bytes: int
    inuse_objects: int
    alloc_bytes: int
    alloc_objects: int

    def site_id(self, service: str) -> int:
        """63 bits of a hash of where it is: the same in every store."""
        words = (service, self.function, self.file, str(self.line), self.type or "", self.part, self.told, self.entry)
        digest = hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True, slots=True)
class Sighting:
    """A finding as one profile shows it."""

    indicator: str
    function: str
    file: str
    line: int
    type: str | None
    told: str
    bytes: int | None = None
    goroutines: int | None = None

    @property
    def key(self) -> tuple[str, str, str, int, str | None]:
        """What makes it the same finding in the next profile."""
        return self.indicator, self.function, self.file, self.line, self.type


@dataclass(frozen=True, slots=True)
class Record:
    """One profile with what it says. ``data`` is zstd; ``digest`` SHA-256 of the ``raw_size`` bytes in it.

    ``judged``: indicators that could be told from it; only their findings end when they are not in ``findings``.
    """

    id: uuid.UUID
    service: str
    job: str
    instance: str
    kind: str
    taken_us: int
    raw_size: int
    digest: bytes
    data: bytes
    values: tuple[Value, ...] = ()
    places: tuple[Place, ...] = ()
    findings: tuple[Sighting, ...] = ()
    judged: tuple[str, ...] = ()

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes while it waits, about."""
        return len(self.data) + 500 + 150 * len(self.values) + 400 * (len(self.places) + len(self.findings))


def new_id(taken_us: int) -> uuid.UUID:
    """An identity that sorts by time (RFC 9562, version 7)."""
    raw = ((taken_us // 1000) & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    raw = raw & ~(0xF << 76) | 7 << 76
    return uuid.UUID(int=raw & ~(3 << 62) | 2 << 62)
