"""The data of a page: a small JSON header, then typed columns. ``ui/src/pack.ts`` reads it.

    u32   bytes of the header (little-endian, as all that follows), then four bytes of zeros
    JSON  {"pack": 1, "schema": 1, "kind": …, "tool": …, "values": …, "strings": …, "sections": …}
    body  from the next multiple of 8: the columns, each at a multiple of 8 from its start

A column of text holds numbers of texts, which stand once in the pack, -1 for none. A column of integers takes the
narrowest type that holds them all, up to 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.report.page.shown import record, shown
from mapscope.report.writing import tool

FORMAT = 1
"""The layout of bytes. It rises with each change that an older page could not read."""
SCHEMA = 1
"""The meaning of sections and values of all kinds. It rises when one goes or changes its meaning."""

Array = npt.NDArray[np.generic]
_UNSIGNED = (("u1", 1 << 8), ("u2", 1 << 16), ("u4", 1 << 32))


class Texts(Struct, frozen=True):
    """A column of text: ``words[code]`` by row, none for a negative code. Words are escaped and bounded here."""

    codes: npt.NDArray[np.int32]
    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Texts:
        """The column of these texts, each distinct one kept once."""
        known: dict[str, int] = {}
        codes = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
        return cls(np.array(codes, dtype=np.int32), tuple(known))

    @classmethod
    def coded(cls, codes: Array, words: Sequence[str]) -> Texts:
        """The words of a list by number."""
        return cls(np.asarray(codes).astype(np.int32), tuple(words))

    def __len__(self) -> int:
        return len(self.codes)


Column = Texts | Array


class Pack(Struct):
    """The data of one page.

    ``kind`` names the page that shows it. ``values`` are records and lists, small ones; ``sections`` are columns of
    equal length by name.
    """

    kind: str
    values: dict[str, object] = field(default_factory=dict)
    sections: dict[str, Mapping[str, Column]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The pack as ``ui/src/pack.ts`` reads it. The same data give the same bytes."""
        body, texts = _Body(), _Interned()
        sections = {}
        for name, columns in self.sections.items():
            sections[name] = {column: _column(values, body, texts) for column, values in columns.items()}
            if len({head["n"] for head in sections[name].values()}) > 1:
                raise ValueError(f"columns of {name} differ in length")
        head = {
            "pack": FORMAT,
            "schema": SCHEMA,
            "kind": self.kind,
            "tool": record(tool()),
            "values": record(self.values),
            "strings": texts.write(body),
            "sections": sections,
        }
        text = msgspec.json.encode(head)
        lead = struct.pack("<II", len(text), 0) + text
        return b"".join([lead, bytes(-len(lead) % 8), *body.parts])


class _Body:
    """Arrays one behind the other, each at a multiple of 8."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> int:
        """Appends ``data`` and answers where it begins."""
        at = self._size
        padding = bytes(-len(data) % 8)
        self.parts += [data, padding]
        self._size += len(data) + len(padding)
        return at


class _Interned:
    """Texts of the pack, each once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def code(self, text: str) -> int:
        return self._known.setdefault(shown(text), len(self._known))

    def write(self, body: _Body) -> dict[str, int]:
        words = [word.encode("utf-8", "backslashreplace") for word in self._known]
        ends = np.zeros(len(words) + 1, dtype="<u4")
        np.cumsum(np.fromiter(map(len, words), np.uint32, len(words)), out=ends[1:])
        text = b"".join(words)
        return {"text": body.add(text), "bytes": len(text), "ends": body.add(ends.tobytes()), "n": len(words)}


def whole(values: Iterable[int]) -> Array:
    """A column of whole numbers. Where one has more than 64 bits, as only sums of made-up profiles have, of floats."""
    found = list(values)
    fits = all(-(1 << 63) <= one < 1 << 63 for one in found)
    return np.array(found, np.int64 if fits else np.float64)


def _column(values: Column, body: _Body, texts: _Interned) -> dict[str, object]:
    if isinstance(values, Texts):
        used, which = np.unique(values.codes, return_inverse=True)
        known = [texts.code(values.words[code]) if code >= 0 else -1 for code in used.tolist()]
        codes = np.array(known or [-1], dtype="<i4")[which.reshape(-1)]
        return {"t": "str", "at": body.add(codes.tobytes()), "n": len(codes)}
    kind = _narrowest(values)
    return {"t": kind, "at": body.add(values.astype(f"<{kind}").tobytes()), "n": len(values)}


def _narrowest(values: Array) -> str:
    """Type of a column; 32-bit floats would round, so floats stay as they are."""
    if values.dtype.kind == "f":
        return "f8"
    if values.dtype.kind == "b" or not len(values):
        return "u1"
    low, high = int(values.min()), int(values.max())
    if low < 0:
        return "i4" if low >= -(1 << 31) and high < 1 << 31 else "i8"
    return next((kind for kind, end in _UNSIGNED if high < end), "u8")
