"""Times graph, dominators and chains of a core apart, one behind the other. Run by ``bench.run`` in a fresh process."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from mapscope.opening import open_snapshot


def main(core: str, executable: str) -> int:
    """Prints seconds as JSON: ``graph``, ``dominators``, ``chains`` (to every map), and how many there were."""
    snapshot = open_snapshot(core, executable)
    addresses = np.asarray(snapshot.maps.columns["address"], dtype=np.uint64)
    marks = [time.perf_counter()]
    graph = snapshot.holding.graph
    marks.append(time.perf_counter())
    assert len(snapshot.holding.dominators.idom) == len(graph)
    marks.append(time.perf_counter())
    held = snapshot.holders(addresses)
    marks.append(time.perf_counter())
    seconds = dict(zip(("graph", "dominators", "chains"), np.diff(marks).tolist(), strict=True))
    counts = {"nodes": len(graph), "edges": len(graph.targets), "maps": int(held.live.sum())}
    json.dump(seconds | counts, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
