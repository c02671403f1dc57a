"""Columns to lines of text: the plain version of _render.pyx.

A row is what its parts write, one behind the other. Each part has a ``kind`` and the arrays of that kind, None for the
others:

- TEXT: ``text`` uint8, the same in every row; ``ends`` int64 has its length.
- NUMBER: ``numbers`` uint64 by row, decimal. SIGNED: the same as int64 bits.
- HEX: ``numbers`` uint64 by row, as ``"0x1f"``, quotes included.
- WORD: ``codes`` int32 by row; word i is ``text[ends[i]:ends[i + 1]]``; a negative code is ``null``.
- LIST: ``ranges`` int64 (rows, 2): ``[`` the words of ``codes[begin:end]`` with commas between ``]``; a negative
  begin is ``null``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

TEXT, NUMBER, SIGNED, HEX, WORD, LIST = range(6)


def measure(parts: list[Any], ends: npt.NDArray[np.int64]) -> int:
    """Fills ``ends``: rows + 1 places, where each row of ``render`` starts and the last ends. Answers the last."""
    total = ends[0] = 0
    for row in range(len(ends) - 1):
        total += sum(len(_write(part, row)) for part in parts)
        ends[row + 1] = total
    return int(total)


def render(parts: list[Any], rows: int, out: npt.NDArray[np.uint8]) -> None:
    """Writes the rows one behind the other into ``out``, which is as large as ``measure`` said."""
    whole = b"".join(_write(part, row) for row in range(rows) for part in parts)
    out[:] = np.frombuffer(whole, dtype=np.uint8)


def _write(part: Any, row: int) -> bytes:
    if part.kind == TEXT:
        return bytes(part.text)
    if part.kind == NUMBER:
        return b"%d" % int(part.numbers[row])
    if part.kind == SIGNED:
        return b"%d" % int(part.numbers[row : row + 1].view(np.int64)[0])
    if part.kind == HEX:
        return b'"0x%x"' % int(part.numbers[row])
    if part.kind == WORD:
        code = int(part.codes[row])
        return b"null" if code < 0 else _word(part, code)
    begin, end = part.ranges[row].tolist()
    if begin < 0:
        return b"null"
    return b"[" + b",".join(_word(part, code) for code in part.codes[begin:end].tolist()) + b"]"


def _word(part: Any, code: int) -> bytes:
    return bytes(part.text[part.ends[code] : part.ends[code + 1]])
