"""The ELF symbol table as NumPy columns; names are decoded only when asked for."""

from __future__ import annotations

import mmap
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from mapscope.arrays import among

_SYM: Final = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("shndx", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_MAX_NAME: Final = 1 << 16
_STT_SECTION: Final = 3
_STT_FILE: Final = 4
_STT_TLS: Final = 6
_MAX_TAILS: Final = 1 << 14
"""How many places in the string table are tried for a name that shares the tail of a longer one."""


class SymbolTable:
    """Symbols of one ELF file.

    Attributes:
        value: (n,) uint64 static addresses.
        size: (n,) uint64 bytes; 0 where unknown.
        info: (n,) uint8 ``st_info`` (type in the low 4 bits, binding above).
        shndx: (n,) uint16 section index; 0 is undefined.
    """

    def __init__(self, table: bytes, mapping: mmap.mmap | bytes, strings: int, strings_size: int) -> None:
        """Takes the raw ``.symtab``, and where its string table lies in ``mapping``."""
        count = len(table) // _SYM.itemsize
        rows = np.frombuffer(table, _SYM, count)
        self.value: NDArray[np.uint64] = np.ascontiguousarray(rows["value"])
        self.size: NDArray[np.uint64] = np.ascontiguousarray(rows["size"])
        self.info: NDArray[np.uint8] = np.ascontiguousarray(rows["info"])
        self.shndx: NDArray[np.uint16] = np.ascontiguousarray(rows["shndx"])
        self._name: NDArray[np.uint32] = np.ascontiguousarray(rows["name"])
        self._mapping = mapping
        self._start = min(strings, len(mapping))
        self._end = min(self._start + strings_size, len(mapping))

    @classmethod
    def empty(cls) -> Self:
        """A table without symbols, as a stripped file has."""
        return cls(b"", b"", 0, 0)

    def __len__(self) -> int:
        return len(self.value)

    def name(self, index: int) -> str:
        """The name of symbol ``index``; empty where the string table does not hold it."""
        start = self._start + int(self._name[index])
        end = self._mapping.find(b"\0", start, min(start + _MAX_NAME, self._end)) if start < self._end else -1
        return self._mapping[start:end].decode("utf-8", "replace") if end >= 0 else ""

    def find(self, name: str) -> tuple[int, int] | None:
        """``(value, size)`` of the defined symbol ``name``, or None. The first wins where statics share a name."""
        index = self._index(name)
        return None if index is None else (int(self.value[index]), int(self.size[index]))

    def _index(self, name: str) -> int | None:
        if not len(self) or not name or "\0" in name:
            return None
        wanted = name.encode() + b"\0"
        at = self._mapping.find(b"\0" + wanted, self._start, self._end)
        if at >= 0 and (index := self._defined(at + 1 - self._start)) is not None:
            return index
        # A linker may have merged the name with the tail of a longer one.
        at = self._start - 1
        for _ in range(_MAX_TAILS):
            at = self._mapping.find(wanted, at + 1, self._end)
            if at < 0:
                return None
            if (index := self._defined(at - self._start)) is not None:
                return index
        return None

    def _defined(self, name_offset: int) -> int | None:
        hits = np.flatnonzero((self._name == name_offset) & (self.shndx != 0))
        return int(hits[0]) if len(hits) else None

    @cached_property
    def _order(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Addresses of defined symbols that have one, ascending, and their indices."""
        kind = self.info & 15
        usable = (self.shndx != 0) & (kind != _STT_FILE) & (kind != _STT_SECTION) & (kind != _STT_TLS)
        usable &= self._name != 0
        index = np.flatnonzero(usable)
        # Sized symbols last among equals: the search takes the last one, and those are the real ones.
        index = index[np.lexsort((self.size[index], self.value[index]))]
        return self.value[index], index

    def at(self, address: int) -> str | None:
        """The name of the symbol that holds ``address`` (or starts there, when its size is unknown), or None."""
        values, index = self._order
        position = int(np.searchsorted(values, np.uint64(address & (1 << 64) - 1), side="right")) - 1
        if position < 0:
            return None
        symbol = int(index[position])
        inside = address - int(self.value[symbol])
        if inside != 0 and inside >= int(self.size[symbol]):
            return None
        return self.name(symbol)

    def named_prefix(self, prefix: str) -> list[tuple[str, int, int]]:
        """``(name, value, size)`` of every defined symbol whose name starts with ``prefix``, by address."""
        if not len(self) or not prefix or "\0" in prefix:
            return []
        wanted = b"\0" + prefix.encode()
        starts: list[int] = []
        at = self._mapping.find(wanted, self._start, self._end)
        while at >= 0 and len(starts) <= len(self):
            starts.append(at + 1 - self._start)
            at = self._mapping.find(wanted, at + 1, self._end)
        hits = np.flatnonzero(among(self._name, np.array(starts, np.uint32)) & (self.shndx != 0))
        rows = [(self.name(int(i)), int(self.value[i]), int(self.size[i])) for i in hits]
        return sorted(rows, key=lambda row: (row[1], row[0]))
