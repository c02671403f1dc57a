"""ELF files: executables, shared objects, separate debug files and cores; 64-bit little-endian only.

The file is mapped, never read whole. Header tables are decoded with NumPy rather than with pyelftools: a core can have
more than 65,535 program headers (pyelftools takes seconds for them), a cut core must still open (its section table lies
at the end of the file), and a table of fixed records that is bounds-checked once cannot raise anything else later.
pyelftools is the oracle of the tests. Formats: System V gABI, chapters 4 and 5; ``elf.h`` of the Linux kernel.

Everything here treats the file as hostile: counts are bounded by the length of the file, and what does not fit raises
``FormatError`` (or ``ExecutableError``/``EvidenceError`` when the file cannot be opened at all), each with a hint.
"""

from __future__ import annotations

import mmap
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np

from mapscope.binary.elfformat import (
    EHDR,
    KINDS,
    MACHINES,
    NT_GNU_BUILD_ID,
    NT_GO_BUILD_ID,
    PHDR,
    PN_XNUM,
    PT_LOAD,
    PT_NOTE,
    SHDR,
    SHF_COMPRESSED,
    SHN_XINDEX,
    SHT_NOBITS,
    SHT_NOTE,
    Note,
    Section,
    Segment,
)
from mapscope.binary.symbols import SymbolTable
from mapscope.errors import EvidenceError, ExecutableError, FormatError

__all__ = ["ElfFile", "Note", "Role", "Section", "Segment", "SymbolTable"]

Role = Literal["executable", "core"]

_MAX_SEGMENTS: Final = 1 << 22
"""Four million mappings; Linux allows 65,530 by default (vm.max_map_count)."""
_MAX_SECTIONS: Final = 1 << 16
_MAX_NOTES: Final = 1 << 20
_MAX_NAME: Final = 4096
_MAX_INFLATED: Final = 4 << 30
_MAX_READ: Final = 1 << 30


