"""The tree of stacks and the sums of functions, against the samples one after the other."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from mapscope.profiles import indicators as ind
from mapscope.profiles.classify import Classified, classify
from mapscope.profiles.flame import MAX_DEPTH, PART, Flame, flame, functions, map_stacks
from mapscope.profiles.protobuf import read_protobuf
from tests.unit.profiles import simple
from tests.unit.profiles.test_columns import made_up

EVERY = 1 << 20


def made(seed: int) -> Classified:
    return classify(read_protobuf("made", made_up(random.Random(seed)).SerializeToString()), None)


def truth(classified: Classified) -> list[tuple[tuple[str, ...], int, int]]:
    """Of each sample that a map made: its frames, the outermost first, the part below them, and its two values."""
    values = [classified.profile.value(name).tolist() for name in ("inuse_space", "alloc_space")]
    out = []
    for at, ((stack, _, _), part) in enumerate(
        zip(simple.restored(classified), classified.part_of.tolist(), strict=True)
    ):
        if part < 0:
            continue
        names = [line[0] or "?" for _, _, lines in stack for line in (lines or [("?",)])]
        of = classified.parts[part]
        leaf = of.part if of.type is None else f"{of.part} of {of.type}"
        frames = names[::-1][:MAX_DEPTH]
        out.append(((*frames, "\0" + leaf), values[0][at], values[1][at]))
    return out


def paths(tree: Flame) -> list[tuple[str, ...]]:
    """The way to each node."""
    out: list[tuple[str, ...]] = []
    for parent, name, kind in zip(tree.parent.tolist(), tree.name.tolist(), tree.kind.tolist(), strict=True):
        word = ("\0" if kind == PART else "") + tree.words[name]
        out.append((*(out[parent] if parent >= 0 else ()), word))
    return out


@pytest.mark.parametrize("seed", range(12))
def test_each_node_is_the_sum_of_the_samples_below_it(seed: int):
    classified = made(seed)
    tree = flame(classified, map_stacks(classified), EVERY)
    sums: list[Counter[tuple[str, ...]]] = [Counter(), Counter()]
    for path, *values in truth(classified):
        for counter, value in zip(sums, values, strict=True):
            for end in range(1, len(path) + 1):
                counter[path[:end]] += value
    found = paths(tree)
    assert len(found) > 20
    for column, counter in zip((tree.inuse, tree.alloc), sums, strict=True):
        ours: Counter[tuple[str, ...]] = Counter()
        for path, value in zip(found, column.tolist(), strict=True):
            ours[path] += value
        assert +ours == +counter
    assert not tree.left_out.any()


@pytest.mark.parametrize("most", [0, 2, 10, 60])
def test_a_small_tree_keeps_the_largest_and_says_what_it_leaves_out(most: int):
    classified = made(3)
    stacks = map_stacks(classified)
    whole, cut = flame(classified, stacks, EVERY), flame(classified, stacks, most)
    assert len(cut.parent) <= most
    sizes = dict(zip(paths(whole), whole.inuse.tolist(), strict=True))
    kept = paths(cut)
    assert [sizes[path] for path in kept] == cut.inuse.tolist()
    for path, left in zip(kept, cut.left_out.tolist(), strict=True):
        below = [other for other in sizes if other[:-1] == path]
        assert left == len(set(below) - set(kept))
    if most:
        assert max(sizes.values()) == cut.inuse.max()


@pytest.mark.parametrize("seed", range(6))
def test_functions_count_each_sample_once(seed: int):
    classified = made(seed)
    found = functions(classified, map_stacks(classified))
    cum: list[Counter[str]] = [Counter(), Counter()]
    for path, *values in truth(classified):
        for counter, value in zip(cum, values, strict=True):
            for name in set(path[:-1]):
                counter[name] += value
    for column, counter in zip((found.inuse, found.alloc), cum, strict=True):
        ours: Counter[str] = Counter()
        for name, value in zip(found.names, column.tolist(), strict=True):
            ours[name] += value
        assert +ours == +counter
    total = sum(one.sums.inuse_bytes for one in ind.groups(classified))
    assert max(found.inuse) <= total
