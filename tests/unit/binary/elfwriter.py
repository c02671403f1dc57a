"""Writes small ELF files field by field (System V gABI, chapter 4), so that tests can make any that they need."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """A program header and its bytes."""

    vaddr: int
    data: bytes
    memsz: int = -1
    kind: int = 1
    flags: int = 4


@dataclass(frozen=True)
class Part:
    """A section and its bytes; ``size`` when it differs from them (bss)."""

    name: str
    data: bytes
    kind: int = 1
    flags: int = 0
    addr: int = 0
    size: int = -1
    link: int = 0


def note(name: bytes, kind: int, desc: bytes) -> bytes:
    """One note, padded to four bytes."""
    pad = lambda data: data + bytes(-len(data) % 4)  # noqa: E731
    return struct.pack("<III", len(name) + 1, len(desc), kind) + pad(name + b"\0") + pad(desc)


def elf(
    loads: Sequence[Load] = (),
    parts: Sequence[Part] = (),
    *,
    kind: int = 2,
    machine: int = 62,
    xnum: bool = False,
    elf_class: int = 2,
    order: int = 1,
) -> bytes:
    """The bytes of a file: header, program headers, their bytes, sections, section headers at the very end."""
    body = bytearray()
    start = 64 + 56 * len(loads)
    headers = bytearray()
    for load in loads:
        memsz = len(load.data) if load.memsz < 0 else load.memsz
        headers += struct.pack(
            "<IIQQQQQQ", load.kind, load.flags, start + len(body), load.vaddr, 0, len(load.data), memsz, 4
        )
        body += load.data
    names = bytearray(b"\0")
    rows = bytearray(struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, len(loads) if xnum else 0, 0, 0))
    listed = [*parts, Part(".shstrtab", b"", 3)] if parts else []
    for part in listed:
        offset = len(names)
        names += part.name.encode() + b"\0"
        data = bytes(names) if part.name == ".shstrtab" else part.data
        size = len(data) if part.size < 0 else part.size
        rows += struct.pack(
            "<IIQQQQIIQQ", offset, part.kind, part.flags, part.addr, start + len(body), size, part.link, 0, 1, 0
        )
        body += data
    count = len(listed) + 1 if listed or xnum else 0
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF" + bytes([elf_class, order, 1]),
        kind, machine, 1, 0x401000, 64 if loads else 0, start + len(body) if count else 0,
        0, 64, 56, 0xFFFF if xnum else len(loads), 64, count, len(listed) if listed else 0,
    )  # fmt: skip
    return header + bytes(headers) + bytes(body) + (bytes(rows) if count else b"")
