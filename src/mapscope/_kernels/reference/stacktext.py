"""Text profiles of debug=2 to columns: the plain version of _stacktext.pyx.

The format (runtime.Stack): a head for each goroutine, two lines a frame, and who created it. Tables as in ``proftext``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference.proftext import Tables, give, signed, span_of

GOROUTINES, FRAMES, CREATORS = range(3)
GOROUTINE_WIDTHS = (7, 6, 2)
"""Goroutines: number, has a wait, minutes of it, state, ends of their FRAMES and CREATORS. Frames:
function, file, line, offset of the return address in the function. Creators: the function of each."""

_N, _PC = rb"(-?\d{1,19})", rb"0x[0-9a-f]{1,16}"
_HEAD = re.compile(rb"goroutine (\d{1,19})(?: gp=\S+)?(?: m=\S+)?(?: mp=\S+)? \[([^\]]*)\]:\s*$")
_MINUTES = re.compile(rb"%b minutes$" % _N)
_PLACE = re.compile(rb"\t(.*):%b(?: \+(%b))?(?: fp=\S+.*)?$" % (_N, _PC))
_CREATED = re.compile(rb"created by (.*?)(?: in goroutine %b)?$" % _N)


def goroutines(
    data: npt.NDArray[np.uint8], deepest: int, tables: Sequence[npt.NDArray[np.int64]] | None,
    counts: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """Counts the rows of each table of a debug=2 text, or fills ``tables``. -1, or the number of a bad line.

    Of a stack ``deepest`` frames are kept.
    """
    made: Tables = [[] for _ in GOROUTINE_WIDTHS]
    lines = data.tobytes().split(b"\n")
    begins = np.cumsum([0] + [len(line) + 1 for line in lines]).tolist()
    at, bad = 0, -1
    while at < len(lines):
        head, begin = _HEAD.match(lines[at]), begins[at]
        at += 1
        if head is None:
            if lines[at - 1].strip():
                bad = at
                break
            continue
        deep = 0
        while at < len(lines) and lines[at].strip():
            line, start, at = lines[at], begins[at], at + 1
            place = _PLACE.match(lines[at]) if at < len(lines) else None
            if created := _CREATED.match(line):
                made[CREATORS].append([*span_of(created, 1, start)])
            elif place is not None and deep < deepest:
                end = len(line)
                if line.endswith(b")"):  # its arguments are not kept
                    end = line.rfind(b"(") if b"(" in line else len(line) - 1
                offset = int(place[3], 16) if place[3] else 0
                made[FRAMES].append(
                    [start, start + end, *span_of(place, 1, begins[at]), signed(int(place[2])), offset]
                )  # fmt: skip
                deep += 1
            at += place is not None
        waits = [signed(int(found[1])) for part in head[2].split(b", ") if (found := _MINUTES.match(part))]
        state = begin + head.start(2)
        made[GOROUTINES].append([
            signed(int(head[1])), bool(waits), waits[0] if waits else 0, state, state + len(head[2].split(b",")[0]),
            len(made[FRAMES]), len(made[CREATORS]),
        ])  # fmt: skip
    give(made, tables, counts)
    return bad
