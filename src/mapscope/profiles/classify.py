"""Every sample of a heap profile: does it stand for memory of a map, which part of it, and where in the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels.reference import pprof as wire
from mapscope.errors import EvidenceError
from mapscope.profiles.frames import (
    distinct,
    functions_beginning,
    groups_of,
    innermost,
    line_begins,
    strings_equal,
)
from mapscope.profiles.model import HEAP, Column, Profile
from mapscope.profiles.parts import CREATION, HIDDEN, POSSIBLE, SOME, Part, Sizes, is_entry
from mapscope.profiles.sites import Site, Sites
from mapscope.profiles.whole import WholeStacks

if TYPE_CHECKING:
    from mapscope.profiles.statements import Sources
    from mapscope.profiles.symbols import Symbols

_VISIBLE = {
    "reflect.makemap": CREATION,
    "maps.clone": CREATION,
    "reflect.mapassign0": SOME,
    "reflect.mapassign_faststr0": SOME,
}
"""Functions of the runtime under names of other packages (linkname): not hidden, and known without the executable."""


class Classified(Struct, frozen=True):
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
        work.whole_stacks(np.arange(len(profile)))
    else:
        work.leaves(sources)
    done = work.done()
    if symbols is not None:
        symbols.executable.elf.forget()  # the report asks for few of them again
    return done


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


class _Work:
    """What is known so far."""

    def __init__(self, profile: Profile, symbols: Symbols | None) -> None:
        self.profile, self.symbols = profile, symbols
        self.sizes = block_sizes(profile)
        self.part_of = np.full(len(profile), -1, np.int64)
        self.site_of = np.full(len(profile), -1, np.int64)
        self.hidden = np.full(len(profile), -1, np.int64)
        self.leaf = profile.leaves()
        self.pcs = return_addresses(profile, symbols)
        self.known = Sizes(symbols.executable) if symbols is not None else None
        self.parts: dict[Part, int] = {}
        self.sites = Sites(profile, symbols, self.pcs)
        self.callees: dict[str, int] = {}
        self.notes: list[str] = []

    def done(self) -> Classified:
        rows = np.flatnonzero(self.part_of >= 0)
        self.site_of[rows] = self.sites.rows(rows)
        return Classified(
            self.profile, self.symbols, tuple(self.parts), tuple(self.sites.table), self.part_of, self.site_of,
            self.sizes, self.hidden, tuple(self.callees), tuple(self.notes),
        )  # fmt: skip

    def part(self, part: Part) -> int:
        """Row of a part."""
        return self.parts.setdefault(part, len(self.parts))

    def whole_stacks(self, samples: Column) -> None:
        """Samples whose stacks hold the runtime's frames."""
        whole = WholeStacks(self.profile, self.symbols, self.known, self.pcs)
        self.part_of[samples] = whole.parts(samples, self.sizes, self.part)

    def leaves(self, sources: Sources | None) -> None:
        """Samples whose runtime frames are hidden: the leaf's call says which entry it was."""
        leaf, function = self.leaf, innermost(self.profile)
        shown = np.append(functions_beginning(self.profile, HIDDEN)[function], False)[leaf]
        whole = np.flatnonzero(shown & (leaf >= 0))
        if len(whole):
            self.whole_stacks(whole)
        rest = np.flatnonzero(~shown & (leaf >= 0))
        if self.symbols is None:
            self._without_symbols(rest, function, sources)
            return
        used = distinct(leaf[rest])
        targets = self.symbols.targets(self.pcs[used])
        callee_of = np.full(len(self.profile.locations), -1, np.int64)
        callee_of[used] = self._callees(self.pcs[used], targets)
        self.hidden[rest] = callee_of[leaf[rest]]
        unknown = int(self.profile.value("inuse_space")[rest][self.hidden[rest] < 0].sum())
        if unknown:
            self.notes.append(f"{unknown:,} bytes in use lie at places whose call is not direct: not looked at")
        direct = np.zeros(len(self.profile.locations), np.bool_)
        direct[used] = targets >= 0
        self._by_entry(rest, direct)

    def _without_symbols(self, rest: Column, function: Column, sources: Sources | None) -> None:
        """What the name of the leaf says, or the statement of the source at its line; ``function``: by location."""
        for name, part in _VISIBLE.items():
            named = strings_equal(self.profile, [name])[self.profile.tables[wire.FUNCTIONS][:, 1]]
            rows = rest[np.append(named, False)[function[self.leaf[rest]]]]
            if len(rows):
                self.part_of[rows] = self.part(Part(part, POSSIBLE, name))
        if sources is not None:
            self._by_statement(rest[self.part_of[rest] < 0], function, sources)
        if len(rest):
            self.notes.append(
                "runtime/pprof hides the runtime's own frames, so without the executable it is not known which "
                "samples are memory of maps: give it with -e (no symbols are needed)"
                + (". What the statements of the source say is possible, no more" if sources is not None else "")
            )

    def _by_statement(self, samples: Column, function: Column, sources: Sources) -> None:
        """Parts by the innermost line of the leaf: each line of each file once."""
        lines = line_begins(self.profile)
        samples = samples[lines[self.leaf[samples]] < self.profile.locations[self.leaf[samples], 3]]
        leaf = self.leaf[samples]
        files = np.append(self.profile.tables[wire.FUNCTIONS][:, 3], 0)[function[leaf]]
        numbers = self.profile.tables[wire.LINES][lines[leaf], 1]
        heads, group = groups_of(files, numbers)
        part_of = np.full(len(heads), -1, np.int64)
        for row, head in enumerate(heads.tolist()):
            made = sources.part(self.profile.string(int(files[head])), int(numbers[head]))
            part_of[row] = -1 if made is None else self.part(made)
        self.part_of[samples] = part_of[group]

    def _callees(self, pcs: npt.NDArray[np.uint64], targets: Column) -> Column:
        """Row in ``callees`` of the function that each address returns from; -1 where it is not known."""
        assert self.symbols is not None
        found = np.full(len(pcs), -1, np.int64)
        heads, group = groups_of(np.where(targets >= 0, targets, -1 - np.arange(len(pcs))))
        for number, head in enumerate(heads.tolist()):
            callee = self.symbols.callee(int(pcs[head]), int(targets[head]))
            found[number] = self.callees.setdefault(callee, len(self.callees)) if callee else -1
        return found[group]

    def _by_entry(self, rest: Column, direct: npt.NDArray[np.bool_]) -> None:
        """Parts by the entry that was called, the size, and the type that the call names: each such triple once."""
        assert self.symbols is not None
        assert self.known is not None
        entries = list(self.callees)
        wanted = np.array([is_entry(name) for name in entries] + [False], np.bool_)
        chosen = rest[wanted[self.hidden[rest]] & (self.sizes[rest] > 0)]
        leaf = self.leaf[chosen]
        called = distinct(leaf[direct[leaf]])
        types = self.symbols.map_types(self.pcs[called].tolist())
        type_of = np.zeros(len(self.profile.locations), np.int64)
        type_of[called] = [0 if one is None else one.address for one in types]
        known = {one.address: one for one in types if one is not None}
        heads, group = groups_of(self.hidden[chosen], self.sizes[chosen], type_of[leaf])
        part_of = np.full(len(heads), -1, np.int64)
        for number, head in enumerate(heads.tolist()):
            entry, size = entries[int(self.hidden[chosen[head]])], int(self.sizes[chosen[head]])
            part = self.known.by_entry(entry, size, known.get(int(type_of[leaf[head]])))
            if part is not None:
                part_of[number] = self.part(part)
        self.part_of[chosen] = part_of[group]
