"""One object for a Go executable, whether or not it was stripped.

Everything here comes from what every Go executable keeps: build information, pclntab, moduledata and type descriptors.
A symbol table and DWARF only add to it. Addresses are static (as linked); a process that loaded the program elsewhere
has them higher by a bias, for which ``image_at``, ``functions_at`` and ``ModuleData.rebase`` give the same views.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Self

from mapscope.binary.buildinfo import BuildInfo, read_build_info
from mapscope.binary.elf import ElfFile
from mapscope.binary.image import Image
from mapscope.binary.moduledata import ModuleData, find_module, module_layout
from mapscope.binary.pclntab import FunctionTable
from mapscope.binary.rtypes import TypeReader
from mapscope.binary.structs import StructLayout
from mapscope.errors import ExecutableError, FormatError

OLDEST = (1, 19)
"""The oldest Go release whose structures are known here."""
NEWEST = (1, 27)
"""The newest release that this version was tested with; later ones are tried with its structures."""


class Executable:
    """A Go program's executable file. Open it with ``Executable.open``; ``close`` drops the mapping."""

    def __init__(self, elf: ElfFile) -> None:
        """Use ``open``. ExecutableError when ``elf`` is no Go program for a 64-bit machine that mapscope knows."""
        if elf.kind not in ("EXEC", "DYN"):
            raise ExecutableError(f"{elf.path} is no executable ({elf.kind})", "give the program's executable file")
        if elf.machine not in ("amd64", "arm64"):
            raise ExecutableError(f"{elf.path} is for {elf.machine}", "mapscope reads amd64 and arm64 programs")
        self.elf = elf
        self.image = Image(elf)
        self.build_info: BuildInfo = read_build_info(self.image)
        if self.build_info.series < OLDEST:
            raise ExecutableError(
                f"{elf.path} was built with {self.build_info.go_version}",
                "mapscope reads programs of Go 1.19 and later",
            )

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open the executable at ``path``; ExecutableError or FormatError when it cannot be used."""
        return cls(ElfFile.open(path))

    def close(self) -> None:
        """Drop the mapping of the file; views that were handed out keep it as long as they live."""
        self.elf.close()

    @property
    def path(self) -> Path:
        """Where the executable was opened."""
        return self.elf.path

    @property
    def arch(self) -> str:
        """``"amd64"`` or ``"arm64"``."""
        return self.elf.machine

    @property
    def go_version(self) -> str:
        """As runtime.Version of the program says: ``"go1.24.11"``, experiments after it."""
        return self.build_info.go_version

    @property
    def series(self) -> tuple[int, int]:
        """(1, 24) for every Go 1.24 release."""
        return self.build_info.series

    @property
    def experiments(self) -> frozenset[str]:
        """GOEXPERIMENT names that differ from the release's defaults."""
        return self.build_info.experiments

    @property
    def build_settings(self) -> dict[str, str]:
        """Build settings as ``go version -m`` shows them."""
        return self.build_info.settings

    @property
    def stripped(self) -> bool:
        """Whether the symbol table is gone (``-ldflags=-s``, ``strip``)."""
        return self.elf.stripped

    @property
    def has_dwarf(self) -> bool:
        """Whether there is DWARF."""
        return self.elf.has_dwarf

    @property
    def swiss_maps(self) -> bool:
        """Whether maps are Swiss tables: from Go 1.24 on unless built with GOEXPERIMENT=noswissmap (1.24, 1.25)."""
        return self.series >= (1, 24) and "noswissmap" not in self.experiments

    @cached_property
    def module_layout(self) -> StructLayout:
        """Offsets of moduledata in this release."""
        return module_layout(self.series)

    @cached_property
    def module(self) -> ModuleData:
        """The moduledata of the main module at static addresses; FormatError when it cannot be found."""
        return find_module(self.image, self.module_layout)

    @cached_property
    def functions(self) -> FunctionTable:
        """The function table at static addresses."""
        return self.functions_at(0)

    @cached_property
    def source_root(self) -> str:
        """Folder of the main module's source where it was built, as the names of its files begin; empty: not told.

        The file of ``main.main`` lies in the folder of the main package, which is named by ``path`` of the build
        information as its module is by ``mod`` (with -trimpath file names begin with the module's path instead).
        """
        table = self.functions
        index = table.index_of("main.main")
        folder = table.file_line(index, int(table.entry[index]))[0].rpartition("/")[0] if index >= 0 else ""
        module = self.build_info.main.partition(" ")[0]
        inner = self.build_info.path.removeprefix(module) if module else ""
        if not inner.startswith("/"):
            return folder
        return folder.removesuffix(inner) if folder.endswith(inner) else ""

    def functions_at(self, bias: int) -> FunctionTable:
        """The function table with every address higher by ``bias``."""
        module = self.module
        data = self.image.view(module.pclntab, module.pclntab_size) or self.image.view(module.pclntab)
        if data is None:
            raise FormatError(f"pclntab of {self.path} is not in the file", "use the whole executable")
        return FunctionTable(
            data,
            address=module.pclntab,
            text=module.text,
            gofunc=module.gofunc,
            bias=bias,
            text_sections=module.text_sections,
        )

    def image_at(self, bias: int) -> Image:
        """A Reader over the file as loaded ``bias`` bytes higher, pointers in it relocated too."""
        return Image(self.elf, bias) if bias else self.image

    @cached_property
    def types_in_file(self) -> TypeReader:
        """Type descriptors as the file holds them, at static addresses."""
        return TypeReader(self.image, (self.module,), series=self.series, swiss_maps=self.swiss_maps)
