"""Fleets for tests: random ones, and such as a person would write down."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from mapscope.growth.fleet import Fleet, Node, Shard

GB = 10**9


def fleet(loads: dict[str, float], shards: dict[str, list[tuple[int, float]]], capacity: int = 1000) -> Fleet:
    """Nodes by load ratio (CPU and memory alike), each with shards of (GB, weight); capacity in GB."""
    nodes, rows = [], []
    for name, load in loads.items():
        held = shards.get(name, [])
        nodes.append(Node(name, load, load, capacity * GB, sum(size for size, _ in held) * GB))
        rows += [Shard(len(rows) + at, name, size * GB, weight) for at, (size, weight) in enumerate(held)]
    return Fleet(tuple(nodes), tuple(rows))


def random_fleet(seed: int, nodes: int = 3, most_shards: int = 7) -> Fleet:
    """A small fleet with something beyond a threshold more often than not."""
    draw = random.Random(seed)
    count = draw.randint(3, most_shards)
    shards = [
        Shard(at, f"n{draw.randrange(nodes) if draw.random() < 0.5 else 0}", draw.randint(1, 40) * GB, draw.random())
        for at in range(count)
    ]
    made = []
    for at in range(nodes):
        held = sum(shard.size_bytes for shard in shards if shard.node == f"n{at}")
        load = draw.uniform(0.5, 1.1) if at == 0 else draw.uniform(0.05, 0.6)
        made.append(Node(f"n{at}", load, load, draw.randint(100, 250) * GB, held, draw.choice([1.0, 1.0, 2.0])))
    return Fleet(tuple(made), tuple(shards))


@st.composite
def fleets(draw, most_nodes: int = 6, most_shards: int = 25):
    """Any fleet: idle and hot nodes, full disks, huge and empty shards, nodes that take nothing."""
    count = draw(st.integers(1, most_nodes))
    part = st.floats(0, 1.3, allow_nan=False)
    size = st.one_of(st.integers(0, 60), st.sampled_from([0, 1, 300]))
    weight = st.one_of(st.floats(0, 10, allow_nan=False), st.sampled_from([0.0, 1.0, 1e-9, 1e9]))
    shards = tuple(
        Shard(at, f"n{draw(st.integers(0, count - 1))}", draw(size) * GB, draw(weight), draw(st.integers(0, 9)) > 0)
        for at in range(draw(st.integers(0, most_shards)))
    )
    nodes = []
    for at in range(count):
        held = sum(shard.size_bytes for shard in shards if shard.node == f"n{at}")
        room = draw(st.integers(1, 400)) * GB
        nodes.append(
            Node(f"n{at}", draw(part), draw(part), held + room, held, draw(st.sampled_from([0.5, 1.0, 4.0])),
                 draw(st.integers(0, 9)) > 0)
        )  # fmt: skip
    return Fleet(tuple(nodes), shards)
