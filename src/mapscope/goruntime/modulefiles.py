"""The files of modules that a program has loaded beside its own: plugins (runtime/symtab.go, moduledata.next).

A core of the kernel holds neither their code nor their pclntab, and none has the names of their variables: those are in
the files, which NT_FILE names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.elf import ElfFile
from mapscope.binary.moduledata import ModuleData
from mapscope.errors import MapscopeError
from mapscope.evidence.core import Core, FileMapping
from mapscope.evidence.memory import Memory

PF_W = 2
_MAX_NOTE_BYTES = 1 << 16


class ModuleFile(Struct, frozen=True):
    """An ELF file and where it was loaded. ``bias``: run-time minus static address."""

    elf: ElfFile
    bias: int
    module: ModuleData
    """At run-time addresses."""
    dwarf: Dwarf | None
    """None for a file without DWARF."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.elf.path.name


def lay_file(memory: Memory, elf: ElfFile, bias: int) -> None:
    """Puts the parts of a file that a process cannot write where the core has none: code and constants."""
    buffer = memory.add_buffer(elf.mapping)
    for segment in elf.segments:
        if not segment.flags & PF_W:
            memory.add(segment.vaddr + bias, min(segment.filesz, segment.memsz), buffer, segment.offset)


def differs(core: Core, elf: ElfFile, bias: int) -> bool:
    """Whether the core's own image of the file has other build ids than the file, where it has any."""
    for address, size in elf.note_ranges:
        if 0 < size <= _MAX_NOTE_BYTES:
            there, here = core.memory.read(address + bias, size), elf.read(address, size)
            if there is not None and here is not None and there != here:
                return True
    return False


def load_bias(elf: ElfFile, start: int) -> int:
    """Run-time minus static address of a file whose first byte is mapped at ``start``."""
    return start - min((segment.vaddr - segment.offset for segment in elf.segments), default=0)


def attach(core: Core, modules: Sequence[ModuleData], warnings: list[str]) -> tuple[ModuleFile, ...]:
    """Opens the file of each of ``modules`` and lays its constant parts into the core's memory.

    What cannot be opened, or is another file by now, is left out, and a warning says so.
    """
    found = []
    for number, module in enumerate(modules, start=2):
        row = _mapping_of(core, module)
        if row is None:
            warnings.append(f"no mapped file holds Go module {number} of the process: its variables have no names")
            continue
        try:
            found.append(_open(core, module, row))
        except MapscopeError as error:
            warnings.append(
                f"the file of Go module {number} cannot be used ({error}): its variables have no names, and maps that "
                "only its types tell of may be missing"
            )
    return tuple(found)


def _mapping_of(core: Core, module: ModuleData) -> FileMapping | None:
    """The first mapping of the file that ``module`` lies in."""
    inside = next((row for row in core.mappings if row.start <= module.text < row.end), None)
    if inside is None:
        return None
    rows = [row for row in core.executable_mappings() if row.path == inside.path and row.start <= inside.start]
    return max(rows, key=lambda row: row.start, default=None)


def _open(core: Core, module: ModuleData, row: FileMapping) -> ModuleFile:
    beside = core.path.parent / Path(row.path).name
    path = beside if beside.is_file() and not Path(row.path).is_file() else Path(row.path)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise MapscopeError(f"{path} is no regular file", "put the very file that ran in its place")
    elf = ElfFile.open(path)
    bias = load_bias(elf, row.start)
    if elf.kind not in ("DYN", "EXEC") or elf.machine != core.elf.machine or differs(core, elf, bias):
        raise MapscopeError(f"{elf.path} is not the file that was loaded", "put the very file that ran in its place")
    lay_file(core.memory, elf, bias)
    return ModuleFile(elf, bias, module, Dwarf.from_elf(elf) if elf.has_dwarf else None)
