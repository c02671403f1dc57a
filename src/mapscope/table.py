"""One table: named NumPy columns of equal length, words kept as codes so that a million type names cost little."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Array = npt.NDArray[Any]

TEXT_LIMIT = 4096
"""Longest text in a table; names from the evidence can be of any length."""


class Coded(Struct, frozen=True):
    """A column of words: ``codes[row]`` points into ``words``, -1 is none."""

    codes: npt.NDArray[np.int32]
    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Coded:
        """The column of ``texts``, each word once."""
        known: dict[str, int] = {}
        codes = [-1 if text is None else known.setdefault(plain(text), len(known)) for text in texts]
        return cls(np.array(codes, dtype=np.int32), tuple(known))

    def decode(self) -> Array:
        """The words themselves, None for none."""
        return np.array([*self.words, None], dtype=object)[self.codes]


def plain(text: str) -> str:
    """``text`` as UTF-8 can carry it, bounded; nothing else is changed, so it may hold terminal escapes."""
    text = text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 3] + "..."
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


class Table:
    """Columns of equal length, by name.

    ``table["waste"]`` is a NumPy array; columns of words come as objects (str, or None where there is none), results
    of SQL with nulls as masked arrays.
    """

    def __init__(self, name: str, columns: Mapping[str, Array | Coded]) -> None:
        """``columns`` in their order; those that are Coded are decoded when they are asked for."""
        self.name = name
        self.stored = dict(columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(self.stored)

    def __len__(self) -> int:
        for column in self.stored.values():
            return len(column.codes if isinstance(column, Coded) else column)
        return 0

    def __getitem__(self, name: str) -> Array:
        column = self.stored[name]
        return column.decode() if isinstance(column, Coded) else column

    def __repr__(self) -> str:
        return f"<Table {self.name}: {len(self):,} rows of {', '.join(self.stored)}>"

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Each row as plain Python values, None where there is none."""
        return zip(*(self[name].tolist() for name in self.stored), strict=True)

    def to_arrow(self) -> pa.Table:
        """The same as a ``pyarrow.Table``; words become dictionaries.

        UsageError without pyarrow (extra ``arrow``), and for whole numbers beyond 64 bits.
        """
        arrow = optional("pyarrow", "arrow")
        made = []
        for name, column in self.stored.items():
            try:
                made.append(_arrow_column(arrow, column))
            except (arrow.ArrowException, OverflowError) as error:
                raise UsageError(
                    f"column {name} does not fit a type of Arrow: {str(error).splitlines()[0]}", "cast it in the query"
                ) from None
        return arrow.Table.from_arrays(made, names=list(self.stored))


def _arrow_column(arrow: Any, column: Array | Coded) -> Any:
    if isinstance(column, Coded):
        codes = arrow.array(column.codes, mask=column.codes < 0)
        return arrow.DictionaryArray.from_arrays(codes, arrow.array(column.words, arrow.string()))
    if isinstance(column, np.ma.MaskedArray):
        return arrow.array(np.ma.getdata(column), mask=np.ma.getmaskarray(column))
    return arrow.array(column)


def optional(module: str, extra: str) -> Any:
    """A package that an extra installs. UsageError, which names the extra, where it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UsageError(f"{module} is not installed", f"pip install 'mapscope[{extra}]'") from None