class ElfFile:
    """An open ELF file. Use ``ElfFile.open``; it is a context manager, and ``close`` is optional otherwise.

    Attributes:
        path: where it was opened.
        mapping: the file's bytes (an mmap); cores are read through it.
        machine: ``"amd64"``, ``"arm64"``, another Go-style name, or ``"EM_<number>"``.
        kind: ``"EXEC"``, ``"DYN"`` (PIE too), ``"CORE"``, ``"REL"`` or ``"ET_<number>"``.
        entry: static address of the entry point.
        segments: the PT_LOAD segments in file order.
        sections: by name, the first of a name; empty for a core and for a file without section headers.
    """

    def __init__(self, path: Path, mapping: mmap.mmap) -> None:
        self.path = path
        self.mapping = mapping
        self._length = len(mapping)
        header = self._header()
        self.kind: str = KINDS.get(int(header["type"]), f"ET_{int(header['type'])}")
        self.machine: str = MACHINES.get(int(header["machine"]), f"EM_{int(header['machine'])}")
        self.entry = int(header["entry"])
        self._programs = self._program_headers(header)
        loads = self._programs[self._programs["type"] == PT_LOAD]
        self.segments: tuple[Segment, ...] = tuple(
            Segment(*row)
            for row in zip(
                *(loads[name].tolist() for name in ("vaddr", "memsz", "offset", "filesz", "flags")), strict=True
            )
        )
        self.sections: dict[str, Section] = {} if self.kind == "CORE" else self._section_headers(header)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, role: Role = "executable") -> Self:
        """Maps and checks ``path``.

        Args:
            path: the file.
            role: what the caller takes the file for; it chooses the words of the messages and the error class.

        Raises:
            ExecutableError: (``EvidenceError`` for ``role="core"``) the file cannot be opened or is empty.
            FormatError: it is no ELF file, or one that mapscope cannot read, or its tables lie outside it.
        """
        failure = EvidenceError if role == "core" else ExecutableError
        try:
            with open(path, "rb") as stream:
                length = os.fstat(stream.fileno()).st_size
                if length == 0:
                    raise failure(f"{path}: the file is empty", f"give the path of a complete {role} file")
                mapping = mmap.mmap(stream.fileno(), length, access=mmap.ACCESS_READ)
        except OSError as error:
            raise failure(
                f"{path}: cannot open the {role}: {error.strerror or error}",
                "check the path and that you may read the file",
            ) from error
        except ValueError as error:  # mmap refuses pipes and some special files this way
            raise failure(f"{path}: cannot map the {role}: {error}", "copy it to a regular file first") from error
        return cls(Path(path), mapping)

    def close(self) -> None:
        """Drops the mapping, unless a memoryview that was handed out still needs it (then with that view)."""
        try:
            self.mapping.close()
        except BufferError:
            return  # a live view keeps the pages; they go with it

    def forget(self) -> None:
        """Gives the pages that were read back to the system. Nothing is lost: they come again when they are read."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ---------------------------------------------------------------- header tables

    def _header(self) -> np.void:
        start = bytes(self.mapping[:16])
        if start[:4] != b"\x7fELF":
            raise FormatError(f"{self.path}: not an ELF file", "give a Linux executable or core file")
        if len(start) < 16 or self._length < EHDR.itemsize:
            raise FormatError(f"{self.path}: cut short inside the ELF header", "copy the file again")
        if start[4] == 1:
            raise FormatError(
                f"{self.path}: a 32-bit ELF file", "mapscope reads 64-bit programs (amd64, arm64); rebuild for one"
            )
        if start[5] == 2:
            raise FormatError(
                f"{self.path}: a big-endian ELF file", "mapscope reads little-endian programs (amd64, arm64)"
            )
        if start[4] != 2 or start[5] != 1:
            raise FormatError(
                f"{self.path}: ELF class {start[4]} and byte order {start[5]} do not exist",
                "the file is damaged; copy it again",
            )
        header: np.void = np.frombuffer(self.mapping[: EHDR.itemsize], EHDR)[0]
        return header

    def _table(self, offset: int, count: int, record: np.dtype[np.void]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """``count`` records at ``offset``, or as many as the file holds."""
        count = max(0, min(count, (self._length - offset) // record.itemsize))
        return np.frombuffer(self.mapping[offset : offset + count * record.itemsize], record)

    def _program_headers(self, header: np.void) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        offset, count = int(header["phoff"]), int(header["phnum"])
        if count == 0 or offset == 0:
            return np.zeros(0, PHDR)
        if int(header["phentsize"]) != PHDR.itemsize:
            raise FormatError(
                f"{self.path}: program headers of {int(header['phentsize'])} bytes, not {PHDR.itemsize}",
                "the file is damaged; copy it again",
            )
        if count == PN_XNUM:
            count = self._extended_count(header, offset)
        table = self._table(offset, min(count, _MAX_SEGMENTS), PHDR)
        if len(table) == 0:
            raise FormatError(f"{self.path}: cut short before its program headers", "copy the file again, whole")
        return table

    def _extended_count(self, header: np.void, offset: int) -> int:
        """The number of program headers where 16 bits do not hold it (``PN_XNUM``).

        It is ``sh_info`` of section header 0, which the kernel writes at the very end (``fs/binfmt_elf.c``,
        ``fill_extnum_info``): a cut core lacks it. There the table ends where the first segment's bytes begin.
        """
        shoff = int(header["shoff"])
        first = self._table(shoff, 1, SHDR) if shoff else np.zeros(0, SHDR)
        if len(first) and int(first[0]["info"]) >= PN_XNUM:
            return int(first[0]["info"])
        start = self._table(offset, PN_XNUM, PHDR)
        filled = start["offset"][start["filesz"] > 0]
        if len(filled) == 0:
            return len(start)
        return max(0, int(filled.min()) - offset) // PHDR.itemsize

    def _section_headers(self, header: np.void) -> dict[str, Section]:
        offset, count, names = int(header["shoff"]), int(header["shnum"]), int(header["shstrndx"])
        if offset == 0:
            return {}
        if int(header["shentsize"]) != SHDR.itemsize:
            raise FormatError(
                f"{self.path}: section headers of {int(header['shentsize'])} bytes, not {SHDR.itemsize}",
                "the file is damaged; copy it again",
            )
        first = self._table(offset, 1, SHDR)
        if len(first) == 0:
            raise FormatError(
                f"{self.path}: cut short: its section headers would start at byte {offset} of {self._length}",
                "copy the file again, whole",
            )
        if count == 0:
            count = int(first[0]["size"])
        if names == SHN_XINDEX:
            names = int(first[0]["link"])
        if count > _MAX_SECTIONS:
            raise FormatError(f"{self.path}: claims {count} sections", "the file is damaged; copy it again")
        table = self._table(offset, count, SHDR)
        if len(table) < count or names >= count:
            raise FormatError(
                f"{self.path}: cut short or damaged: {len(table)} of {count} section headers are there",
                "copy the file again, whole",
            )
        strings = table[names]
        text = bytes(self.mapping[int(strings["offset"]) : int(strings["offset"]) + int(strings["size"])])
        sections: dict[str, Section] = {}
        columns = [table[name].tolist() for name in ("name", "addr", "offset", "size", "flags", "type", "link")]
        for start, *rest in zip(*columns, strict=True):
            end = text.find(b"\0", start, start + _MAX_NAME)
            name = text[start:end].decode("utf-8", "replace") if 0 <= start <= end else ""
            if name:
                sections.setdefault(name, Section(name, *rest))
        return sections

    # ---------------------------------------------------------------- bytes

    @property
    def truncated(self) -> bool:
        """True when a segment's bytes would lie beyond the end of the file."""
        return any(s.filesz and s.offset + s.filesz > self._length for s in self.segments)

    def section_bytes(self, name: str) -> memoryview:
        """The contents of section ``name``, inflated where it is compressed (``SHF_COMPRESSED``, ``.zdebug_*``).

        Asking for ``.debug_x`` finds ``.zdebug_x`` too. A section without bytes in the file (bss) is empty.

        Raises:
            FormatError: there is no such section, it lies outside the file, or it does not inflate.
        """
        section = self.sections.get(name)
        if section is None and name.startswith(".debug_"):
            section = self.sections.get(".z" + name[1:])
        if section is None:
            raise FormatError(f"{self.path}: no section {name}", "use the executable as the Go linker wrote it")
        if section.type == SHT_NOBITS:
            return memoryview(b"")
        if section.offset + section.size > self._length:
            raise FormatError(f"{self.path}: section {name} lies beyond the end of the file", "copy the file again")
        raw = memoryview(self.mapping)[section.offset : section.offset + section.size]
        if section.flags & SHF_COMPRESSED:
            return memoryview(self._inflate(name, raw))
        if section.name.startswith(".zdebug_") and bytes(raw[:4]) == b"ZLIB":
            return memoryview(self._inflate_zlib(name, raw[12:], int.from_bytes(raw[4:12], "big")))
        return raw

    def _inflate(self, name: str, raw: memoryview) -> bytes:
        """Undoes ``SHF_COMPRESSED``: Elf64_Chdr is type u32, reserved u32, size u64, align u64."""
        kind, size = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[8:16], "little")
        if len(raw) >= 24 and kind == 1:
            return self._inflate_zlib(name, raw[24:], size)
        if len(raw) >= 24 and kind == 2 and size <= _MAX_INFLATED:
            import zstandard  # loaded only here: rare, and 20 ms to import

            try:
                # A stream reader grows with what really inflates, so that a false size cannot make us allocate it.
                with zstandard.ZstdDecompressor().stream_reader(raw[24:]) as reader:
                    data = reader.read(size)
            except zstandard.ZstdError as error:
                raise FormatError(f"{self.path}: section {name} does not inflate: {error}", "copy it again") from error
            if len(data) == size:
                return data
        raise FormatError(
            f"{self.path}: section {name} is compressed in a way that cannot be read (type {kind}, {size} bytes)",
            "strip the debug sections with objcopy --strip-debug, or rebuild with -ldflags=-compressdwarf=false",
        )

    def _inflate_zlib(self, name: str, raw: memoryview, size: int) -> bytes:
        # Deflate cannot shrink more than 1032-fold: a larger claim is a lie, so do not even try.
        if size > min(_MAX_INFLATED, 1032 * len(raw) + 64):
            raise FormatError(f"{self.path}: section {name} claims {size} bytes", "the file is damaged; copy it again")
        try:
            data = zlib.decompressobj().decompress(raw, size)
        except zlib.error as error:
            raise FormatError(f"{self.path}: section {name} does not inflate: {error}", "copy it again") from error
        if len(data) != size:
            raise FormatError(f"{self.path}: section {name} inflates to {len(data)} of {size} bytes", "copy it again")
        return data

    @cached_property
    def _by_address(self) -> tuple[list[int], list[Segment]]:
        segments = sorted((s for s in self.segments if s.memsz), key=lambda s: s.vaddr)
        return [s.vaddr for s in segments], segments

    def read(self, address: int, size: int, *, bss: bool = True) -> bytes | None:
        """``size`` bytes at the static address ``address``, or None when any of them is not in the file.

        Args:
            address: a ``p_vaddr`` address: subtract the load bias of a PIE first.
            size: at most 1 GiB; more gives None.
            bss: with True, bytes of a segment past ``filesz`` but inside ``memsz`` read as zero, which is what they
                are when an executable starts (bss). A core's missing bytes are unknown and never read as zero,
                whatever this flag says.
        """
        if size < 0 or size > _MAX_READ:
            return None
        zeros = bss and self.kind != "CORE"
        starts, segments = self._by_address
        parts: list[bytes] = []
        while size > 0:
            index = bisect_right(starts, address) - 1
            if index < 0:
                return None
            segment = segments[index]
            inside = address - segment.vaddr
            if inside >= segment.memsz:
                return None
            if inside < segment.filesz:
                take = min(size, segment.filesz - inside, segment.memsz - inside)
                part = self.mapping[segment.offset + inside : segment.offset + inside + take]
                if len(part) != take:
                    return None  # the file is cut short here
            elif zeros:
                take = min(size, segment.memsz - inside)
                part = bytes(take)
            else:
                return None
            parts.append(part)
            address += take
            size -= take
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # ---------------------------------------------------------------- notes and symbols

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """All notes of the PT_NOTE segments, or of the note sections where there is no such segment.

        A note area that is cut short or damaged gives the notes before the damage.
        """
        rows = self._programs[self._programs["type"] == PT_NOTE]
        areas = [(int(r["offset"]), int(r["filesz"]), int(r["align"])) for r in rows[:_MAX_SECTIONS]]
        if not areas:
            areas = [(s.offset, s.size, 4) for s in self.sections.values() if s.type == SHT_NOTE]
        notes: list[Note] = []
        budget = self._length  # areas that overlap cannot make us copy the file again and again
        for offset, size, align in areas:
            for note in self._notes_in(offset, min(offset + size, self._length), 8 if align == 8 else 4):
                notes.append(note)
                budget -= len(note.desc)
                if len(notes) >= _MAX_NOTES or budget < 0:
                    return tuple(notes)
        return tuple(notes)

    def _notes_in(self, at: int, end: int, align: int) -> Iterator[Note]:
        while at + 12 <= end:
            head = self.mapping[at : at + 12]
            name_size, size, kind = (int.from_bytes(head[i : i + 4], "little") for i in (0, 4, 8))
            start = at + -(-(12 + name_size) // align) * align
            if start + size > end or name_size > _MAX_NAME:
                return
            name = self.mapping[at + 12 : at + 12 + name_size].rstrip(b"\0").decode("latin-1")
            yield Note(name, kind, self.mapping[start : start + size])
            at = start + -(-size // align) * align

    @property
    def note_ranges(self) -> tuple[tuple[int, int], ...]:
        """Static address and size in bytes of each PT_NOTE segment: where a process has the notes in memory."""
        rows = self._programs[self._programs["type"] == PT_NOTE][:_MAX_SECTIONS]
        return tuple((int(row["vaddr"]), int(row["filesz"])) for row in rows)

    @cached_property
    def build_id(self) -> str | None:
        """The GNU build id in hex (Go's own linker writes one from 1.24 on), or None."""
        return next((n.desc.hex() for n in self.notes if n.name == "GNU" and n.type == NT_GNU_BUILD_ID), None)

    @cached_property
    def go_build_id(self) -> str | None:
        """The Go build id (four base64 parts with slashes), or None for a program that Go did not build."""
        found = next((n.desc for n in self.notes if n.name == "Go" and n.type == NT_GO_BUILD_ID), None)
        return None if found is None else found.rstrip(b"\0").decode("latin-1")

    @property
    def stripped(self) -> bool:
        """True when there is no ``.symtab`` with bytes."""
        section = self.sections.get(".symtab")
        return section is None or section.type == SHT_NOBITS or section.size == 0

    @property
    def has_dwarf(self) -> bool:
        """True when there is a ``.debug_info`` (or ``.zdebug_info``) with bytes."""
        found = (self.sections.get(name) for name in (".debug_info", ".zdebug_info"))
        return any(s is not None and s.type != SHT_NOBITS and s.size > 0 for s in found)

    @cached_property
    def symbols(self) -> SymbolTable:
        """The ``.symtab``; an empty table when the file is stripped or its symbol table is unusable."""
        section = self.sections.get(".symtab")
        if section is None or self.stripped:
            return SymbolTable.empty()
        strings = self.sections.get(".strtab")
        if strings is None:
            return SymbolTable.empty()
        try:
            table = bytes(self.section_bytes(".symtab"))
        except FormatError:
            return SymbolTable.empty()  # names are an extra: without them mapscope works as on a stripped file
        return SymbolTable(table, self.mapping, strings.offset, strings.size)
