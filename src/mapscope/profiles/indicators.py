"""What a heap profile shows of maps: sums by place, sizes, pairs of arrays, and the article's four indicators.

docs/reference/indicators.md defines each. A profile suspects, a snapshot decides.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.profiles.classify import Classified, return_addresses
from mapscope.profiles.frames import functions_beginning, groups_of, innermost, line_begins
from mapscope.profiles.model import Column, Profile
from mapscope.profiles.parts import CREATION, GROWTH, Sizes
from mapscope.profiles.settings import Settings
from mapscope.profiles.sites import Site

_CHAIN = ("runtime.makeslice", "runtime.growslice", "runtime.mapassign")
_ARRAYS = (GROWTH, CREATION)


class Sums(Struct, frozen=True):
    """Bytes and objects of a heap profile: in use, and allocated since the start."""

    inuse_bytes: int = 0
    inuse_objects: int = 0
    alloc_bytes: int = 0
    alloc_objects: int = 0

    def __add__(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(
            self.inuse_bytes + other.inuse_bytes,
            self.inuse_objects + other.inuse_objects,
            self.alloc_bytes + other.alloc_bytes,
            self.alloc_objects + other.alloc_objects,
        )

    @property
    def ratio(self) -> float | None:
        """Allocated to live bytes; None where nothing is live."""
        return self.alloc_bytes / self.inuse_bytes if self.inuse_bytes else None


class Group(Struct, frozen=True):
    """Memory of maps that one place made: which part, of which type, told how, through which entry of the runtime."""

    site: Site
    type: str | None
    part: str
    how: str
    entry: str
    sums: Sums


class Pair(Struct, frozen=True):
    """Two arrays in use that look like two generations of one classic map."""

    site: Site
    type: str | None
    smaller: int
    larger: int
    how: str


class SizeRow(Struct, frozen=True):
    """Map memory by the size of one allocation."""

    size: int
    part: str
    type: str | None
    sums: Sums


class Article(Struct, frozen=True):
    """The article's four indicators as it writes them, computed with the hidden frames put back; None: not to be told.

    ``array_bytes``: in use below the allocators of bucket arrays. ``objects_ratio``: alloc_objects / inuse_objects of
    the whole profile. ``depth``: most frames from mapassign_fast64 to the leaf of a growth. ``chain``: samples with
    makeslice below growslice below mapassign.
    """

    array_bytes: int
    objects_ratio: float | None
    depth: int | None
    chain: int | None


def totals(classified: Classified) -> Sums:
    """The whole profile."""
    return Sums(*_values(classified).sum(axis=0).tolist())


def by_how(classified: Classified) -> dict[str, int]:
    """Bytes of maps in use by how they were told: exact, inferred, possible."""
    found: dict[str, int] = defaultdict(int)
    for part, size in zip(classified.parts, _by_part(classified).tolist(), strict=True):
        if size:
            found[part.how] += size
    return dict(found)


def _by_part(classified: Classified) -> Column:
    """Bytes in use of each part."""
    found = np.zeros(len(classified.parts), np.int64)
    rows = np.flatnonzero(classified.part_of >= 0)
    np.add.at(found, classified.part_of[rows], classified.profile.value("inuse_space")[rows])
    return found


def groups(classified: Classified) -> list[Group]:
    """Map memory by place, type, part and entry, most bytes in use first."""
    rows = np.flatnonzero(classified.part_of >= 0)
    keys = classified.part_of[rows] * max(len(classified.sites), 1) + classified.site_of[rows]
    found: dict[tuple[Site, str | None, str, str, str], Sums] = {}
    for key, numbers in _summed(classified, rows, keys):
        part, site = divmod(key, max(len(classified.sites), 1))
        of = classified.parts[part]
        name = classified.sites[site], of.type, of.part, of.how, of.entry
        found[name] = found.get(name, Sums()) + numbers
    made = [Group(*name, sums=total) for name, total in found.items()]
    return sorted(
        made,
        key=lambda one: (
            -one.sums.inuse_bytes, -one.sums.alloc_bytes, one.site.function, one.site.line, one.part, one.type or "",
            one.how, one.entry,
        ),
    )  # fmt: skip


def by_size(classified: Classified) -> list[SizeRow]:
    """P6: map memory in use by size of an allocation, most bytes first."""
    rows = np.flatnonzero((classified.part_of >= 0) & (classified.profile.value("inuse_space") != 0))
    sizes, code = np.unique(classified.sizes[rows], return_inverse=True)
    found: dict[tuple[int, str, str | None], Sums] = {}
    for key, numbers in _summed(classified, rows, classified.part_of[rows] * max(len(sizes), 1) + code):
        row, size = divmod(key, len(sizes))
        part = classified.parts[row]
        name = int(sizes[size]), part.part, part.type
        found[name] = found.get(name, Sums()) + numbers
    made = [SizeRow(*key, sums) for key, sums in found.items()]
    return sorted(made, key=lambda one: (-one.sums.inuse_bytes, one.size, one.part, one.type or ""))


def pairs(classified: Classified, settings: Settings) -> list[Pair]:
    """P3: at one growth site exactly one array of size s and one of 2s in use, and none larger.

    Classic maps only: Swiss tables are of one size. Two maps of one place whose sizes happen to be s and 2s look alike,
    and so do a growth that stands, one in progress, and an iterator that pins the array from before it.
    """
    if classified.symbols is not None and classified.symbols.executable.swiss_maps:
        return []
    inuse = classified.profile.value("inuse_objects")
    growth = np.array([part.part == GROWTH for part in classified.parts] + [False], np.bool_)
    large = growth[classified.part_of] & (inuse > 0) & (classified.sizes >= settings.pair_min_bytes)
    rows = np.flatnonzero(large)
    heads, group = groups_of(classified.part_of[rows], classified.site_of[rows], classified.sizes[rows])
    counts = np.zeros(len(heads), np.int64)
    np.add.at(counts, group, inuse[rows])
    live: dict[tuple[Site, str | None, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row, count in zip(rows[heads].tolist(), counts.tolist(), strict=True):
        part = classified.parts[int(classified.part_of[row])]
        key = classified.sites[int(classified.site_of[row])], part.type, part.how
        live[key][int(classified.sizes[row])] += count
    arrays = _arrays(classified)
    found = []
    for (site, name, how), sizes in live.items():
        largest = sorted(sizes)[-2:]
        if len(largest) == 2 and all(sizes[one] == 1 for one in largest) and len(sizes) == 2:
            smaller, larger = largest
            known = arrays.get(name or "")
            if known is not None and smaller in known:
                fits = known.index(smaller) + 1 < len(known) and known[known.index(smaller) + 1] == larger
            else:
                fits = abs(larger / smaller - 2) <= 2 * settings.pair_tolerance
            if fits:
                found.append(Pair(site, name, smaller, larger, how))
    return sorted(found, key=lambda one: -one.smaller)


def article(classified: Classified) -> Article:
    """The article's indicators. Depth and chain need whole stacks (debug=1 with the executable, or frames put back)."""
    total = totals(classified)
    sizes = zip(classified.parts, _by_part(classified).tolist(), strict=True)
    size = sum(of for part, of in sizes if part.part in _ARRAYS)
    depths = [
        part.depth
        for part in classified.parts
        if part.depth and part.part == GROWTH and part.entry == "runtime.mapassign_fast64"
    ]
    whole = any(part.depth for part in classified.parts)
    return Article(
        array_bytes=size,
        objects_ratio=total.alloc_objects / total.inuse_objects if total.inuse_objects else None,
        depth=max(depths) if depths else None,
        chain=chained(classified) if whole else None,
    )


