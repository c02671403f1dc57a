"""Every sample of a heap profile: does it stand for memory of a map, which part of it, and where in the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mapscope.errors import EvidenceError
from mapscope.profiles.model import HEAP, Column, Profile
from mapscope.profiles.parts import (
    CREATION,
    EXACT,
    HIDDEN,
    INFERRED,
    NOT_A_PART,
    PARTS,
    POSSIBLE,
    SOME,
    Part,
    Sizes,
    by_stack,
    is_entry,
)
from mapscope.profiles.statements import Sources
from mapscope.profiles.symbols import Symbols

THROUGH = ("reflect.", "maps.", "sync.", "internal/sync.", "internal/runtime/", "runtime.", "encoding/json.")
"""Packages that make maps on behalf of their callers: a site is the first frame outside of them."""
_VISIBLE = {
    "reflect.makemap": CREATION,
    "maps.clone": CREATION,
    "reflect.mapassign0": SOME,
    "reflect.mapassign_faststr0": SOME,
}
"""Functions of the runtime under names of other packages (linkname): not hidden, and known without the executable."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the program that makes maps or fills them."""

    function: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Classified:
    """``part_of`` and ``site_of`` are rows of ``parts`` and ``sites`` for each sample, -1 where it is no map's.

    ``sizes``: bytes of one object of each sample. ``hidden``: row of ``callees``, the function that the leaf called and
    runtime/pprof hid; -1 where it is in the stack or not known. ``notes`` say what could not be told.
    """

    profile: Profile
    symbols: Symbols | None
    parts: tuple[Part, ...]
    sites: tuple[Site, ...]
    part_of: Column
    site_of: Column
    sizes: Column
    hidden: Column
    callees: tuple[str, ...]
    notes: tuple[str, ...]


def classify(profile: Profile, symbols: Symbols | None, sources: Sources | None = None) -> Classified:
    """Which samples of a heap profile maps made. EvidenceError where it is no heap profile.

    ``sources`` are asked where there are no ``symbols``.
    """
    if profile.kind != HEAP:
        raise EvidenceError(
            f"{profile.origin} is a {profile.kind} profile", "give a heap or allocs profile: /debug/pprof/heap"
        )
    work = _Work(profile, symbols)
    if profile.form == "text" and symbols is not None:
        work.whole_stacks(range(len(profile)), [symbols.name(pc) for pc in work.pcs.tolist()])
    else:
        work.leaves(sources)
    return work.done()


