"""Questions about all names, locations and stacks of a profile at once, without a Python loop over any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference import pprof as wire
from mapscope.profiles.model import Column, Profile, Rows

Flags = npt.NDArray[np.bool_]
Ints = TypeVar("Ints", Column, Rows)

_STEPS = 64
"""Frames of a stack that are looked at one after the other, before the rest is looked at as a whole."""
_TOGETHER = 1 << 12
"""Stacks whose rest is looked at together."""


def strings_beginning(profile: Profile, prefixes: Sequence[str]) -> Flags:
    """Which strings of the profile begin with one of ``prefixes`` (ASCII)."""
    table, text = profile.tables[wire.STRINGS], profile.text
    found = np.zeros(len(table), np.bool_)
    for prefix in prefixes:
        rows = np.flatnonzero(table[:, 1] - table[:, 0] >= len(prefix))
        for at, byte in enumerate(prefix.encode("ascii")):
            rows = rows[text[table[rows, 0] + at] == byte]
        found[rows] = True
    return found


def strings_equal(profile: Profile, wanted: Sequence[str]) -> Flags:
    """Which strings of the profile are one of ``wanted`` (ASCII)."""
    length = np.diff(profile.tables[wire.STRINGS], axis=1)[:, 0]
    found = np.zeros(len(length), np.bool_)
    for one in wanted:
        found |= strings_beginning(profile, [one]) & (length == len(one))
    return found


def functions_beginning(profile: Profile, prefixes: Sequence[str]) -> Flags:
    """Which functions have names that begin so; one row more, so that row -1 (no function) is none of them."""
    flags = strings_beginning(profile, prefixes)[profile.tables[wire.FUNCTIONS][:, 1]]
    return np.append(flags, False)


def line_begins(profile: Profile) -> Column:
    """Where the lines of each location begin in the table of lines."""
    return begins(profile.locations[:, 3])


def begins(ends: Column) -> Column:
    """Where lists that end at ``ends`` begin."""
    return np.concatenate([np.zeros(1, np.int64), ends])[:-1]


def innermost(profile: Profile) -> Column:
    """Row of the innermost function of each location; -1 where it has no line, or one without a function."""
    first, ends = line_begins(profile), profile.locations[:, 3]
    found = np.full(len(ends), -1, np.int64)
    some = first < ends
    found[some] = profile.function_of[first[some]]
    return found


def first_line(profile: Profile, skipped: Flags) -> Column:
    """Row of the first line of each location whose function is not ``skipped`` (rows of functions, -1 too), else -1."""
    first, ends = line_begins(profile), profile.locations[:, 3]
    good = np.append(np.flatnonzero(~skipped[profile.function_of]), len(profile.function_of))
    at = good[np.searchsorted(good, first)]
    return np.where((at < ends) & (first < ends), at, -1)


def first_frame(
    profile: Profile, samples: Column, good: Flags, learn: Callable[[Rows], object] = lambda _rows: None
) -> Column:
    """Location row of the first frame of each of ``samples`` that is ``good`` (by location row); -1 where none is.

    ``learn`` is told which locations will be looked at next, so that ``good`` can be made up for them when it has to
    be: each at least once, others only in very deep stacks.
    """
    at, ends = profile.starts()[samples], profile.stack_ends[samples]
    found = np.full(len(samples), -1, np.int64)
    waiting = np.flatnonzero(at < ends)
    for _ in range(_STEPS):
        if not len(waiting):
            return found
        rows = profile.stacks[at[waiting]]
        learn(rows)
        here = good[rows]
        found[waiting[here]] = rows[here]
        waiting = waiting[~here]
        at[waiting] += 1
        waiting = waiting[at[waiting] < ends[waiting]]
    for part in range(0, len(waiting), _TOGETHER):
        few = waiting[part : part + _TOGETHER]
        length = ends[few] - at[few]
        first = begins(np.cumsum(length))
        frames = profile.stacks[np.arange(int(length.sum())) + np.repeat(at[few] - first, length)]
        learn(frames)
        places = np.append(np.flatnonzero(good[frames]), len(frames))
        next_one = places[np.searchsorted(places, first)]
        inside = next_one < first + length
        found[few[inside]] = frames[next_one[inside]]
    return found


def text_labels(profile: Profile, key: str) -> Column:
    """Number of the string of text label ``key`` of each sample, the first where there are several; 0: it has none."""
    labels, found = profile.tables[wire.LABELS], np.zeros(len(profile), np.int64)
    keys = strings_equal(profile, [key]) if len(labels) else np.zeros(1, np.bool_)
    rows = np.flatnonzero(keys[labels[:, 0]] & (labels[:, 1] != 0))[::-1]
    found[np.searchsorted(profile.tables[wire.SAMPLES][:, 2], rows, "right")] = labels[rows, 1]
    return found


def groups_of(*columns: Column) -> tuple[Column, Column]:
    """Equal rows of ``columns``: the first row of each group, and the group of each row."""
    if not len(columns[0]):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.lexsort(columns[::-1])
    new = np.ones(len(order), np.bool_)
    new[1:] = np.logical_or.reduce([column[order[1:]] != column[order[:-1]] for column in columns])
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(new) - 1
    return order[new], group


def distinct(values: Ints) -> Ints:
    """The different values, ascending (np.unique, which loads a module of masked arrays for it)."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
