"""Every number that decides what an indicator of a profile says. One place; the document shows them."""

from __future__ import annotations

from msgspec import Struct


class Settings(Struct, frozen=True):
    """Bytes are bytes, shares are plain ratios."""

    pair_min_bytes: int = 1 << 20
    """P3: smaller old arrays are not looked for. At the usual rate (524,288) one of this size is in the profile in 86
    of 100 cases.
    """
    pair_tolerance: float = 0.1
    """P3: by how much the larger array may differ from twice the smaller one, where the type is not known."""
    rising_min_profiles: int = 3
    """P2, P5: fewer profiles are no series."""
    rising_min_bytes: int = 1 << 20
    """P5: sites that rise by less are not named."""
    blocked_min_minutes: int = 1
    """P7: goroutines that wait for less stand in no suspect. Go prints no wait below a minute."""
    article_bytes: int = 10_000_000
    """A1: the article's "10 MB"."""
    article_depth: int = 3
    """A3: the article's "depth of at most 3"."""


DEFAULT = Settings()
