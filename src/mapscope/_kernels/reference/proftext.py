"""The text formats of /debug/pprof to columns: the plain version of _proftext.pyx.

debug=1 (runtime/pprof/pprof.go: writeHeapInternal, printCountProfile): a first line, then for each sample its numbers
and return addresses, and comments that name frames. debug=2 (runtime.Stack): a head for each goroutine, then two lines
a frame. Text becomes tables of int64 like those of ``pprof``; strings are (begin, end) in the bytes. Lines end with a
line feed. Whitespace is that of ASCII; numbers beyond 64 bits become the nearest that fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RECORDS, PCS, NAMED, FACTS = range(4)
RECORD_WIDTHS = (6, 1, 6, 3)
"""Of ``records``. Records: four numbers (one for a profile that counts), ends of their parts of PCS and NAMED. Named
frames: return address, name, file, line. Facts: name, value."""

GOROUTINES, FRAMES, CREATORS = range(3)
GOROUTINE_WIDTHS = (7, 6, 2)
"""Of ``goroutines``. Goroutines: number, has a wait, minutes of it, state, ends of their FRAMES and CREATORS. Frames:
function, file, line, offset of the return address in the function. Creators: the function of each."""

_N, _PC = rb"(-?\d{1,19})", rb"0x[0-9a-f]{1,16}"
_SAMPLES = {
    4: re.compile(rb" *%b: +%b +\[ *%b: +%b\] +@((?: +%b)*)\s*$" % (_N, _N, _N, _N, _PC)),
    1: re.compile(rb" *%b +@((?: +%b)*)\s*$" % (_N, _PC)),
}
_NAMED = re.compile(rb"#\t(%b)\t+(\S.*?)\+%b\t+(.*):%b\s*$" % (_PC, _PC, _N))
_FACT = re.compile(rb"# (\w+) = %b(?: / %b)?\s*$" % (_N, _N))
_HEAD = re.compile(rb"goroutine (\d{1,19})(?: gp=\S+)?(?: m=\S+)?(?: mp=\S+)? \[([^\]]*)\]:\s*$")
_MINUTES = re.compile(rb"%b minutes$" % _N)
_PLACE = re.compile(rb"\t(.*):%b(?: \+(%b))?(?: fp=\S+.*)?$" % (_N, _PC))
_CREATED = re.compile(rb"created by (.*?)(?: in goroutine %b)?$" % _N)

Tables = list[list[list[int]]]


def records(
    data: npt.NDArray[np.uint8], numbers: int, deepest: int, tables: Sequence[npt.NDArray[np.int64]] | None,
    counts: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """Counts the rows of each table of a debug=1 text, or fills ``tables``. -1, or the number of a line that is none.

    ``numbers`` of each record: 4 (heap) or 1. Of a stack ``deepest`` addresses are kept. The first line is not looked
    at, and what stands before the first record says nothing.
    """
    made: Tables = [[] for _ in RECORD_WIDTHS]
    at = 0
    bad = -1
    for number, line in enumerate(data.tobytes().split(b"\n"), 1):
        begin, at = at, at + len(line) + 1
        if number == 1 or not line.strip():
            continue
        if line.startswith(b"#"):
            if made[RECORDS]:
                _comment(line, begin, made)
            continue
        found = _SAMPLES[numbers].match(line)
        if found is None:
            bad = number
            break
        addresses = [int(one, 16) for one in found[numbers + 1].split()][:deepest]
        made[PCS] += [[pc] for pc in addresses]
        row = [_signed(int(found[k])) for k in range(1, numbers + 1)] + [0] * (4 - numbers)
        made[RECORDS].append([*row, len(made[PCS]), len(made[NAMED])])
    _give(made, tables, counts)
    return bad


def _comment(line: bytes, begin: int, made: Tables) -> None:
    if named := _NAMED.match(line):
        pc, line_number = int(named[1], 16) + 1, _signed(int(named[4]))
        if pc < 1 << 64:
            made[NAMED].append([pc, *_span(named, 2, begin), *_span(named, 3, begin), line_number])
            made[RECORDS][-1][5] += 1
    elif fact := _FACT.match(line):
        made[FACTS].append([*_span(fact, 1, begin), _signed(int(fact[2]))])


def attach(
    samples: npt.NDArray[np.int64], pcs: npt.NDArray[np.int64], named: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int32],
) -> None:  # fmt: skip
    """For each address its row of NAMED, the last in its record; -1 where none names it."""
    pc_begin = named_begin = 0
    for pc_end, named_end in samples[:, 4:6].tolist():
        names = {pc: row for row, pc in enumerate(named[named_begin:named_end, 0].tolist(), named_begin)}
        rows[pc_begin:pc_end] = [names.get(pc, -1) for pc in pcs[pc_begin:pc_end, 0].tolist()]
        pc_begin, named_begin = pc_end, named_end


def goroutines(
    data: npt.NDArray[np.uint8], deepest: int, tables: Sequence[npt.NDArray[np.int64]] | None,
    counts: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """The same for a debug=2 text. -1, or the number of a line that begins no goroutine."""
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
                made[CREATORS].append([*_span(created, 1, start)])
            elif place is not None and deep < deepest:
                end = len(line)
                if line.endswith(b")"):  # its arguments are not kept
                    end = line.rfind(b"(") if b"(" in line else len(line) - 1
                offset = int(place[3], 16) if place[3] else 0
                made[FRAMES].append(
                    [start, start + end, *_span(place, 1, begins[at]), _signed(int(place[2])), offset]
                )  # fmt: skip
                deep += 1
            at += place is not None
        waits = [_signed(int(found[1])) for part in head[2].split(b", ") if (found := _MINUTES.match(part))]
        state = begin + head.start(2)
        made[GOROUTINES].append([
            _signed(int(head[1])), bool(waits), waits[0] if waits else 0, state, state + len(head[2].split(b",")[0]),
            len(made[FRAMES]), len(made[CREATORS]),
        ])  # fmt: skip
    _give(made, tables, counts)
    return bad


def intern(
    data: npt.NDArray[np.uint8], spans: npt.NDArray[np.int64], seed: int, codes: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """Which of the different strings each of ``spans`` is (``codes``), and the first row of each; how many there are.

    They come in the order of their first rows, whatever ``seed`` is: it only keeps a writer of evidence from knowing
    how they are hashed.
    """
    known: dict[bytes, int] = {}
    for row, (begin, end) in enumerate(spans.tolist()):
        text = data[begin:end].tobytes()
        if text not in known:
            first[len(known)] = row
            known[text] = len(known)
        codes[row] = known[text]
    return len(known)


def gather(data: npt.NDArray[np.uint8], spans: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> None:
    """The strings one behind the other in ``out``, which must have room for all."""
    text = b"".join(data[begin:end].tobytes() for begin, end in spans.tolist())
    out[: len(text)] = np.frombuffer(text, np.uint8)


def _span(found: re.Match[bytes], group: int, begin: int) -> tuple[int, int]:
    return begin + found.start(group), begin + found.end(group)


def _signed(number: int) -> int:
    return max(-(1 << 63), min(number, (1 << 63) - 1))


def _give(
    made: Tables, tables: Sequence[npt.NDArray[np.int64]] | None, counts: npt.NDArray[np.int64]
) -> None:  # fmt: skip
    for kind, rows in enumerate(made):
        counts[kind] = len(rows)
        if tables is not None and rows:
            unsigned = [[number % (1 << 64) for number in row] for row in rows]
            tables[kind][:] = np.array(unsigned, np.uint64).view(np.int64)
