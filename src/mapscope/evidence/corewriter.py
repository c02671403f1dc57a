"""Writes an ELF64 core as the kernel lays it out: notes, then one segment a mapping, with holes where nothing was read.

Structures: elf(5); ``struct elf_prstatus`` and ``elf_prpsinfo`` in include/linux/elfcore.h and uapi/linux/elfcore.h;
NT_FILE as ``fill_files_note`` in fs/binfmt_elf.c of Linux writes it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from msgspec import Struct, field

from mapscope.evidence.procfs import PAGE, Mapping, TaskStatus

ET_CORE = 4
PT_LOAD = 1
PT_NOTE = 4
PN_XNUM = 0xFFFF
NT_PRPSINFO = 3
NT_AUXV = 6
NT_FILE = 0x46494C45
MACHINES = {"x86_64": 62, "aarch64": 183}
"""``e_machine`` by the name that uname(2) gives."""

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_SPARE_SEGMENTS = 512
"""Room in the table of segments for splits around pages that turn out unreadable."""
HUGE_PAGE = 2 << 20
"""Of amd64 and, with pages of 4 kB, arm64."""
_LARGE = 2 * HUGE_PAGE
_STATES = "RSDTZW"


class Segment(Struct):
    """One mapping in the core."""

    mapping: Mapping
    file_bytes: int
    """Bytes that the core stands for, from the start of the mapping on; pages not copied read as zero."""
    offset: int = 0
    """Where they begin in the file; set by :meth:`CoreLayout.place`."""
    missing: list[tuple[int, int]] = field(default_factory=list)
    """Address ranges that could not be read: the core says that they are not in it."""


class CoreLayout:
    """Where everything goes in the file."""

    def __init__(self, machine: int, notes: bytes, segments: Sequence[Segment]) -> None:
        self.machine = machine
        self.notes = notes
        self.segments = segments
        self._table_room = len(segments) + 1 + _SPARE_SEGMENTS
        self.notes_offset = _EHDR.size + self._table_room * _PHDR.size
        self.size = self.place(_page_up(self.notes_offset + len(notes)))

    def place(self, offset: int) -> int:
        """Gives each segment its offset, on a page border; answers the size of the file.

        A large one lies in the file as it does in huge pages of memory, behind a hole: whoever maps a file that was
        written so, while the page cache has it, gets it in huge pages too.
        """
        for segment in self.segments:
            if segment.file_bytes >= _LARGE:
                offset += (segment.mapping.start - offset) % HUGE_PAGE
            segment.offset = offset
            offset += _page_up(segment.file_bytes)
        return offset

    def headers(self) -> bytes:
        """ELF header, table of segments and notes: the first bytes of the file."""
        loads = self._loads()
        count = len(loads) + 1
        extended = count >= PN_XNUM
        header = _EHDR.pack(
            b"\x7fELF\x02\x01\x01".ljust(16, b"\0"),
            ET_CORE,
            self.machine,
            1,
            0,
            _EHDR.size,
            self.size if extended else 0,
            0,
            _EHDR.size,
            _PHDR.size,
            PN_XNUM if extended else count,
            _SHDR.size if extended else 0,
            1 if extended else 0,
            0,
        )
        note = _PHDR.pack(PT_NOTE, 0, self.notes_offset, 0, 0, len(self.notes), 0, 4)
        table = (header + note + b"".join(loads)).ljust(self.notes_offset, b"\0")
        return table + self.notes

    def trailer(self) -> bytes:
        """The one section header that holds the number of segments where 16 bits are too few; empty otherwise."""
        count = len(self._loads()) + 1
        return b"" if count < PN_XNUM else _SHDR.pack(0, 0, 0, 0, 0, 0, 0, count, 0, 0)

    def _loads(self) -> list[bytes]:
        spare = _SPARE_SEGMENTS
        loads = []
        for segment in self.segments:
            pieces = _pieces(segment, spare // 2)
            spare -= len(pieces) - 1
            flags = 4 * segment.mapping.readable + 2 * segment.mapping.writable + (segment.mapping.perms[2] == "x")
            for start, end, kept in pieces:
                offset = segment.offset + start - segment.mapping.start
                loads.append(_PHDR.pack(PT_LOAD, flags, offset, start, 0, kept, end - start, PAGE))
        return loads


def _page_up(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _pieces(segment: Segment, splits: int) -> list[tuple[int, int, int]]:
    """(start, end, bytes in the file) of the parts of a segment, cut so that no missing range looks like zeros.

    With more than ``splits`` missing ranges, all behind the last one that fits counts as missing.
    """
    mapping = segment.mapping
    data_end = mapping.start + segment.file_bytes
    pieces = []
    cursor = mapping.start
    for number, (start, end) in enumerate(segment.missing):
        if number >= splits:
            end = mapping.end
        pieces.append((cursor, end, max(0, min(start, data_end) - cursor)))
        cursor = end
        if cursor >= mapping.end:
            break
    if cursor < mapping.end or not pieces:
        pieces.append((cursor, mapping.end, max(0, data_end - cursor)))
    return pieces


def note(kind: int, description: bytes, owner: bytes = b"CORE") -> bytes:
    """One ELF note, padded to four bytes."""
    name = owner + b"\0"
    head = struct.pack("<III", len(name), len(description), kind)
    return head + name.ljust(-(-len(name) // 4) * 4, b"\0") + description.ljust(-(-len(description) // 4) * 4, b"\0")


def _timeval(seconds: float) -> bytes:
    return struct.pack("<qq", int(seconds), int(seconds % 1 * 1_000_000))


def prstatus(tid: int, task: TaskStatus, registers: bytes, signal: int) -> bytes:
    """``struct elf_prstatus``: 112 bytes of head, the registers of this machine, and pr_fpvalid."""
    head = struct.pack(
        "<iiihHQQiiii",
        signal,
        0,
        0,
        signal,
        0,
        task.pending,
        task.blocked,
        tid,
        task.ppid,
        task.pgrp,
        task.session,
    )
    times = _timeval(task.user_seconds) + _timeval(task.system_seconds) + _timeval(0) * 2
    return head + times + registers + struct.pack("<ii", 1, 0)


def prpsinfo(pid: int, task: TaskStatus, arguments: bytes) -> bytes:
    """``struct elf_prpsinfo``, 136 bytes."""
    state = max(_STATES.find(task.state.upper()), 0)
    return struct.pack(
        "<bcbbxxxxQIIiiii16s80s",
        state,
        _STATES[state].encode(),
        0,
        max(-128, min(127, task.nice)),
        task.flags,
        task.uid,
        task.gid,
        pid,
        task.ppid,
        task.pgrp,
        task.session,
        task.name.encode(errors="replace")[:15],
        arguments[:79],
    )


def file_note(mappings: Sequence[Mapping]) -> bytes:
    """The description of NT_FILE: each file-backed mapping with its range, its page in the file, and its path."""
    files = [mapping for mapping in mappings if mapping.has_file]
    numbers = [struct.pack("<QQ", len(files), PAGE)]
    numbers += [struct.pack("<QQQ", each.start, each.end, each.offset // PAGE) for each in files]
    return b"".join(numbers) + b"".join(os.fsencode(each.path.removesuffix(" (deleted)")) + b"\0" for each in files)
