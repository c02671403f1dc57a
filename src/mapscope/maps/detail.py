"""One map in full, for ``mapscope map CORE ADDRESS``."""

from __future__ import annotations

from msgspec import Struct

from mapscope.maps.contents import Content
from mapscope.maps.model import Map


class TableDetail(Struct, frozen=True):
    """One Swiss table (``internal/runtime/maps/table.go``)."""

    address: int
    used: int
    capacity: int
    growth_left: int
    local_depth: int
    index: int
    """First index in the directory; -1 is stale."""
    tombstones: int


class MapDetail(Struct, frozen=True):
    """A map with what is too much for every map: histograms and parts."""

    map: Map
    occupancy: tuple[int, ...]
    """``occupancy[n]`` buckets (with their overflow chain) or groups hold exactly n entries; the last is "n or more".
    ``occupancy[n]`` buckets (with their overflow chain) or groups hold exactly n entries; the last is "n or more"."""
    chain_lengths: tuple[int, ...]
    """Classic: ``chain_lengths[n]`` buckets have n overflow buckets. Empty for Swiss maps."""
    tables: tuple[TableDetail, ...]
    """Swiss: the first tables by address, at most 64."""
    key_kinds: dict[str, int]
    """Kinds of a sample of live keys ("string", "int", dynamic type names for interface keys) → how many in the sample.
    Kinds of a sample of live keys ("string", "int", dynamic type names for interface keys) → how many in the sample."""
    elem_kinds: dict[str, int]
    how_found: str
    """One sentence: what led to this map, what was checked."""
    contents: tuple[tuple[Content, Content], ...] | None = None
    """A few keys and values; None unless they were asked for."""
