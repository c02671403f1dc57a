"""Text profiles of debug=1 to columns: the plain version of _proftext.pyx.

The format (runtime/pprof/pprof.go: writeHeapInternal, printCountProfile): a first line, then for each sample its
numbers and return addresses, and comments that name frames. It becomes tables of int64 like those of ``pprof``; strings
are (begin, end) in the bytes. Lines end with a line feed. Whitespace is that of ASCII; numbers beyond 64 bits become
the nearest that fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RECORDS, PCS, NAMED, FACTS = range(4)
RECORD_WIDTHS = (6, 1, 6, 3)
"""Records: four numbers (one for a profile that counts), ends of their parts of PCS and NAMED. Named
frames: return address, name, file, line. Facts: name, value."""

_N, _PC = rb"(-?\d{1,19})", rb"0x[0-9a-f]{1,16}"
_SAMPLES = {
    4: re.compile(rb" *%b: +%b +\[ *%b: +%b\] +@((?: +%b)*)\s*$" % (_N, _N, _N, _N, _PC)),
    1: re.compile(rb" *%b +@((?: +%b)*)\s*$" % (_N, _PC)),
}
_NAMED = re.compile(rb"#\t(%b)\t+(\S.*?)\+%b\t+(.*):%b\s*$" % (_PC, _PC, _N))
_FACT = re.compile(rb"# (\w+) = %b(?: / %b)?\s*$" % (_N, _N))

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
        row = [signed(int(found[k])) for k in range(1, numbers + 1)] + [0] * (4 - numbers)
        made[RECORDS].append([*row, len(made[PCS]), len(made[NAMED])])
    give(made, tables, counts)
    return bad


def _comment(line: bytes, begin: int, made: Tables) -> None:
    if named := _NAMED.match(line):
        pc, line_number = int(named[1], 16) + 1, signed(int(named[4]))
        if pc < 1 << 64:
            made[NAMED].append([pc, *span_of(named, 2, begin), *span_of(named, 3, begin), line_number])
            made[RECORDS][-1][5] += 1
    elif fact := _FACT.match(line):
        made[FACTS].append([*span_of(fact, 1, begin), signed(int(fact[2]))])


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


def span_of(found: re.Match[bytes], group: int, begin: int) -> tuple[int, int]:
    """Where a group of a match in a line lies, which begins at ``begin``."""
    return begin + found.start(group), begin + found.end(group)


def signed(number: int) -> int:
    """The nearest number of 64 bits."""
    return max(-(1 << 63), min(number, (1 << 63) - 1))


def give(
    made: Tables, tables: Sequence[npt.NDArray[np.int64]] | None, counts: npt.NDArray[np.int64]
) -> None:  # fmt: skip
    """Hands out how many rows there are, and the rows where tables are given."""
    for kind, rows in enumerate(made):
        counts[kind] = len(rows)
        if tables is not None and rows:
            unsigned = [[number % (1 << 64) for number in row] for row in rows]
            tables[kind][:] = np.array(unsigned, np.uint64).view(np.int64)
