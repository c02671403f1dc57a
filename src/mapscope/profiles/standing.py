"""P7: goroutines that stand for long inside loops over maps, beside map memory that only rises.

A profile of goroutines names frames, no maps; a heap profile names places, no goroutines. Both together make a suspect
where they speak of the same map type, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from mapscope.errors import ExecutableError
from mapscope.profiles.classify import return_addresses
from mapscope.profiles.model import Column, Profile
from mapscope.profiles.parts import HIDDEN, INFERRED, POSSIBLE
from mapscope.profiles.series import Rise
from mapscope.profiles.settings import Settings
from mapscope.profiles.sites import THROUGH, Site

if TYPE_CHECKING:
    from mapscope.binary.executable import Executable
    from mapscope.profiles.symbols import Symbols

LEAK = "goroutineleak"
"""Name of the profile of goroutines that nothing can wake any more (Go 1.26 on, runtime/pprof)."""
_MAY_DIFFER = 0.02
"""Share of the frames of a debug=2 text that need not lie on the line that the executable gives them."""


class Standing(Struct, frozen=True):
    """Goroutines that stand in one loop over a map, all in one state.

    ``site``: where the machine function of the loop stands, or the one that called it where the loop is in a package
    that works for others. ``wait``: the longest, in minutes, None where the profile says none. ``lasting``: by its
    wait, by a profile of leaks, or because each of several profiles shows it.
    """

    site: Site
    type: str | None
    how: str
    state: str
    goroutines: int
    wait: int | None
    lasting: bool


class Suspicion(Struct, frozen=True):
    """Goroutines that stand in a loop, and the places that fill maps of its type and only rise."""

    standing: Standing
    rises: tuple[Rise, ...]


def standing(executable: Executable, profiles: Sequence[Profile], settings: Settings) -> list[Standing]:
    """Goroutines in loops over maps, of goroutine profiles of one process, the latest last. Most goroutines first.

    Of profiles of one form the last one's numbers are given; what it says counts as lasting also when all of at least
    two say it. ExecutableError when a profile is of another program.
    """
    found: dict[tuple[Site, str], Standing] = {}
    by_form: dict[tuple[str, str], list[Profile]] = {}
    for one in profiles:
        by_form.setdefault((one.form, one.kind), []).append(one)
    for series in by_form.values():
        seen = [_standing(executable, one, settings) for one in series]
        for key, last in seen[-1].items():
            always = len(seen) > 1 and all(key in one for one in seen)
            if always and not last.lasting:
                last = replace(last, lasting=True, how=POSSIBLE)
            if key not in found or not found[key].lasting:
                found[key] = last
    return sorted(found.values(), key=lambda one: (not one.lasting, -(one.wait or 0), -one.goroutines))


def suspicions(found: Sequence[Standing], rises: Sequence[Rise]) -> list[Suspicion]:
    """Those that last and whose map type, where it is known, is also that of a place that only rises."""
    made = []
    for one in found:
        same = tuple(rise for rise in rises if one.type is None or rise.type in (None, one.type))
        if one.lasting and same:
            exact = one.type is not None and all(rise.type == one.type for rise in same)
            made.append(Suspicion(one if exact else replace(one, how=POSSIBLE), same))
    return made


def _standing(executable: Executable, profile: Profile, settings: Settings) -> dict[tuple[Site, str], Standing]:
    from mapscope.profiles.loading import open_symbols, symbols_at
    from mapscope.profiles.loops import Loops

    stacks = profile.form == "stacks"
    symbols = symbols_at(executable, 0) if stacks else open_symbols(executable, profile)
    pcs = _offsets(profile, symbols) if stacks else return_addresses(profile, symbols).astype(np.int64)
    loops = Loops(symbols)
    found = [loops.at(pc) if pc > 0 else None for pc in pcs.tolist()]
    inside = np.array([one is not None for one in found] + [False], np.bool_)
    rows = np.flatnonzero(inside[profile.stacks])
    samples, first = np.unique(np.searchsorted(profile.stack_ends, rows, "right"), return_index=True)
    waits, counts = profile.number_label("wait"), profile.values[:, 0]
    made: dict[tuple[Site, str], Standing] = {}
    for sample, begin in zip(samples.tolist(), rows[first].tolist(), strict=True):
        loop = found[int(profile.stacks[begin])]
        assert loop is not None
        frames = pcs[profile.stacks[begin : int(profile.stack_ends[sample])]]
        site, state = _site(symbols, frames.tolist()), profile.text_label(sample, "state")
        wait = int(waits[sample]) or None
        lasting = profile.kind == LEAK or (wait or 0) >= settings.blocked_min_minutes
        old = made.get((site, state))
        if old is None or (lasting and not old.lasting):
            made[site, state] = Standing(
                site, loop.type, loop.how, state, int(counts[sample]), wait, lasting
            )  # fmt: skip
        elif lasting or not old.lasting:
            longest = max(old.wait or 0, wait or 0) or None
            how = INFERRED if old.how == loop.how == INFERRED else POSSIBLE
            made[site, state] = replace(
                old, goroutines=old.goroutines + int(counts[sample]), wait=longest, how=how
            )  # fmt: skip
    return made


def _site(symbols: Symbols, frames: Sequence[int]) -> Site:
    """The first of these frames that is not in a package that works for its callers, else the first."""
    for pc in frames:
        place = symbols.outermost(pc) if pc > 0 else ("", "", 0)
        if place[0] and not place[0].startswith(THROUGH):
            return Site(*place)
    return Site(*symbols.outermost(frames[0]))


def _offsets(profile: Profile, symbols: Symbols) -> Column:
    """Return addresses of a debug=2 text: entry of the function of that name plus the offset; 0 where there is none.

    ExecutableError where many lie on other lines than the text says.
    """
    named: dict[str, list[int]] = {}
    wanted = {profile.lines(row)[0][0] for row in range(len(profile.locations))}
    if any("[...]" in name for name in wanted):
        named = symbols.table.indices_by_shown(wanted)
    found = np.zeros(len(profile.locations), np.int64)
    looked, wrong = 0, 0
    leaves, inner = profile.leaves(), np.zeros(len(profile.locations), np.bool_)
    inner[profile.stacks] = True
    inner[leaves[leaves >= 0]] = False  # a leaf need not stand after a call
    for row, offset in enumerate(profile.locations[:, 2].tolist()):
        name, _, line = profile.lines(row)[0]
        if offset <= 0:
            continue
        if name not in named:
            named[name] = symbols.table.indices_of(name)
        for index in named[name]:
            pc = int(symbols.table.entry[index]) + offset
            if pc <= symbols.table.end_of(index) and symbols.outermost(pc)[2] == line:
                found[row] = pc
                break
        if inner[row] and not name.startswith(HIDDEN):
            looked, wrong = looked + 1, wrong + (not found[row])
    if wrong > _MAY_DIFFER * looked:
        raise ExecutableError(
            f"{symbols.executable.path} is not the program that made {profile.origin}: {wrong:,} of {looked:,} frames "
            "lie on other lines in it",
            "give the very file that ran; a rebuilt one has other addresses",
        )
    return found
