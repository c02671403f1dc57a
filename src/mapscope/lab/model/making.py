"""Makes the model of a release. Hashes and random numbers are the same in every run unless others are given."""

from __future__ import annotations

import random
from collections.abc import Callable

from mapscope.lab.model.classic import ClassicMap
from mapscope.lab.model.interface import Hasher, Key, Rand
from mapscope.lab.model.maptype import INT_INT, MapType
from mapscope.lab.model.releases import ClassicSettings, settings_of
from mapscope.lab.model.swiss import SwissMap

_MASK = (1 << 64) - 1


def mixed_hash(key: Key, seed: int) -> int:
    """A hash as good as the runtime's for its purpose: all bits depend on all bits of key and seed (splitmix64)."""
    value = key if isinstance(key, int) else int.from_bytes(repr(key).encode(), "little")
    mixed = seed
    while True:  # 64 bits of the key at a time
        mixed = (mixed + (value & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        mixed ^= mixed >> 31
        value >>= 64
        if value in (0, -1):
            return mixed


def random_numbers(seed: int) -> Rand:
    """Random numbers of 64 bits, the same for the same seed."""
    draw: Callable[[int], int] = random.Random(seed).getrandbits  # noqa: S311  # no secrets here
    return lambda: draw(64)


def make(
    release: str,
    t: MapType = INT_INT,
    *,
    hint: int | None = None,
    hasher: Hasher = mixed_hash,
    rand: Rand | None = None,
) -> ClassicMap | SwissMap:
    """``make(map[K]V, hint)`` of a release ("1.23", "1.26", "1.25+noswissmap"); without a hint, ``make(map[K]V)``.

    Raises :class:`mapscope.errors.UsageError` for a release without a model.
    """
    settings = settings_of(release)
    numbers = rand or random_numbers(1)
    if isinstance(settings, ClassicSettings):
        return ClassicMap(t, settings, hasher, numbers, hint)
    return SwissMap(t, settings, hasher, numbers, hint)
