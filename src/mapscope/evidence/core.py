"""An ELF core of a Linux process, of the kernel or of gcore: its memory, threads and files.

What is not in the file is missing, never zero: segments without bytes, and the bytes behind the end of a cut file. A
hole of a sparse file does read as zeros, since that is what the writer put there; it does not count as resident.
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

from msgspec import Struct

from mapscope.binary.elf import ElfFile
from mapscope.errors import EvidenceError
from mapscope.evidence.memory import PAGE, Memory
from mapscope.evidence.packed import Unpacked, is_packed, unpack
from mapscope.evidence.redaction import NT_REDACTED, OWNER, Redaction

NT_PRSTATUS = 1
NT_PRPSINFO = 3
NT_AUXV = 6
NT_FILE = 0x46494C45
AT_ENTRY = 9
PT_NOTE = 4
NT_GNU_BUILD_ID = 3
_PHDR = struct.Struct("<IIQQQQQQ")
_MAX_HEADERS = 64

_MAX_MAPPINGS = 1 << 20

AMD64_REGISTERS = (  # noqa: SIM905 - one name a line helps nobody
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base "
    "gs_base ds es fs gs "
).split()
"""Order of ``user_regs_struct`` (sys/user.h), the tail of ``elf_prstatus``."""
ARM64_REGISTERS = [*(f"x{n}" for n in range(31)), "sp", "pc", "pstate"]
_REGISTERS_AT = 112
"""Offset of ``pr_reg`` in ``elf_prstatus`` of 64-bit Linux (linux/elfcore.h)."""


class Thread(Struct, frozen=True):
    """One thread with its registers at the moment of the core."""

    tid: int
    registers: dict[str, int]
    """By their architecture's names (``rsp``, ``rip``; ``sp``, ``pc``)."""

    @property
    def sp(self) -> int:
        """Stack pointer."""
        return self.registers.get("rsp", self.registers.get("sp", 0))

    @property
    def pc(self) -> int:
        """Program counter."""
        return self.registers.get("rip", self.registers.get("pc", 0))


class FileMapping(Struct, frozen=True):
    """One row of NT_FILE: ``path`` was mapped at [start, end), from byte ``offset`` of the file."""

    start: int
    end: int
    offset: int
    path: str


class Live(Struct, frozen=True):
    """Where a core comes from that was taken of a live process for this run alone."""

    pid: int
    pause_seconds: float
    """How long the process stood still."""
    program: str
    """Path of its program, as the process itself sees it."""


