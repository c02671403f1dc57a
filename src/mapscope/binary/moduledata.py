"""moduledata: where a Go module's text, data, types and pointer masks lie.

runtime/symtab.go moduledata, written by cmd/link/internal/ld/symtab.go. It starts with a pointer to pclntab followed
by a pointer to pclntab's function-name table, which is how it is found in an executable without symbols.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from mapscope.binary.image import Image, find_aligned
from mapscope.binary.pclntab import HEADER_SIZE, is_header, parse_header
from mapscope.binary.reader import Reader
from mapscope.binary.structs import Field, StructLayout
from mapscope.errors import FormatError

_MAX_MODULES = 64
_MAX_TEXT_SECTIONS = 1024
_MAX_NAME = 4096
_ADDRESSES = (
    *("address", "pclntab", "text", "etext", "noptrdata", "enoptrdata", "data", "edata", "bss", "ebss", "noptrbss"),
    *("enoptrbss", "end", "gcdata", "gcbss", "types", "etypes", "rodata", "gofunc"),
)


class BitVector(Struct, frozen=True):
    """runtime.bitvector: ``bits`` bits from ``address`` on, least significant bit first.

    Empty in an executable file.
    """

    bits: int
    address: int


class ModuleData(Struct, frozen=True):
    """One module's moduledata as absolute addresses. A field that the release lacks is 0.

    ``typelinks`` and ``itablinks`` are (address, count) of []int32 (offsets from ``types``) and []*itab, up to Go 1.26;
    ``typedesclen``, ``itaboffset``, ``itabsize`` (bytes, from ``types``) take their place in 1.27. ``text_sections``
    are textsectmap's (vaddr, end, baseaddr), only of interest when there are several. ``gcdatamask`` and ``gcbssmask``
    are filled when the program starts: use the GC programs at ``gcdata`` and ``gcbss`` for an executable file.
    """

    address: int
    pclntab: int
    pclntab_size: int
    functions: int
    text: int
    etext: int
    noptrdata: int
    enoptrdata: int
    data: int
    edata: int
    bss: int
    ebss: int
    noptrbss: int
    enoptrbss: int
    end: int
    gcdata: int
    gcbss: int
    types: int
    etypes: int
    rodata: int
    gofunc: int
    typedesclen: int
    itaboffset: int
    itabsize: int
    typelinks: tuple[int, int]
    itablinks: tuple[int, int]
    text_sections: tuple[tuple[int, int, int], ...]
    modulename: str
    has_main: bool
    gcdatamask: BitVector
    gcbssmask: BitVector
    next: int

    def rebase(self, bias: int) -> Self:
        """The same module loaded ``bias`` bytes higher."""
        moved: dict[str, Any] = {name: getattr(self, name) + bias if getattr(self, name) else 0 for name in _ADDRESSES}
        for name in ("typelinks", "itablinks"):
            address, count = getattr(self, name)
            moved[name] = (address + bias if address else 0, count)
        moved["text_sections"] = tuple((vaddr, end, base + bias) for vaddr, end, base in self.text_sections)
        moved["next"] = self.next + bias if self.next else 0
        return replace(self, **moved)

    def holds_type(self, address: int) -> bool:
        """Whether ``address`` lies between ``types`` and ``etypes``."""
        return self.types <= address < self.etypes


def module_layout(series: tuple[int, int]) -> StructLayout:
    """Offsets of moduledata in the Go release ``series`` ((1, 24)), all words of 8 bytes.

    From its source in each release.
    """
    words = ["pcHeader", *(f"{name}:3" for name in ("funcnametab", "cutab", "filetab", "pctab", "pclntable", "ftab"))]
    words += ["findfunctab", "minpc", "maxpc", "text", "etext", "noptrdata", "enoptrdata", "data", "edata"]
    words += ["bss", "ebss", "noptrbss", "enoptrbss"]
    words += ["covctrs", "ecovctrs"] if series >= (1, 20) else []
    words += ["end", "gcdata", "gcbss", "types"]
    words += ["typedesclen", "etypes", "itaboffset", "itabsize"] if series >= (1, 27) else ["etypes"]
    words += ["rodata", "gofunc"]
    words += ["epclntab"] if series >= (1, 26) else []
    words += ["textsectmap:3"]
    words += [] if series >= (1, 27) else ["typelinks:3", "itablinks:3"]
    words += ["ptab:3", "pluginpath:2", "pkghashes:3"]
    words += ["inittasks:3"] if series >= (1, 21) else []
    words += ["modulename:2", "modulehashes:3", "hasmain", "gcdatamask:2", "gcbssmask:2", "typemap"]
    words += [] if series >= (1, 23) else ["bad"]
    words += ["next"]
    at = 0
    found: dict[str, Field] = {}
    for word in words:
        name, _, count = word.partition(":")
        found[name] = Field(at, 8 * int(count or 1))
        at += found[name].size
    return StructLayout("runtime.moduledata", at, found)


def read_module(reader: Reader, address: int, layout: StructLayout) -> ModuleData | None:
    """The moduledata at ``address`` by ``layout`` (``module_layout`` or a layout table's); None when it is none."""
    raw = reader.read(address, layout.size)
    if raw is None or len(raw) != layout.size:
        return None

    def word(name: str, index: int = 0) -> int:
        field = layout.fields.get(name)
        return 0 if field is None else int.from_bytes(raw[field.offset + 8 * index :][:8], "little")

    def vector(name: str) -> BitVector:
        return BitVector(word(name) & 0xFFFFFFFF, word(name, 1))

    pclntab, functions = word("pcHeader"), word("ftab", 1) - 1
    if word("types") > word("etypes") or word("text") > word("etext") or word("data") > word("edata"):
        return None
    if not (pclntab and word("pclntable") >= pclntab and word("bss") <= word("ebss") and functions > 0):
        return None
    return ModuleData(
        address=address,
        pclntab_size=word("pclntable") - pclntab + word("pclntable", 1),
        functions=functions,
        typedesclen=word("typedesclen"),
        itaboffset=word("itaboffset"),
        itabsize=word("itabsize"),
        typelinks=(word("typelinks"), word("typelinks", 1)),
        itablinks=(word("itablinks"), word("itablinks", 1)),
        text_sections=_text_sections(reader, word("textsectmap"), word("textsectmap", 1)),
        modulename=_name(reader, word("modulename"), word("modulename", 1)),
        has_main=bool(word("hasmain") & 0xFF),
        gcdatamask=vector("gcdatamask"),
        gcbssmask=vector("gcbssmask"),
        next=word("next"),
        pclntab=pclntab,
        **{name: word(name) for name in _ADDRESSES if name not in ("address", "pclntab")},
    )


def read_modules(reader: Reader, address: int, layout: StructLayout) -> tuple[ModuleData, ...]:
    """The module at ``address`` and those that follow by ``next`` in a process's memory (plugins, shared builds)."""
    found: dict[int, ModuleData] = {}
    while address and address not in found and len(found) < _MAX_MODULES:
        module = read_module(reader, address, layout)
        if module is None:
            break
        found[address] = module
        address = module.next
    return tuple(found.values())


def find_pclntab(image: Image) -> Iterator[tuple[int, memoryview]]:
    """Places that look like a pclntab, the likeliest first: its address and the bytes up to the end of the area.

    ``.gopclntab`` of a program linked by Go; ``.data.rel.ro.gopclntab`` of a PIE; no section of its own in an
    externally linked PIE, where the magic number is searched in all segments.
    """
    for name in (".gopclntab", ".data.rel.ro.gopclntab"):
        section = image.section(name)
        if section is not None and is_header(section[1]):
            yield section
    for magic in (0xFFFFFFF1, 0xFFFFFFF0):
        pattern = magic.to_bytes(4, "little") + b"\0\0"
        for address in image.find(pattern, flags=4):
            view = image.view(address)
            if view is not None and is_header(view):
                yield address, view


def find_module(image: Image, layout: StructLayout) -> ModuleData:
    """The moduledata of an executable file, by its two first words; FormatError when no place fits.

    The addresses in the result include the image's bias.
    """
    for pclntab, data in find_pclntab(image):
        header = parse_header(data[:HEADER_SIZE])
        pattern = np.array([pclntab, pclntab + header.funcname_offset], "<u8").tobytes()
        for address in _places(image, pattern):
            module = read_module(image, address, layout)
            if module is not None and module.functions == header.nfunc and _plausible(image, module):
                return module
    raise FormatError(
        f"no moduledata found in {image.elf.path}", "it may not be a Go program, or an obfuscator changed its tables"
    )


def _places(image: Image, pattern: bytes) -> Iterator[int]:
    for name in (".go.module", ".noptrdata", ".data.rel.ro", ".data"):
        section = image.section(name)
        if section is not None:
            yield from find_aligned(section[1], section[0], pattern, 8)
    yield from image.find(pattern, flags=2)
    yield from image.find(pattern, flags=4)


def _plausible(image: Image, module: ModuleData) -> bool:
    """Whether text, types and GC programs lie inside the loaded file: tells a layout of the wrong release apart."""
    low, high = image.areas[0].start, max(s.vaddr + s.memsz for s in image.elf.segments) + image.bias
    inside = all(
        low <= getattr(module, name) <= high for name in ("text", "etext", "types", "etypes", "data", "ebss", "gofunc")
    )
    return inside and image.read(module.gcdata, 1) is not None and image.read(module.gcbss, 1) is not None


def _text_sections(reader: Reader, address: int, count: int) -> tuple[tuple[int, int, int], ...]:
    if not 0 < count <= _MAX_TEXT_SECTIONS:
        return ()
    raw = reader.read(address, 24 * count)
    if raw is None:
        return ()
    words = np.frombuffer(raw, "<u8").tolist()
    return tuple((words[i], words[i + 1], words[i + 2]) for i in range(0, len(words), 3))


def _name(reader: Reader, address: int, size: int) -> str:
    raw = reader.read(address, size) if 0 < size <= _MAX_NAME else None
    return "" if raw is None else raw.decode("utf-8", "replace")
