"""An executable's own bytes at its virtual addresses, with relative relocations applied.

A position independent executable holds its pointers in relocations (``R_X86_64_RELATIVE``, ``R_AARCH64_RELATIVE``, and
the packed form RELR of newer linkers): the words in the file may be zero. The image is what the dynamic loader makes
of the file, for a load bias of the caller's choice, so that moduledata and type descriptors can be read without a
process.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.binary.elf import ElfFile

_SHT_RELA = 4
_SHT_RELR = 19
_SHF_ALLOC = 2
_RELATIVE = {"amd64": 8, "arm64": 1027}
_RELA = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<u8")])
_MAX_RELR_WORDS = 1 << 22


class Area(Struct, frozen=True):
    """The bytes in the file of one loaded segment. ``start``: address with the bias; ``flags``: 1 x, 2 w, 4 r."""

    start: int
    data: memoryview
    flags: int

    @property
    def end(self) -> int:
        """Address after the last byte that the file holds."""
        return self.start + len(self.data)


class Image:
    """A ``Reader`` over an ELF file as loaded at ``bias``; bytes beyond the file's (bss) read as zeros."""

    def __init__(self, elf: ElfFile, bias: int = 0) -> None:
        self.elf = elf
        self.bias = bias
        whole = memoryview(elf.mapping)
        offsets, addends = _relative_relocations(elf)
        areas = []
        for segment in sorted(elf.segments, key=lambda s: s.vaddr):
            data = whole[segment.offset : segment.offset + min(segment.filesz, segment.memsz)]
            low, high = np.searchsorted(offsets, [segment.vaddr, max(segment.vaddr, segment.vaddr + len(data) - 7)])
            if high > low:
                at = (offsets[low:high] - np.uint64(segment.vaddr)).astype(np.int64)
                data = _patched(data, at, addends[low:high] + np.uint64(bias % (1 << 64)))
            areas.append(Area(segment.vaddr + bias, data, segment.flags))
        self.areas: tuple[Area, ...] = tuple(areas)

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes at ``address`` (bias included), or None when the executable has none there."""
        for area in self.areas:
            if area.start <= address and address + size <= area.end and size >= 0:
                at = address - area.start
                return bytes(area.data[at : at + size])
        return self.elf.read(address - self.bias, size)

    def view(self, address: int, size: int | None = None) -> memoryview | None:
        """The bytes from ``address`` on without a copy: ``size`` of them, or up to the end of the segment's bytes."""
        for area in self.areas:
            if area.start <= address < area.end:
                at = address - area.start
                if size is None:
                    return area.data[at:]
                return area.data[at : at + size] if at + size <= len(area.data) else None
        return None

    def section(self, name: str) -> tuple[int, memoryview] | None:
        """Address (bias included) and bytes of section ``name`` as loaded; None when it is not there."""
        section = self.elf.sections.get(name)
        if section is None or not section.size or not section.flags & _SHF_ALLOC:
            return None
        view = self.view(section.addr + self.bias, section.size)
        return None if view is None else (section.addr + self.bias, view)

    def find(self, pattern: bytes, *, flags: int = 0, align: int = 8) -> Iterator[int]:
        """Addresses where ``pattern`` lies, ``align``-ed, in segments with all of ``flags``, in ascending order."""
        for area in self.areas:
            if area.flags & flags == flags:
                yield from find_aligned(area.data, area.start, pattern, align)


def find_aligned(data: memoryview, start: int, pattern: bytes, align: int) -> Iterator[int]:
    """Addresses of ``pattern`` in ``data``, which lies at ``start``, at multiples of ``align``; searched by chunks."""
    chunk = 1 << 24
    for base in range(0, len(data), chunk):
        block = bytes(data[base : base + chunk + len(pattern) - 1])
        at = block.find(pattern)
        while at >= 0:
            if (start + base + at) % align == 0:
                yield start + base + at
            at = block.find(pattern, at + 1)


def _patched(data: memoryview, at: npt.NDArray[np.int64], values: npt.NDArray[np.uint64]) -> memoryview:
    """A copy of ``data`` with the 8-byte ``values`` stored at the offsets ``at``."""
    copy = np.frombuffer(data, np.uint8).copy()
    for byte in range(8):
        copy[at + byte] = (values >> np.uint64(8 * byte) & np.uint64(0xFF)).astype(np.uint8)
    return copy.data


def _relative_relocations(elf: ElfFile) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Places (static addresses, ascending) and values (before the bias) of every relative relocation of ``elf``."""
    kind = _RELATIVE.get(elf.machine)
    places: list[npt.NDArray[np.uint64]] = []
    values: list[npt.NDArray[np.uint64]] = []
    for section in elf.sections.values():
        if elf.kind != "DYN" or kind is None or not section.flags & _SHF_ALLOC:
            continue
        if section.type == _SHT_RELA:
            data = elf.section_bytes(section.name)
            rows = np.frombuffer(data, _RELA, len(data) // _RELA.itemsize)
            rows = rows[(rows["info"] & 0xFFFFFFFF) == kind]
            places.append(rows["offset"].astype(np.uint64))
            values.append(rows["addend"].astype(np.uint64))
        elif section.type == _SHT_RELR:
            packed = _unpack_relr(elf.section_bytes(section.name))
            places.append(packed)
            values.append(_words_at(elf, packed))
    if not places:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    place, value = np.concatenate(places), np.concatenate(values)
    order = np.argsort(place, kind="stable")
    return place[order], value[order]


def _unpack_relr(data: memoryview) -> npt.NDArray[np.uint64]:
    """The places that RELR names: an even word is an address, an odd one a bitmap of the 63 words after it (gABI)."""
    places: list[int] = []
    base = 0
    for word in np.frombuffer(data, "<u8", len(data) // 8)[:_MAX_RELR_WORDS].tolist():
        if word & 1 == 0:
            places.append(word)
            base = word + 8
            continue
        bits, at = word >> 1, base
        while bits:
            if bits & 1:
                places.append(at)
            bits >>= 1
            at += 8
        base += 63 * 8
    return np.array([p for p in places if p < 1 << 63], np.uint64)


def _words_at(elf: ElfFile, places: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The words in the file at ``places``: RELR keeps the addend there. 0 where the file has none."""
    result = np.zeros(places.size, np.uint64)
    for segment in elf.segments:
        data = np.frombuffer(memoryview(elf.mapping)[segment.offset : segment.offset + segment.filesz], np.uint8)
        inside = (places >= segment.vaddr) & (places + np.uint64(8) <= segment.vaddr + data.size)
        at = (places[inside] - np.uint64(segment.vaddr)).astype(np.int64)
        result[inside] = sum(data[at + byte].astype(np.uint64) << np.uint64(8 * byte) for byte in range(8))
    return result