def chained(classified: Classified) -> int:
    """Samples in whose stack makeslice, growslice and mapassign call each other in this order, leaf first."""
    profile = classified.profile
    function, code = innermost(profile), np.zeros(len(profile.locations), np.int8)
    for number, name in enumerate(_CHAIN, 1):
        code[functions_beginning(profile, [name])[function]] = number
    if classified.symbols is not None:  # what the profile does not name
        pcs = return_addresses(profile, classified.symbols)
        rows = np.flatnonzero(line_begins(profile) == profile.locations[:, 3])
        for row, name in zip(rows.tolist(), classified.symbols.names(pcs[rows]), strict=True):
            code[row] = next((number for number, one in enumerate(_CHAIN, 1) if name.startswith(one)), 0)
    return in_order(code, profile, len(_CHAIN))


def in_order(code: npt.NDArray[np.int8], profile: Profile, last: int) -> int:
    """Samples with frames of code 1, 2 and so on up to ``last`` after one another; ``code`` by row of location."""
    frames, ends = code[profile.stacks], profile.stack_ends
    at = np.flatnonzero(frames == 1)
    sample, first = np.unique(np.searchsorted(ends, at, "right"), return_index=True)
    at = at[first]
    for number in range(2, last + 1):
        places = np.append(np.flatnonzero(frames == number), len(frames))
        at = places[np.searchsorted(places, at, "right")]
        inside = at < ends[sample]
        at, sample = at[inside], sample[inside]
    return len(at)


def _arrays(classified: Classified) -> dict[str, list[int]]:
    """Sizes of bucket arrays by name of the map type."""
    if classified.symbols is None:
        return {}
    sizes, known = Sizes(classified.symbols.executable), {}
    for rtype in classified.symbols.types():
        known[rtype.name] = sizes.arrays(rtype)
    return known


def _summed(classified: Classified, rows: Column, keys: Column) -> list[tuple[int, Sums]]:
    """The sums of ``rows`` by their ``keys``, in the order of these."""
    if not len(rows):
        return []
    order = np.argsort(keys, kind="stable")
    known, begins = np.unique(keys[order], return_index=True)
    sums = np.add.reduceat(_values(classified)[rows[order]], begins, axis=0)
    return [(key, Sums(*numbers)) for key, numbers in zip(known.tolist(), sums.tolist(), strict=True)]


def _values(classified: Classified) -> Column:
    """A row a sample: inuse_space, inuse_objects, alloc_space, alloc_objects."""
    names = ("inuse_space", "inuse_objects", "alloc_space", "alloc_objects")
    return np.stack([classified.profile.value(name) for name in names], axis=1)
