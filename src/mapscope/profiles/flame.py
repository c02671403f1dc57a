"""Map memory by stack: a tree from the outermost caller to the part that was allocated, and sums by function."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from mapscope._kernels.reference import pprof as wire
from mapscope.profiles.classify import Classified
from mapscope.profiles.frames import begins, groups_of, line_begins
from mapscope.profiles.model import Column, Profile
from mapscope.profiles.parts import HIDDEN
from mapscope.profiles.restore import restored

MAX_DEPTH = 200
"""Frames of a stack that the tree shows, the outermost first; what lies below is in the sums of the last."""
_MOST_VALUE = 1 << 42
"""Bytes and objects of one sample: larger ones, which no program has, would make sums wrap."""
PROGRAM, RUNTIME, PART = 0, 1, 2
"""Kinds of nodes: functions of the program, the runtime's, which profiles hide, and what they allocated."""


class Flame(Struct, frozen=True):
    """Nodes, callers before those they call.

    ``parent``: row of the caller, -1 of the outermost. ``name``: row of ``words``. ``inuse``, ``alloc``: bytes of the
    node with all below it. ``objects``: in use. ``left_out``: nodes right below it that are not there, as they are
    small; their bytes are in its own.
    """

    parent: Column
    name: Column
    kind: Column
    inuse: Column
    alloc: Column
    objects: Column
    left_out: Column
    words: tuple[str, ...]


class Functions(Struct, frozen=True):
    """``inuse``, ``alloc``: bytes of maps with the function anywhere in the stack (cum), by row of ``names``."""

    names: tuple[str, ...]
    inuse: Column
    alloc: Column


class Stacks(Struct, frozen=True):
    """Stacks of the samples that maps made, hidden frames put back. ``frames``: rows of ``names``, the leaf first.

    ``samples``: their rows in the profile; ``begins``, ``ends``: of each in ``frames``.
    """

    samples: Column
    begins: Column
    ends: Column
    frames: Column
    names: tuple[str, ...]
    runtime: Column
    """1 where a name is one of the runtime's own functions."""


def map_stacks(classified: Classified) -> Stacks:
    """The stacks of all samples that maps made."""
    profile = restored(classified)
    samples = np.flatnonzero(classified.part_of >= 0)
    lines, first = _spread(profile.starts()[samples], profile.stack_ends[samples])
    locations = profile.stacks[lines].astype(np.int64)
    inner, outer = line_begins(profile)[locations], profile.locations[locations, 3]
    rows, starts = _spread(inner, np.maximum(outer, inner + 1))  # a location without a line is one nameless frame
    empty = np.repeat(outer <= inner, np.maximum(outer - inner, 1))
    functions = np.full(len(rows), -1, np.int64)
    functions[~empty] = profile.function_of[rows[~empty]]
    bounds = np.append(starts, len(rows))
    names, code = _names(profile, functions)
    runtime = np.array([name.startswith(HIDDEN) for name in names], np.int64)
    return Stacks(samples, bounds[first], bounds[_after(first, len(locations))], code, names, runtime)


def flame(classified: Classified, stacks: Stacks, most: int) -> Flame:
    """The tree of ``stacks``, at most ``most`` nodes: half by bytes in use, half by bytes allocated, the most first."""
    profile, known = classified.profile, len(stacks.names)
    named = ("inuse_space", "alloc_space", "inuse_objects")
    values = np.stack([np.clip(profile.value(name)[stacks.samples], 0, _MOST_VALUE) for name in named])
    parts, part_of = groups_of(classified.part_of[stacks.samples])
    words = list(stacks.names)
    for row in classified.part_of[stacks.samples][parts].tolist():
        part = classified.parts[row]
        words.append(part.part if part.type is None else f"{part.part} of {part.type}")
    depth = np.minimum(stacks.ends - stacks.begins, MAX_DEPTH)
    node = np.full(len(stacks.samples), -1, np.int64)
    tables: list[tuple[Column, Column, Column]] = []
    total, width = 0, len(words)
    for level in range(int(depth.max(initial=0)) + 1):
        rows = np.flatnonzero(depth >= level)
        here = np.where(
            depth[rows] == level,
            known + part_of[rows],
            stacks.frames[np.maximum(stacks.ends[rows] - 1 - level, 0)] if len(stacks.frames) else 0,
        )
        heads, group = groups_of((node[rows] + 1) * width + here)
        sums = np.zeros((3, len(heads)), np.int64)
        for kind in range(3):
            np.add.at(sums[kind], group, values[kind][rows])
        tables.append((node[rows][heads], here[heads], sums))
        node[rows] = total + group
        total += len(heads)
    parent, name = (np.concatenate([one[at] for one in tables]) for at in range(2))
    sums = np.concatenate([one[2] for one in tables], axis=1)
    kept = _largest(sums[0], most // 2) | _largest(sums[1], most // 2)
    number = np.cumsum(kept) - 1
    left_out = np.zeros(total + 1, np.int64)
    np.add.at(left_out, parent[~kept], 1)
    runtime = np.concatenate([stacks.runtime, np.full(len(words) - known, PART, np.int64)])
    above = parent[kept]
    return Flame(
        np.where(above < 0, -1, number[above]), name[kept], runtime[name[kept]], sums[0][kept], sums[1][kept],
        sums[2][kept], left_out[:-1][kept], tuple(words),
    )  # fmt: skip


def functions(classified: Classified, stacks: Stacks) -> Functions:
    """Bytes of maps below each function: each sample once, also where the function calls itself."""
    sample = np.repeat(np.arange(len(stacks.samples)), stacks.ends - stacks.begins)
    heads, _ = groups_of(sample, stacks.frames)
    sums = np.zeros((2, len(stacks.names)), np.int64)
    for at, name in enumerate(("inuse_space", "alloc_space")):
        np.add.at(sums[at], stacks.frames[heads], classified.profile.value(name)[stacks.samples][sample[heads]])
    return Functions(stacks.names, sums[0], sums[1])


def _largest(values: Column, most: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The rows of the ``most`` largest; of equal ones the first, so that a caller comes before what it calls."""
    kept = np.zeros(len(values), np.bool_)
    kept[np.argsort(-values, kind="stable")[:most]] = True
    return kept & (values > 0)


def _spread(first: Column, end: Column) -> tuple[Column, Column]:
    """All numbers of all ranges, and where those of each begin."""
    length = np.maximum(end - first, 0)
    at = begins(np.cumsum(length))
    return np.arange(int(length.sum())) + np.repeat(first - at, length), at


def _after(first: Column, total: int) -> Column:
    """Where each range ends that begins at ``first``, one behind the other up to ``total``."""
    return np.append(first[1:], total) if len(first) else first


def _names(profile: Profile, rows: Column) -> tuple[tuple[str, ...], Column]:
    """The distinct names of functions (rows, -1 for none), and the number of each row's name."""
    numbers = np.append(profile.tables[wire.FUNCTIONS][:, 1], 0)[rows]
    heads, group = groups_of(numbers)
    known: dict[str, int] = {}
    code = [known.setdefault(profile.string(int(numbers[row])) or "?", len(known)) for row in heads.tolist()]
    return tuple(known), np.array(code, np.int64)[group]
