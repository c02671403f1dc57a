"""The plain way to classify the samples of a heap profile and to put frames back: one sample after the other.

The oracle of the tests of what ``mapscope.profiles`` does with columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from mapscope._kernels.reference import pprof as wire
from mapscope.profiles.classify import Classified, block_sizes, return_addresses
from mapscope.profiles.model import Profile
from mapscope.profiles.parts import (
    ALLOCATES,
    CREATION,
    EXACT,
    HIDDEN,
    INFERRED,
    NOT_A_PART,
    ON_MAPS,
    PARTS,
    POSSIBLE,
    SOME,
    Part,
    Sizes,
    is_entry,
    kind_of,
    told_by,
)  # fmt: skip
from mapscope.profiles.sites import THROUGH, Site
from mapscope.profiles.symbols import Symbols

VISIBLE = {
    "reflect.makemap": CREATION,
    "maps.clone": CREATION,
    "reflect.mapassign0": SOME,
    "reflect.mapassign_faststr0": SOME,
}
CHAIN = ("runtime.makeslice", "runtime.growslice", "runtime.mapassign")
MARK = " (named by mapscope)"

Told = tuple[Part | None, Site | None, str]


class Simple:
    """A heap profile, looked at sample by sample."""

    def __init__(self, profile: Profile, symbols: Symbols | None) -> None:
        self.profile, self.symbols = profile, symbols
        self.sizes = block_sizes(profile).tolist()
        self.pcs = return_addresses(profile, symbols)
        self.known = Sizes(symbols.executable) if symbols is not None else None
        self.lines = [profile.lines(row) for row in range(len(profile.locations))]

    def told(self) -> list[Told]:
        """Part, site and hidden callee of each sample."""
        return [self.sample(row) for row in range(len(self.profile))]

    def name(self, location: int) -> str:
        lines = self.lines[location]
        if self.symbols is not None and (self.profile.form == "text" or not lines):
            return self.symbols.line(int(self.pcs[location]))[0]
        return lines[0][0] if lines else ""

    def sample(self, sample: int) -> Told:
        stack = self.profile.stack(sample)
        if not stack:
            return None, None, ""
        if self.profile.form == "text" and self.symbols is not None:
            names = [self.name(row) for row in stack]
            return self.whole(sample, stack, names)
        names = [self.lines[row][0][0] if self.lines[row] else "" for row in stack]
        if names[0].startswith(HIDDEN):
            return self.whole(sample, stack, names)
        if self.symbols is None:
            part = Part(VISIBLE[names[0]], POSSIBLE, names[0]) if names[0] in VISIBLE else None
            return part, self.site(stack) if part is not None else None, ""
        target = int(self.symbols.targets(self.pcs[stack[:1]])[0])
        callee = self.symbols.callee(int(self.pcs[stack[0]]), target)
        part = None
        if is_entry(callee) and self.sizes[sample] > 0:
            rtype = self.symbols.map_type(int(self.pcs[stack[0]])) if target >= 0 else None
            assert self.known is not None
            part = self.known.by_entry(callee, self.sizes[sample], rtype)
        return part, self.site(stack) if part is not None else None, callee

    def whole(self, sample: int, stack: Sequence[int], names: Sequence[str]) -> Told:
        part = by_stack(names)
        if part is None or self.profile.text_label(sample, "map part") == NOT_A_PART:
            return None, None, ""
        said, told, name = (self.profile.text_label(sample, key) for key in ("map part", "told", "map type"))
        if said in PARTS and told in (EXACT, INFERRED, POSSIBLE):
            done = replace(part, part=said, how=told, type=name or None)
        else:
            done = self.completed(part, self.sizes[sample], [int(self.pcs[row]) for row in stack])
        return done, self.site(stack), ""

    def completed(self, part: Part, size: int, pcs: Sequence[int]) -> Part:
        if self.symbols is None or self.known is None:
            return replace(part, how=POSSIBLE) if part.part == SOME else part
        rtype = self.symbols.map_type(pcs[part.depth]) if part.depth < len(pcs) else None
        if part.part == SOME and is_entry(part.entry):
            what = self.known.direct(part.entry, size, rtype, self.symbols.allocates(pcs[part.depth - 1]))
            part = replace(part, part=what, how=part.how if what != SOME else POSSIBLE)
        return replace(part, type=rtype.name if rtype is not None else None)

    def frames(self, location: int) -> list[tuple[str, str, int]]:
        lines = self.lines[location]
        if self.symbols is not None and not lines:
            lines = [self.symbols.line(int(self.pcs[location]))]
        return lines

    def site(self, stack: Sequence[int]) -> Site:
        frames = [frame for row in stack for frame in self.frames(row)]
        leaf = (self.frames(stack[0]) or [("", "", 0)])[0]
        name, file, line = next((frame for frame in frames if not frame[0].startswith(THROUGH)), leaf)
        return Site(name or "?", file, line)

    def chains(self) -> int:
        """Samples with makeslice below growslice below mapassign, in this order."""
        stacks = [self.profile.stack(row) for row in range(len(self.profile))]
        names = [self.lines[row][0][0] if self.lines[row] else self.name(row) for row in range(len(self.lines))]
        return sum(in_order([names[row] for row in stack]) for stack in stacks)


def by_stack(names: Sequence[str]) -> Part | None:
    """The part of a map that these frames allocate, the leaf first; None when they do not make a part of a map."""
    at = 0
    while at < len(names) and kind_of(names[at]) & ALLOCATES:
        at += 1
    first = at
    while at < len(names) and kind_of(names[at]) & ON_MAPS:
        at += 1
    kinds = 0
    for name in names[first:at]:
        kinds |= kind_of(name)
    return Part(told_by(kinds), EXACT, names[at - 1], depth=at) if at > first else None


def in_order(names: Sequence[str]) -> bool:
    rest = iter(names)
    return all(any(name.startswith(one) for name in rest) for one in CHAIN)


def told(classified: Classified) -> list[Told]:
    """The same of what the columns say."""
    found: list[Told] = []
    for part, site, callee in zip(
        classified.part_of.tolist(), classified.site_of.tolist(), classified.hidden.tolist(), strict=True
    ):
        found.append((
            classified.parts[part] if part >= 0 else None,
            classified.sites[site] if site >= 0 else None,
            classified.callees[callee] if callee >= 0 else "",
        ))  # fmt: skip
    return found


Sample = tuple[list[Any], list[int], list[tuple[str, object]]]


def restored(classified: Classified) -> list[Sample]:
    """Stack, values and labels that each sample must have with its frames put back; see ``samples``."""
    profile, symbols = classified.profile, classified.symbols
    text = profile.form == "text"
    pcs = return_addresses(profile, symbols)
    made = []
    for sample, (part, _, callee) in enumerate(told(classified)):
        stack = []
        for row in profile.stack(sample):
            lines = frames(profile, row, MARK if text else "")
            if not lines and symbols is not None:
                name, file, line = symbols.line(int(pcs[row]))
                lines = [(name, name + MARK, file, 0, line)] if name else []
            address = int(profile.locations[row, 2]) % (1 << 64)
            address -= 1 if text and address else 0
            own = text and symbols is not None and symbols.table.find(int(pcs[row]) - 1) >= 0
            stack.append((address, 1 if own else int(profile.locations[row, 1]), lines))
        if callee:
            file, line = symbols.place(callee) if symbols is not None else ("", 0)
            stack.insert(0, (0, 0, [(callee, callee + MARK, file, 0, line)]))
        labels = label_list(profile, sample)
        if part is not None:
            labels += [("map part", part.part), ("told", part.how)] + ([("map type", part.type)] if part.type else [])
        elif callee and is_entry(callee):
            labels.append(("map part", NOT_A_PART))
        made.append((stack, profile.values[sample].tolist(), sorted(labels, key=repr)))
    return made


def samples(profile: Profile) -> list[Sample]:
    """Every sample of a profile: frames as (address, mapping, lines), values, labels."""
    found = []
    for sample in range(len(profile)):
        stack = []
        for row in profile.stack(sample):
            address = int(profile.locations[row, 2]) % (1 << 64)
            stack.append((address, int(profile.locations[row, 1]), frames(profile, row, "")))
        found.append((stack, profile.values[sample].tolist(), sorted(label_list(profile, sample), key=repr)))
    return found


def frames(profile: Profile, location: int, mark: str) -> list[tuple[str, str, str, int, int]]:
    """Lines of a location that name a function: name, system name, file, line of the function, line."""
    begin = int(profile.locations[location - 1, 3]) if location else 0
    found = []
    for row in range(begin, int(profile.locations[location, 3])):
        function = int(profile.function_of[row])
        if function >= 0:
            _, name, system, file, start = profile.tables[wire.FUNCTIONS][function].tolist()
            names = [profile.string(one) for one in (name, system, file)]
            line = int(profile.tables[wire.LINES][row, 1])
            found.append((names[0], names[1] + mark, names[2], start, line))
    return found


def label_list(profile: Profile, sample: int) -> list[tuple[str, object]]:
    """Labels of a sample: texts, and numbers with their units."""
    ends = profile.tables[wire.SAMPLES][:, 2]
    begin = int(ends[sample - 1]) if sample else 0
    found: list[tuple[str, object]] = []
    for key, text, number, unit in profile.tables[wire.LABELS][begin : int(ends[sample])].tolist():
        name = profile.string(key)
        found.append((name, profile.string(text) if text else (number, profile.string(unit))))
    return found
