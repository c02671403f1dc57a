"""The maps that may stay unseen in a stripped build, each by name, with the reason.

Only maps of at most eight entries are ever excused (the test checks that): their single bucket or group is too small to
carry a type word of the runtime's own, and no word of a typed object leads to their header.
"""

from __future__ import annotations

from tests.groundtruth.variants import Variant

STRIPPED: dict[str, str] = {}
"""Name of the map → why no typed word reaches it."""


def names(variant: Variant) -> frozenset[str]:
    """The maps that this build may hide."""
    return frozenset(STRIPPED) if variant.stripped else frozenset()
