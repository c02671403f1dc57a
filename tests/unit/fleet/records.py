"""Records of real profiles, made as the watch makes them."""

from __future__ import annotations

import hashlib
import random

import zstandard

from mapscope.fleet.store.records import Place, Record, Sighting, Value, new_id

NOW = 1_795_000_000_000_000
"""A time, microseconds since 1970."""


def record(
    number: int = 0,
    service: str = "shop",
    instance: str = "one:6060",
    kind: str = "heap",
    findings: tuple[Sighting, ...] = (),
    taken_us: int | None = None,
    size: int = 3000,
) -> Record:
    """Record ``number``; its raw profile has ``size`` bytes that no other has and that do not compress."""
    raw = random.Random(number).randbytes(size)
    taken = NOW + number * 1_000_000 if taken_us is None else taken_us
    return Record(
        new_id(taken), service, "job", instance, kind, taken, len(raw), hashlib.sha256(raw).digest(),
        zstandard.compress(raw),
        (Value("P1", float(number)), Value("P2", 5.0, 1.0, 9.0)),
        (Place("main.fill", "main.go", 7, "map[int]int", "map growth", "inferred", "runtime.mapassign", 10, 1, 20, 2),),
        findings,
        ("P3", "P5") if kind == "heap" else ("P7",),
    )  # fmt: skip


def sighting(function: str = "main.fill", size: int = 5) -> Sighting:
    """A finding of P5."""
    return Sighting("P5", function, "", 0, "map[int]int", "inferred", size)