def block_sizes(profile: Profile) -> Column:
    """Bytes of one object of each sample: the label ``bytes`` (writeHeapProto), else the mean of what was allocated."""
    labelled = profile.number_label("bytes")
    objects = np.maximum(profile.value("alloc_objects"), profile.value("inuse_objects"))
    space = np.maximum(profile.value("alloc_space"), profile.value("inuse_space"))
    return np.where(labelled > 0, labelled, space // np.maximum(objects, 1))


def return_addresses(profile: Profile, symbols: Symbols | None) -> npt.NDArray[np.uint64]:
    """The return address of each location.

    Text has them as they are; runtime/pprof writes the address before into a protocol buffer (proto.go: allFrames), and
    a few other writers the address itself: the one that follows a call more often is meant.
    """
    given = np.ascontiguousarray(profile.locations[:, 2]).view(np.uint64)
    if profile.form != "protobuf":
        return given
    after = given + np.uint64(1)
    if symbols is not None and (symbols.targets(given) >= 0).sum() > (symbols.targets(after) >= 0).sum():
        return given
    return after


def location_names(profile: Profile, symbols: Symbols | None) -> list[str]:
    """Innermost function of each location, as the profile names it, else as the executable does; else empty."""
    names = []
    pcs = return_addresses(profile, symbols).tolist()
    for row in range(len(profile.locations)):
        lines = profile.lines(row)
        names.append(lines[0][0] if lines else symbols.name(pcs[row]) if symbols is not None else "")
    return names


class _Work:
    """What is known so far."""

    def __init__(self, profile: Profile, symbols: Symbols | None) -> None:
        self.profile, self.symbols = profile, symbols
        self.sizes = block_sizes(profile)
        self.part_of = np.full(len(profile), -1, np.int64)
        self.site_of = np.full(len(profile), -1, np.int64)
        self.hidden = np.full(len(profile), -1, np.int64)
        self.leaf = profile.leaves()
        self.sites_at: dict[int, tuple[int, int]] = {}
        self.pcs = return_addresses(profile, symbols)
        self.known = Sizes(symbols.executable) if symbols is not None else None
        self.parts: dict[Part, int] = {}
        self.sites: dict[Site, int] = {}
        self.callees: dict[str, int] = {}
        self.notes: list[str] = []

    def done(self) -> Classified:
        return Classified(
            self.profile, self.symbols, tuple(self.parts), tuple(self.sites), self.part_of, self.site_of,
            self.sizes, self.hidden, tuple(self.callees), tuple(self.notes),
        )  # fmt: skip

    def part(self, part: Part) -> int:
        """Row of a part."""
        return self.parts.setdefault(part, len(self.parts))

    def locate(self, samples: Column) -> None:
        """The sites of these samples: most are told by the leaf alone."""
        leaf = self.leaf[samples]
        own = np.full(len(self.profile.locations), -1, np.int64)
        for row in np.unique(leaf).tolist():
            own[row] = self.site_at(row)[0]
        self.site_of[samples] = own[leaf]
        for sample in samples[own[leaf] < 0].tolist():
            self.site_of[sample] = self.site(self.profile.stack(sample))

    def site_at(self, row: int) -> tuple[int, int]:
        """The site in the frames of one location, -1 where all work for others; and its innermost frame as a site."""
        if row not in self.sites_at:
            lines = self.profile.lines(row)
            if self.symbols is not None and not lines:
                lines = [self.symbols.line(int(self.pcs[row]))]
            own = next((line for line in lines if not line[0].startswith(THROUGH)), None)
            found = [
                Site(name or "?", file, line) for name, file, line in (own or ("", "", 0), (lines or [("", "", 0)])[0])
            ]
            first = self.sites.setdefault(found[1], len(self.sites))
            self.sites_at[row] = -1 if own is None else self.sites.setdefault(found[0], len(self.sites)), first
        return self.sites_at[row]

    def site(self, stack: Sequence[int]) -> int:
        """The first frame outside of the packages that work for others; the leaf where there is none."""
        own = (self.site_at(row)[0] for row in stack)
        return next((row for row in own if row >= 0), self.site_at(stack[0])[1])

    def whole_stacks(self, samples: Sequence[int], names: Sequence[str]) -> None:
        """Samples whose stacks hold the runtime's frames; ``names`` by row of location."""
        for sample in samples:
            stack = self.profile.stack(sample)
            part = by_stack([names[row] for row in stack])
            if part is not None and self.profile.text_label(sample, "map part") != NOT_A_PART:
                done = self.labelled(part, sample) or self.completed(part, sample, stack, names)
                self.part_of[sample] = self.part(done)
                self.site_of[sample] = self.site(stack)

    def labelled(self, part: Part, sample: int) -> Part | None:
        """The part that a profile with its frames put back says itself (``restore``)."""
        label = self.profile.text_label
        said, told = label(sample, "map part"), label(sample, "told")
        if said not in PARTS or told not in (EXACT, INFERRED, POSSIBLE):
            return None
        return replace(part, part=said, how=told, type=label(sample, "map type") or None)

    def completed(self, part: Part, sample: int, stack: Sequence[int], names: Sequence[str]) -> Part:
        """The part with the type that the call of the entry names, and what mapassign itself allocated."""
        if self.symbols is None or self.known is None:
            return replace(part, how=POSSIBLE) if part.part == SOME else part
        pcs = [int(self.pcs[row]) for row in stack]
        rtype = self.symbols.map_type(pcs[part.depth]) if part.depth < len(pcs) else None
        if part.part == SOME and is_entry(part.entry):
            allocates = self.symbols.allocates(pcs[part.depth - 1])
            what = self.known.direct(part.entry, int(self.sizes[sample]), rtype, allocates)
            part = replace(part, part=what, how=part.how if what != SOME else POSSIBLE)
        return replace(part, type=rtype.name if rtype is not None else None)

    def leaves(self, sources: Sources | None) -> None:
        """Samples whose runtime frames are hidden: the leaf's call says which entry it was."""
        leaf = self.leaf
        names = location_names(self.profile, None)
        shown = np.array([name.startswith(HIDDEN) for name in names] + [False], np.bool_)[leaf]
        whole = np.flatnonzero(shown & (leaf >= 0)).tolist()
        if whole:
            self.whole_stacks(whole, names)
        rest = np.flatnonzero(~shown & (leaf >= 0))
        if self.symbols is None:
            part_at = np.full(len(self.profile.locations), -1, np.int64)
            for row in np.unique(leaf[rest]).tolist():
                if (part := _VISIBLE.get(names[row])) is not None:
                    part_at[row] = self.part(Part(part, POSSIBLE, names[row]))
                elif sources is not None and (lines := self.profile.lines(row)):
                    made = sources.part(*lines[0][1:])
                    part_at[row] = -1 if made is None else self.part(made)
            self.part_of[rest] = part_at[leaf[rest]]
            self.locate(rest[self.part_of[rest] >= 0])
            if len(rest):
                self.notes.append(
                    "runtime/pprof hides the runtime's own frames, so without the executable it is not known which "
                    "samples are memory of maps: give it with -e (no symbols are needed)"
                    + (". What the statements of the source say is possible, no more" if sources is not None else "")
                )
            return
        used = np.unique(leaf[rest])
        targets = self.symbols.targets(self.pcs[used]).tolist()
        callee_of = np.full(len(self.profile.locations), -1, np.int64)
        for row, target in zip(used.tolist(), targets, strict=True):
            if callee := self.symbols.callee(int(self.pcs[row]), target):
                callee_of[row] = self.callees.setdefault(callee, len(self.callees))
        self.hidden[rest] = callee_of[leaf[rest]]
        unknown = int(self.profile.value("inuse_space")[rest][self.hidden[rest] < 0].sum())
        if unknown:
            self.notes.append(f"{unknown:,} bytes in use lie at places whose call is not direct: not looked at")
        direct = np.zeros(len(self.profile.locations), np.bool_)
        direct[used] = np.array(targets, np.int64) >= 0
        self.by_entry(rest, leaf, direct)

    def by_entry(self, rest: Column, leaf: Column, direct: npt.NDArray[np.bool_]) -> None:
        assert self.symbols is not None
        assert self.known is not None
        entries = list(self.callees)
        wanted = np.array([row for row, name in enumerate(entries) if is_entry(name)], np.int64)
        chosen = rest[np.isin(self.hidden[rest], wanted) & (self.sizes[rest] > 0)]
        sizes, code = np.unique(self.sizes[chosen], return_inverse=True)
        # the same place and size are the same part
        known, first, which = np.unique(
            leaf[chosen] * max(len(sizes), 1) + code, return_index=True, return_inverse=True
        )
        part_of = np.full(len(known), -1, np.int64)
        for number, sample in enumerate(chosen[first].tolist()):
            row = int(leaf[sample])
            rtype = self.symbols.map_type(int(self.pcs[row])) if direct[row] else None
            part = self.known.by_entry(entries[int(self.hidden[sample])], int(self.sizes[sample]), rtype)
            if part is not None:
                part_of[number] = self.part(part)
        self.part_of[chosen] = part_of[which]
        self.locate(chosen[part_of[which] >= 0])
