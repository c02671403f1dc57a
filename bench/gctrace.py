"""What ``GODEBUG=gctrace=1`` says about the CPU time of marking.

A line reads ``gc 14 @5.5s 19%: 0.019+194+0.006 ms clock, 0.039+0/102/283+0.012 ms cpu, … (forced)``. The middle of the
CPU part is assist time, time of dedicated and fractional workers, and time of idle workers (package runtime,
"gctrace").
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LINE = re.compile(r"^gc \d+ @.*? ms clock, [\d.]+\+([\d.]+)/([\d.]+)/([\d.]+)\+[\d.]+ ms cpu,.*\(forced\)")


def mark_seconds(lines: Iterable[str], collections: int = 3) -> float:
    """CPU seconds of marking: the smallest of the last ``collections`` forced ones.

    All three kinds of workers count: in a program that waits for ``runtime.GC()`` the idle ones mark most of the heap.
    The smallest, because on a machine with other work the others hold waiting for it.
    """
    found = []
    for line in lines:
        match = _LINE.match(line)
        if match:
            found.append(sum(float(part) for part in match.groups()) / 1000)
    if len(found) < collections:
        raise ValueError(f"gctrace shows {len(found)} forced collections, {collections} were asked for")
    return min(found[-collections:])
