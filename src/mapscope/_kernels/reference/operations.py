"""Instructions in words to operations, by forms: an instruction with its numbers taken out. There are a few thousand.

The plain version of _operations.pyx. What a form means is told by mapscope/binary/forms.py, once for each.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

NUMBERS = 4
"""Numbers that are taken out of an instruction; byte k + 1 stands in place of number k."""
WIDTH = 200
"""Bytes of a form: mnemonic, 0, operands, zeros."""
_NUMBER = re.compile(rb"(\[rip [+-] )?(?<![0-9A-Za-z.*])(?:0x([0-9a-f]{1,16})|([0-9]))(?![0-9A-Za-z.])")
_SIGN, _ALL = 1 << 63, (1 << 64) - 1


def forms(
    address: npt.NDArray[np.uint64], size: npt.NDArray[np.uint16], mnemonic: npt.NDArray[np.uint8],
    operands: npt.NDArray[np.uint8], w: Any, form: npt.NDArray[np.int32], numbers: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """The form of each instruction, and its numbers: those in hexadecimal, and single digits. No scales (``*8``).

    One that is relative to the instruction (``[rip + …]``) is given as an address.

    ``mnemonic``, ``operands``: text up to a zero byte, by rows. ``w``: ``texts`` (uint8, forms by WIDTH), of which
    ``count`` are filled, their hash table ``table`` (int32, number of the form + 1, a power of two, more than twice
    the forms), and a dict ``ids`` for this plain version. A form that has no room gets -1.
    """
    names, texts = _cut(mnemonic), _cut(operands)
    ends = (address + size).tolist()
    taken: list[tuple[int, ...]] = []
    for row, (end, name, rest) in enumerate(zip(ends, names, texts, strict=True)):
        text, found, relative = _without_numbers(rest)
        key = name + b"\0" + text
        known = w.ids.get(key, -1)
        if known < 0 and w.count < len(w.texts):
            known = w.ids[key] = w.count
            w.texts[known] = np.frombuffer(key.ljust(WIDTH, b"\0"), np.uint8)
            w.count += 1
        form[row] = known
        taken.append(found if not relative else tuple(map(_signed, _moved(found, relative, end))))
    numbers[: len(taken)] = np.array(taken, np.int64).reshape(-1, NUMBERS)


def _cut(texts: npt.NDArray[np.uint8]) -> list[bytes]:
    """Each row up to its first zero byte."""
    data, width = texts.tobytes(), texts.shape[1]
    return [data[at : at + width].partition(b"\0")[0] for at in range(0, len(data), width)]


@lru_cache(maxsize=1 << 16)
def _without_numbers(operands: bytes) -> tuple[bytes, tuple[int, ...], tuple[int, ...]]:
    """The text of the form, the numbers, and for each how often the instruction's end is added, where any has it."""
    found: list[int] = []
    relative: list[int] = []

    def taken(match: re.Match[bytes]) -> bytes:
        if len(found) == NUMBERS:
            return match[0]
        before, number = match[1] or b"", int(match[2] or match[3], 16)
        found.append(_signed(-number if before == b"[rip - " else number))
        relative.append(int(before != b""))
        return (b"[rip + " if before else b"") + bytes([len(found)])

    text = _NUMBER.sub(taken, operands)
    none = [0] * NUMBERS
    return text, tuple((found + none)[:NUMBERS]), tuple((relative + none)[:NUMBERS]) if any(relative) else ()


def _moved(numbers: tuple[int, ...], relative: tuple[int, ...], end: int) -> list[int]:
    return [number + end * times for number, times in zip(numbers, relative, strict=True)]


def _signed(number: int) -> int:
    return ((number & _ALL) ^ _SIGN) - _SIGN


def expand(
    address: npt.NDArray[np.uint64], size: npt.NDArray[np.uint16], form: npt.NDArray[np.int32],
    numbers: npt.NDArray[np.int64], first: npt.NDArray[np.int64], parts: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """The operations of all instructions in ``out`` (rows: address, end, code, a, b, c); how many there are.

    Those of form k are the rows of ``parts`` from ``first[k]`` to ``first[k + 1]``: code, and for each of a, b, c a
    constant and which number of the instruction is added to it (k + 1), taken from it (-k - 1), or none (0). No form
    (-1) has none; rows that no longer fit are counted only.
    """
    known = (form >= 0) & (form < len(first) - 1)
    begin = first[np.where(known, form, 0)]
    count = np.where(known, first[np.where(known, form, 0) + 1] - begin, 0) if len(first) > 1 else np.zeros_like(form)
    rows = np.repeat(np.arange(len(form)), count)
    made = len(rows)
    rows = rows[: len(out)]
    within = np.arange(len(rows)) - (np.cumsum(count) - count)[rows]
    chosen = parts[begin[rows] + within]
    out[: len(rows), 0] = address.astype(np.int64)[rows]
    out[: len(rows), 1] = out[: len(rows), 0] + size[rows]
    out[: len(rows), 2] = chosen[:, 0]
    for column in range(3):
        constant, which = chosen[:, 1 + 2 * column], chosen[:, 2 + 2 * column]
        number = numbers[rows, np.maximum(np.abs(which) - 1, 0)]
        out[: len(rows), 3 + column] = constant + np.sign(which) * number  # (modulo 2^64, as NumPy does)
    return made
