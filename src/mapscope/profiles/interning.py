"""Equal things of a text profile made one: strings, and rows of numbers; by kernels, in the order they first come."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load
from mapscope.errors import EvidenceError
from mapscope.profiles.model import Bytes, Column

MAX_DISTINCT = 1 << 20
"""Different places, and different strings, that one text may name; the largest Go programs have fewer calls."""
_BITS = (1 << 64) - 1
_MIX = int.from_bytes(os.urandom(8), "little") | 1
_SEED = int.from_bytes(os.urandom(8), "little")

Codes = npt.NDArray[np.int32]


def codes_of(keys: npt.NDArray[np.uint64]) -> tuple[Codes, Column]:
    """Which of the different ``keys`` each is, and the first row of each of these."""
    codes, first = np.empty(len(keys), np.int32), np.empty(len(keys), np.int64)
    # stirred, so that no writer of evidence knows which of them meet in the kernel's table
    stirred = np.ascontiguousarray((keys ^ np.uint64(_SEED)) * np.uint64(_MIX))
    many = load("distinct").distinct(stirred, codes, first)
    return codes, first[:many].copy()


def pairs_of(a: Codes, b: Codes) -> npt.NDArray[np.uint64]:
    """A key for each pair of codes."""
    return a.astype(np.uint64) << np.uint64(32) | b.astype(np.uint64)


class Strings:
    """The strings of a profile: constants, and those that lie in the bytes of a text."""

    def __init__(self, origin: str, raw: Bytes, constants: Sequence[str]) -> None:
        """``constants`` get the numbers 1, 2 …; 0 is the empty string."""
        self._origin, self._raw, self._constants = origin, raw, ["", *constants]
        self._spans = np.zeros((0, 2), np.int64)

    def __getitem__(self, constant: str) -> int:
        """Number of a constant."""
        return self._constants.index(constant)

    def numbers(self, *spans: Column) -> list[Column]:
        """Numbers of the strings at ``spans``, a table of begins and ends each; to be called once."""
        whole = np.ascontiguousarray(np.concatenate(spans))
        codes, first = np.empty(len(whole), np.int32), np.empty(len(whole), np.int64)
        many = load("interning").intern(self._raw, whole, _SEED, codes, first)
        if many > MAX_DISTINCT:
            raise too_many(self._origin, "different strings", many, MAX_DISTINCT)
        self._spans = whole[first[:many]]
        found = np.where(whole[:, 0] == whole[:, 1], 0, codes.astype(np.int64) + len(self._constants))
        return np.split(found, np.cumsum([len(one) for one in spans])[:-1])

    def table(self) -> tuple[Bytes, Column]:
        """The bytes of all strings, and where each begins and ends in them."""
        fixed = [one.encode() for one in self._constants]
        size = np.concatenate([[len(one) for one in fixed], self._spans[:, 1] - self._spans[:, 0]])
        ends = np.cumsum(size, dtype=np.int64)
        out = np.zeros(int(ends[-1]), np.uint8)
        head = b"".join(fixed)
        out[: len(head)] = np.frombuffer(head, np.uint8)
        load("interning").gather(self._raw, np.ascontiguousarray(self._spans), out[len(head) :])
        return out, np.stack([ends - size, ends], axis=1)


def too_many(origin: str, what: str, many: int, limit: int) -> EvidenceError:
    """The error for a text that no Go program writes."""
    return EvidenceError(
        f"{origin} has {many:,} {what}; up to {limit:,} are read",
        "no profile of Go has as many; fetch it as a protocol buffer: without debug=1 or debug=2",
    )
