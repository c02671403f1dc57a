"""Rows of text made of columns, in the kernels: a hundred megabytes of JSON take a fraction of a second.

A part writes something for each row; :func:`render` puts the parts of a row one behind the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope._kernels.reference.render import HEX, LIST, NUMBER, SIGNED, TEXT, WORD


class Part(Struct, frozen=True):
    """One part of each row; see _kernels/reference/render.py for the arrays that go with ``kind``."""

    kind: int
    numbers: npt.NDArray[np.uint64] | None = None
    codes: npt.NDArray[np.int32] | None = None
    ranges: npt.NDArray[np.int64] | None = None
    text: npt.NDArray[np.uint8] | None = None
    ends: npt.NDArray[np.int64] | None = None


class Words(Struct, frozen=True):
    """Texts by number: word i is ``text[ends[i]:ends[i + 1]]``."""

    text: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, words: Sequence[bytes]) -> Words:
        """The words, numbered from 0."""
        ends = np.zeros(len(words) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=ends[1:])
        return cls(np.frombuffer(b"".join(words), dtype=np.uint8), ends)

    def __iter__(self) -> Iterator[bytes]:
        """The texts one by one."""
        text, ends = self.text.data, self.ends.tolist()
        return (bytes(text[begin:end]) for begin, end in itertools.pairwise(ends))

    def chosen(self, codes: npt.NDArray[np.int32]) -> Part:
        """One of the words in each row; ``null`` for a negative code."""
        return Part(WORD, codes=np.ascontiguousarray(codes, dtype=np.int32), text=self.text, ends=self.ends)

    def listed(self, ranges: npt.NDArray[np.int64], codes: npt.NDArray[np.int32]) -> Part:
        """A JSON list of words in each row: those of ``codes[begin:end]``; ``null`` for a negative begin."""
        return Part(
            LIST, ranges=np.ascontiguousarray(ranges, dtype=np.int64),
            codes=np.ascontiguousarray(codes, dtype=np.int32), text=self.text, ends=self.ends,
        )  # fmt: skip


def constant(text: bytes) -> Part:
    """The same in every row."""
    return Part(TEXT, text=np.frombuffer(text, dtype=np.uint8), ends=np.array([len(text)], dtype=np.int64))


def number(values: npt.NDArray[np.generic]) -> Part:
    """Decimal integers."""
    if values.dtype.kind == "i":
        return Part(SIGNED, numbers=np.ascontiguousarray(values, dtype=np.int64).view(np.uint64))
    return Part(NUMBER, numbers=np.ascontiguousarray(values, dtype=np.uint64))


def address(values: npt.NDArray[np.generic]) -> Part:
    """Addresses as the document writes them, in quotes."""
    return Part(HEX, numbers=np.ascontiguousarray(values, dtype=np.uint64))


def render(parts: Iterable[Part], rows: int) -> Words:
    """The rows as texts."""
    kernels, given = load("render"), _joined(parts)
    ends = np.zeros(rows + 1, dtype=np.int64)
    out = np.empty(kernels.measure(given, ends), dtype=np.uint8)
    kernels.render(given, rows, out)
    return Words(out, ends)


def _joined(parts: Iterable[Part]) -> list[Part]:
    """The parts, with one in place of several constant ones that follow each other."""
    out: list[Part] = []
    text = b""
    for part in parts:
        if part.kind == TEXT and part.text is not None:
            text += part.text.tobytes()
            continue
        out += [constant(text), part] if text else [part]
        text = b""
    return [*out, constant(text)] if text else out
