"""The records of ELF: header tables as NumPy types, and what ``ElfFile`` hands out of them.

System V gABI, chapters 4 and 5; ``elf.h`` of the Linux kernel. 64-bit little-endian layouts only.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct

EHDR: Final = np.dtype(
    [
        ("ident", "V16"),
        ("type", "<u2"),
        ("machine", "<u2"),
        ("version", "<u4"),
        ("entry", "<u8"),
        ("phoff", "<u8"),
        ("shoff", "<u8"),
        ("flags", "<u4"),
        ("ehsize", "<u2"),
        ("phentsize", "<u2"),
        ("phnum", "<u2"),
        ("shentsize", "<u2"),
        ("shnum", "<u2"),
        ("shstrndx", "<u2"),
    ]
)
PHDR: Final = np.dtype(
    [
        ("type", "<u4"),
        ("flags", "<u4"),
        ("offset", "<u8"),
        ("vaddr", "<u8"),
        ("paddr", "<u8"),
        ("filesz", "<u8"),
        ("memsz", "<u8"),
        ("align", "<u8"),
    ]
)
SHDR: Final = np.dtype(
    [
        ("name", "<u4"),
        ("type", "<u4"),
        ("flags", "<u8"),
        ("addr", "<u8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("link", "<u4"),
        ("info", "<u4"),
        ("addralign", "<u8"),
        ("entsize", "<u8"),
    ]
)
KINDS: Final = {1: "REL", 2: "EXEC", 3: "DYN", 4: "CORE"}
MACHINES: Final = {
    3: "386",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "amd64",
    183: "arm64",
    243: "riscv64",
    258: "loong64",
}
PT_LOAD: Final = 1
PT_NOTE: Final = 4
PN_XNUM: Final = 0xFFFF
SHT_NOTE: Final = 7
SHT_NOBITS: Final = 8
SHN_XINDEX: Final = 0xFFFF
SHF_COMPRESSED: Final = 0x800
NT_GNU_BUILD_ID: Final = 3
NT_GO_BUILD_ID: Final = 4


class Segment(Struct, frozen=True):
    """One PT_LOAD program header. ``filesz`` may be below ``memsz`` (bss, or a core's mapping that was not dumped).

    ``flags``: 1 executable, 2 writable, 4 readable. Addresses are static (``p_vaddr``), before any load bias.
    """

    vaddr: int
    memsz: int
    offset: int
    filesz: int
    flags: int


class Section(Struct, frozen=True):
    """One section header; ``type`` and ``flags`` are the raw ``sh_type`` and ``sh_flags``."""

    name: str
    addr: int
    offset: int
    size: int
    flags: int
    type: int
    link: int = 0


class Note(NamedTuple):
    """One note: ``name`` without its NUL (``"CORE"``, ``"GNU"``, ``"Go"``), raw ``type``, raw ``desc`` bytes."""

    name: str
    type: int
    desc: bytes
