"""Samples whose stacks show the runtime's own frames: debug=1 with the executable, or frames that were put back.

The frames at the leaf are read from the innermost on: first those that allocate, then those that work on maps; the last
of them is what the program called. Equal stacks are judged once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from mapscope._kernels.reference import pprof as wire
from mapscope.profiles.frames import distinct, groups_of, innermost, strings_beginning, strings_equal, text_labels
from mapscope.profiles.model import Column, Profile, Rows
from mapscope.profiles.parts import (
    ALLOCATES,
    EXACT,
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
)

if TYPE_CHECKING:
    from mapscope.profiles.symbols import Symbols

_DEEPEST = 1024
"""Frames of the runtime at the leaf; Go records 128 of a stack (runtime/mprof.go: maxProfStackDepth)."""
_NOT_ASKED = 255
_HOMES = ("runtime.", "internal/runtime/maps.")

Kinds = npt.NDArray[np.uint8]


class WholeStacks:
    """Parts of samples by the frames of the runtime in their stacks."""

    def __init__(
        self, profile: Profile, symbols: Symbols | None, known: Sizes | None, pcs: npt.NDArray[np.uint64]
    ) -> None:
        """``pcs``: the return address of each location.

        The executable names all frames of text, else the profile does.
        """
        self._profile, self._symbols, self._known, self._pcs = profile, symbols, known, pcs
        self._function = innermost(profile)
        if profile.form == "text" and symbols is not None:
            self._kind = np.full(len(self._function), _NOT_ASKED, np.uint8)
        else:
            self._kind = np.append(self._by_function(), np.uint8(0))[self._function]

    def parts(self, samples: Column, sizes: Column, row_of: Callable[[Part], int]) -> Column:
        """Row of the part of each of ``samples``, as ``row_of`` says it; -1 where it is none.

        ``sizes``: bytes of one object of each sample of the profile.
        """
        profile = self._profile
        depth, kinds = self._walk(samples)
        said, told, name = (text_labels(profile, key)[samples] for key in ("map part", "told", "map type"))
        rows = np.flatnonzero((kinds > 0) & ~strings_equal(profile, [NOT_A_PART])[said])
        depth, kinds = depth[rows], kinds[rows]
        outer = profile.starts()[samples[rows]] + depth
        entry = profile.stacks[outer - 1]
        called = outer < profile.stack_ends[samples[rows]]
        caller = np.where(called, profile.stacks[np.where(called, outer, outer - 1)], -1)
        size = np.where(kinds == ON_MAPS, sizes[samples[rows]], 0)  # the size matters where the frames do not tell
        heads, group = groups_of(entry, caller, depth, kinds, size, said[rows], told[rows], name[rows])
        if self._symbols is not None:
            self._symbols.map_types(self._pcs[distinct(caller[heads][caller[heads] >= 0])].tolist())
        made = np.zeros(len(heads), np.int64)
        for number, head in enumerate(heads.tolist()):
            part = Part(told_by(int(kinds[head])), EXACT, self._name(int(entry[head])), depth=int(depth[head]))
            labels = [profile.string(int(column[rows[head]])) for column in (said, told, name)]
            done = _labelled(part, *labels) or self._completed(
                part, int(entry[head]), int(caller[head]), int(sizes[samples[rows[head]]])
            )
            made[number] = row_of(done)
        found = np.full(len(samples), -1, np.int64)
        found[rows] = made[group]
        return found

    def _walk(self, samples: Column) -> tuple[Column, Column]:
        """How many frames at the leaf allocate or, after them, work on maps; and what the latter are together."""
        profile = self._profile
        begin, ends = profile.starts()[samples], profile.stack_ends[samples]
        at, kinds = begin.copy(), np.zeros(len(samples), np.uint8)
        waiting = np.flatnonzero(at < ends)
        for _ in range(_DEEPEST):
            if not len(waiting):
                break
            kind = self._kinds(profile.stacks[at[waiting]])
            before = (kinds[waiting] == 0) & (kind & ALLOCATES > 0)
            on_maps = (kind & ON_MAPS > 0) & ~before
            kinds[waiting] |= np.where(on_maps, kind & ~np.uint8(ALLOCATES), 0).astype(np.uint8)
            waiting = waiting[before | on_maps]
            at[waiting] += 1
            waiting = waiting[at[waiting] < ends[waiting]]
        return at - begin, kinds.astype(np.int64)

    def _kinds(self, locations: Rows) -> Kinds:
        """``kind_of`` of the function of each location."""
        if self._symbols is not None:
            rows = distinct(locations[self._kind[locations] == _NOT_ASKED])
            self._kind[rows] = [kind_of(name) for name in self._symbols.names(self._pcs[rows])]
        found: Kinds = self._kind[locations]
        return found

    def _by_function(self) -> Kinds:
        """``kind_of`` of the functions that the profile names."""
        numbers = self._profile.tables[wire.FUNCTIONS][:, 1]
        found = np.zeros(len(numbers), np.uint8)
        for row in np.flatnonzero(strings_beginning(self._profile, _HOMES)[numbers]).tolist():
            found[row] = kind_of(self._profile.string(int(numbers[row])))
        return found

    def _name(self, location: int) -> str:
        if self._profile.form == "text" and self._symbols is not None:
            return self._symbols.name(int(self._pcs[location]))
        function = int(self._function[location])
        return self._profile.function(function)[0] if function >= 0 else ""

    def _completed(self, part: Part, entry: int, caller: int, size: int) -> Part:
        """The part with the type that the call of the entry names, and what mapassign itself allocated.

        ``entry`` and ``caller`` are rows of locations; a caller of -1 is not in the stack.
        """
        if self._symbols is None or self._known is None:
            return replace(part, how=POSSIBLE) if part.part == SOME else part
        rtype = self._symbols.map_type(int(self._pcs[caller])) if caller >= 0 else None
        if part.part == SOME and is_entry(part.entry):
            allocates = self._symbols.allocates(int(self._pcs[entry]))
            what = self._known.direct(part.entry, size, rtype, allocates)
            part = replace(part, part=what, how=part.how if what != SOME else POSSIBLE)
        return replace(part, type=rtype.name if rtype is not None else None)


def _labelled(part: Part, said: str, told: str, name: str) -> Part | None:
    """The part that a profile with its frames put back says itself (``restore``)."""
    if said not in PARTS or told not in (EXACT, INFERRED, POSSIBLE):
        return None
    return replace(part, part=said, how=told, type=name or None)
