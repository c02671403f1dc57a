"""Instructions in words to operations, by forms: an instruction with its numbers taken out. There are a few thousand.

The plain version of _operations.pyx. What a form means is told by mapscope/binary/forms.py, once for each.
"""

from __future__ import annotations

import re
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
    texts = zip(address.tolist(), size.tolist(), mnemonic, operands, strict=True)
    for row, (at, length, name, rest) in enumerate(texts):
        found: list[int] = []
        end = at + length
        text = _NUMBER.sub(lambda match: _taken(match, end, found), _cut(rest))  # noqa: B023 (called at once)
        key = (_cut(name) + b"\0" + text).ljust(WIDTH, b"\0")
        known = w.ids.get(key, -1)
        if known < 0 and w.count < len(w.texts):
            known = w.ids[key] = w.count
            w.texts[known] = np.frombuffer(key, np.uint8)
            w.count += 1
        form[row] = known
        numbers[row] = [*found, *[0] * (NUMBERS - len(found))]


def _cut(text: npt.NDArray[np.uint8]) -> bytes:
    return text.tobytes().partition(b"\0")[0]


def _taken(match: re.Match[bytes], end: int, found: list[int]) -> bytes:
    if len(found) == NUMBERS:
        return match[0]
    number, before = int(match[2] or match[3], 16), match[1] or b""
    if before:
        number = end + number if before == b"[rip + " else end - number
        before = b"[rip + "
    found.append(((number & _ALL) ^ _SIGN) - _SIGN)
    return before + bytes([len(found)])


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
    made = 0
    rows = zip(address.tolist(), size.tolist(), form.tolist(), numbers.tolist(), strict=True)
    for at, length, of, values in rows:
        if not 0 <= of < len(first) - 1:
            continue
        for code, *operands in parts[first[of] : first[of + 1]].tolist():
            if made < len(out):
                fields = [code, *(_put(operands[i], operands[i + 1], values) for i in (0, 2, 4))]
                out[made] = [((value & _ALL) ^ _SIGN) - _SIGN for value in (at, at + length, *fields)]
            made += 1
    return made


def _put(constant: int, which: int, values: list[int]) -> int:
    if not which:
        return constant
    number = values[abs(which) - 1]
    return constant + number if which > 0 else constant - number
