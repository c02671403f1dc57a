"""Inserts a second of the lab's models of the classic map, beside those of a Python dict: ``python -m bench.model``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from mapscope._kernels import compiled
from mapscope.lab.model.fast import hashes_of, inserts
from mapscope.lab.model.making import make

AIM = 300_000
"""Inserts a second in the fast path."""


def rate(count: int, work: Callable[[], object]) -> float:
    """Inserts a second of ``work``, which does ``count`` of them."""
    begin = time.perf_counter()
    work()
    return count / (time.perf_counter() - begin)


def into_dict(keys: list[int]) -> dict[int, int]:
    """The same keys into a dict of this interpreter, one by one."""
    return dict(zip(keys, keys, strict=True))


def readable(keys: list[int]) -> None:
    """The model in plain Python."""
    model = make("1.23", hasher=lambda key, _: key if isinstance(key, int) else 0)
    for key in keys:
        model.assign(key, key)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000_000, help="inserts of the fast path (default 10,000,000)")
    count = parser.parse_args().count
    some = hashes_of(max(count // 50, 1000)).tolist()
    base = rate(len(some), lambda: into_dict(some))
    step = max(count // 2000, 1)
    begin = time.perf_counter()
    fast = rate(count, lambda: inserts("1.23", range(0, count + 1, step)))
    seconds = time.perf_counter() - begin
    plain = rate(len(some), lambda: readable(some))
    kernel = "compiled" if compiled() else "reference kernel"
    print(f"fast path ({kernel}): {fast:,.0f} inserts a second, {fast / base:.3f} of a dict's (aim {AIM:,})")
    print(f"readable model: {plain:,.0f} inserts a second, {plain / base:.4f} of a dict's")
    print(f"a curve to {count:,} inserts: {seconds:.1f} s")


if __name__ == "__main__":
    main()