class Core(Struct, frozen=True):
    """An opened core."""

    path: Path
    elf: ElfFile
    memory: Memory
    threads: tuple[Thread, ...]
    mappings: tuple[FileMapping, ...]
    pid: int | None
    entry: int
    """Run-time address of the program's entry point (AT_ENTRY of the auxiliary vector); 0 when not known."""
    resident_bytes: int
    """Bytes that the file really holds (data extents of a sparse file; runs of zero pages that were never written are
    out)."""
    missing: tuple[str, ...]
    """One sentence for each thing that should be there and is not."""
    live: Live | None = None
    """None for a core that lies in a file."""
    redaction: Redaction | None = None
    """What the core says about itself where ``mapscope redact`` wrote it."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Core:
        """Maps the core and lays out its memory.

        Raises:
            EvidenceError: the file cannot be opened, or it is no core.
            FormatError: it is no ELF file that mapscope reads.
        """
        packed = _unpacked(path)
        elf = ElfFile.open(path, role="core") if packed is None else ElfFile(Path(path), packed.mapping)
        if elf.kind != "CORE":
            what = "an executable" if elf.kind in ("EXEC", "DYN") else f"an ELF file of kind {elf.kind}"
            raise EvidenceError(
                f"{path}: not a core but {what}", "take a core of the running process: gcore PID, then give that file"
            )
        if elf.machine not in ("amd64", "arm64"):
            raise EvidenceError(f"{path}: a core of a {elf.machine} process", "mapscope reads amd64 and arm64")
        memory = Memory()
        buffer = memory.add_buffer(elf.mapping)
        length = len(elf.mapping)
        cut = 0
        data = data_ranges(path) if packed is None else packed.ranges
        for segment in elf.segments:
            there = max(0, min(segment.filesz, length - segment.offset, segment.memsz))
            cut += segment.filesz - there if segment.filesz <= segment.memsz else 0
            _lay(memory, buffer, segment.vaddr, segment.offset, there, data)
        missing = []
        if cut:
            missing.append(f"the file is cut short: {cut:,} bytes of its segments are missing at its end")
        if not memory.extents:
            raise EvidenceError(
                f"{path}: the core holds no memory at all",
                "it was cut short or written with an empty filter (/proc/PID/coredump_filter); take it again",
            )
        threads, mappings, pid, entry = _read_notes(elf)
        if not threads:
            missing.append(
                "no thread registers are in the core: stacks of running goroutines are scanned from their base"
            )
        resident = sum(extent.size for extent in memory.extents if extent.offset >= 0)
        told = _redaction(elf)
        if told is not None:
            missing.extend(text for text in told.missing if text not in missing)
            resident = int((told.resident[:, 1] - told.resident[:, 0]).sum())
        return cls(Path(path), elf, memory, threads, mappings, pid, entry, resident, tuple(missing), redaction=told)

    @property
    def kind(self) -> str:
        """The word for this kind of evidence."""
        return "core" if self.live is None else "live process"

    @property
    def size_bytes(self) -> int:
        """Bytes of the file, holes included."""
        return len(self.elf.mapping)

    def executable_mappings(self) -> list[FileMapping]:
        """The rows of NT_FILE that map a file from its start, by address: the executable comes first on Linux."""
        return [row for row in self.mappings if row.offset == 0]


def _unpacked(path: str | os.PathLike[str]) -> Unpacked | None:
    """A compressed core, in memory; None where the file is not compressed, or cannot be opened at all."""
    try:
        return unpack(path) if is_packed(path) else None
    except OSError:
        return None  # ElfFile says it better


def data_ranges(path: str | os.PathLike[str]) -> list[tuple[int, int]]:
    """The parts of the file that are not holes (``SEEK_DATA``); the whole file where the file system cannot say."""
    ranges: list[tuple[int, int]] = []
    with open(path, "rb") as stream:
        at = 0
        length = os.fstat(stream.fileno()).st_size
        while at < length:
            try:
                start = os.lseek(stream.fileno(), at, os.SEEK_DATA)
                at = os.lseek(stream.fileno(), start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data behind `at`
                    return ranges
                return [(0, length)]
            ranges.append((start, min(at, length)))
    return ranges


def _lay(memory: Memory, buffer: int, vaddr: int, offset: int, size: int, data: list[tuple[int, int]]) -> None:
    """Lays one segment: runs of file data as such, holes as zeros that the file vouches for."""
    end = offset + size
    at = offset
    low, high = 0, len(data)
    while low < high:  # first range that ends behind the segment's start
        mid = (low + high) // 2
        if data[mid][1] <= at:
            low = mid + 1
        else:
            high = mid
    while at < end:
        if low >= len(data) or data[low][0] >= end:
            memory.add(vaddr + at - offset, end - at, buffer, -1)
            return
        start, stop = data[low]
        # extents are cut at page borders of the address space, so that every page is wholly one or the other
        start = max(at, start - (vaddr + start - offset) % PAGE)
        stop = min(end, stop + -(vaddr + stop - offset) % PAGE)
        if start > at:
            memory.add(vaddr + at - offset, start - at, buffer, -1)
        if stop > start:
            memory.add(vaddr + start - offset, stop - start, buffer, start)
        at = max(at, stop)
        low += 1


def _read_notes(elf: ElfFile) -> tuple[tuple[Thread, ...], tuple[FileMapping, ...], int | None, int]:
    names = AMD64_REGISTERS if elf.machine == "amd64" else ARM64_REGISTERS
    threads: list[Thread] = []
    mappings: list[FileMapping] = []
    pid: int | None = None
    entry = 0
    for note in elf.notes:
        if note.name == "CORE" and note.type == NT_PRSTATUS and len(note.desc) >= _REGISTERS_AT + 8 * len(names):
            (tid,) = struct.unpack_from("<i", note.desc, 32)
            values = struct.unpack_from(f"<{len(names)}Q", note.desc, _REGISTERS_AT)
            threads.append(Thread(tid, dict(zip(names, values, strict=True))))
        elif note.name == "CORE" and note.type == NT_PRPSINFO and len(note.desc) >= 28:
            (pid,) = struct.unpack_from("<i", note.desc, 24)
        elif note.name == "CORE" and note.type == NT_FILE:
            mappings.extend(_file_mappings(note.desc))
        elif note.name == "CORE" and note.type == NT_AUXV:
            words = struct.unpack_from(f"<{len(note.desc) // 8}Q", note.desc)
            entry = dict(zip(words[::2], words[1::2], strict=False)).get(AT_ENTRY, 0)
    if pid is None and threads:
        pid = threads[0].tid
    return tuple(threads), tuple(mappings), pid, entry


def _redaction(elf: ElfFile) -> Redaction | None:
    for note in elf.notes:
        if note.name == OWNER and note.type == NT_REDACTED:
            return Redaction.decode(note.desc)
    return None


def _file_mappings(desc: bytes) -> list[FileMapping]:
    """NT_FILE (fs/binfmt_elf.c): count, page size, triples (start, end, page offset), then names ending in NUL."""
    if len(desc) < 16:
        return []
    count, page = struct.unpack_from("<QQ", desc)
    if count > _MAX_MAPPINGS or 16 + 24 * count > len(desc) or not 1 <= page <= 1 << 30:
        return []
    names = desc[16 + 24 * count :].split(b"\0")
    rows = []
    for index in range(min(count, len(names))):
        start, end, offset = struct.unpack_from("<QQQ", desc, 16 + 24 * index)
        if start < end:
            rows.append(FileMapping(start, end, offset * page, os.fsdecode(names[index])))
    return rows


def mapped_build_id(memory: Memory, start: int) -> str | None:
    """GNU build id, in hex, of the ELF file mapped at ``start``, from its headers in memory; None where it has none.

    The kernel dumps the first page of ELF files (bit 4 of coredump_filter), which has the notes near its start.
    """
    header = memory.read(start, 64)
    if header is None or header[:4] != b"\x7fELF":
        return None
    offset, size, count = struct.unpack_from("<Q14xHH", header, 32)
    if size != _PHDR.size or count > _MAX_HEADERS:
        return None
    table = memory.read(start + offset, size * count) if offset < PAGE else None
    for kind, _flags, at, _vaddr, _paddr, length, _memsz, _align in _PHDR.iter_unpack(table or b""):
        notes = memory.read(start + at, length) if kind == PT_NOTE and length < PAGE and at < PAGE else None
        while notes and len(notes) >= 12:
            name_size, desc_size, note_type = struct.unpack_from("<III", notes)
            body = 12 + (name_size + 3) // 4 * 4
            if notes[12 : 12 + name_size] == b"GNU\0" and note_type == NT_GNU_BUILD_ID:
                return notes[body : body + desc_size].hex()
            notes = notes[body + (desc_size + 3) // 4 * 4 :]
    return None
