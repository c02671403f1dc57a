"""A heap dump and its executable, put together to a process.

The dump gives data, bss, stacks and objects; types, code and everything else that does not change while a program runs
come from the executable. Since the dump does not name it, whether it is the right one is checked against what both say:
release, segments, functions of frames, types of itabs.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load
from mapscope.binary.dwarf import Dwarf
from mapscope.binary.executable import Executable
from mapscope.binary.moduledata import ModuleData
from mapscope.binary.pclntab import FunctionTable
from mapscope.binary.rtypes import TypeReader
from mapscope.binary.runtimeglobals import runtime_globals
from mapscope.errors import EvidenceError, ExecutableError
from mapscope.evidence.heapdump import BSS, DATA, FRAME, TYPE, HeapDump
from mapscope.evidence.memory import Memory
from mapscope.evidence.paged import Paged
from mapscope.goruntime.modulefiles import PF_W
from mapscope.goruntime.process import Process, chosen_layouts

_CONSTANT_SECTIONS = (".data.rel.ro", ".go.", ".gopclntab", ".typelink", ".itablink", ".rodata")
"""Beginnings of the names of sections that nobody writes to once the program has been loaded, though they may lie in
writable segments: relocations are applied to them."""
_SILENT = (
    "a heap dump has no spans, registers or types of objects: spans are told from objects, types from the executable",
    "a heap dump has no memory but objects, stacks and variables with pointers: resident memory cannot be told",
)
_AGAIN = "it is damaged; write it again"
_CHECKED = 1 << 12
"""Functions and types that are compared with the executable."""
_LARGEST = 64
"""Stacks and variables may take this many times the file's bytes, and _ROOM more, when they are laid out by page."""
_ROOM = 1 << 28
_GIVE = "give the very file that ran: mapscope analyze DUMP EXECUTABLE"


def open_dumped(dump: HeapDump, executable: str | os.PathLike[str] | None) -> Process:
    """Puts dump and executable together.

    Raises:
        ExecutableError: none is given, it is not a Go program, or it is not the one that wrote the dump.
        LayoutError: no layout table fits.
        EvidenceError: the dump contradicts itself.
    """
    if executable is None:
        raise ExecutableError(f"{dump.path}: a heap dump does not name its executable", _GIVE)
    exe = Executable.open(executable)
    params = dump.params
    if exe.arch != params.arch or exe.go_version.split() != params.go_version.split():
        raise ExecutableError(
            f"{exe.path} is not the executable that wrote this heap dump: it was built with {exe.go_version} for "
            f"{exe.arch}, the dump is of {params.go_version} on {params.arch}",
            _GIVE,
        )
    bias = _bias(dump, exe)
    module = exe.module.rebase(bias)
    memory = Memory()
    _lay(dump, memory)
    _lay_constants(exe, bias, memory)
    warnings = [*dump.missing, *_silent(exe.series)]
    missing = len(warnings)
    dwarf = Dwarf.from_elf(exe.elf) if exe.has_dwarf else None
    layouts = chosen_layouts(exe, dwarf, warnings)
    types = TypeReader(memory, (module,), series=exe.series, swiss_maps=exe.swiss_maps)
    foreign = _check_functions(dump, exe, exe.functions_at(bias), module)
    if foreign:
        warnings.append(
            f"{foreign} frames lie in code of other modules (plugins): their variables are not in this dump, and what "
            "only they hold counts as dead"
        )
    _check_types(dump, exe, types)
    globals_ = {name: address + bias for name, address in runtime_globals(exe).items()}
    return Process(
        evidence=dump, executable=exe, found_by="given", bias=bias, memory=memory, modules=(module,), layouts=layouts,
        types=types, globals=globals_, go_version=exe.go_version, dwarf=dwarf, missing=tuple(warnings[:missing]),
        warnings=tuple(warnings[missing:]),
    )  # fmt: skip


def _silent(series: tuple[int, int]) -> list[str]:
    """What no heap dump says."""
    said = [*_SILENT]
    if series >= (1, 24):
        said.append("a heap dump has no cleanups (runtime.AddCleanup): what only they hold counts as dead")
    return said


def _bias(dump: HeapDump, exe: Executable) -> int:
    """Run-time minus static address, from where data lies; both segments must agree in place and size."""
    static = exe.module
    (data, bss) = (dump.records(tag)[0].tolist() for tag in (DATA, BSS))
    bias = data[0] - static.data
    same = (data[2], bss[0], bss[2]) == (static.edata - static.data, static.bss + bias, static.ebss - static.bss)
    if not same or bias % 4096 or (bias and exe.elf.kind == "EXEC"):
        raise ExecutableError(
            f"{exe.path} is not the executable that wrote this heap dump: its data and bss segments differ", _GIVE
        )
    return int(bias)


def _lay(dump: HeapDump, memory: Memory) -> None:
    """Variables and stacks. Bytes of the same pages that lie in neither are zeros to kernels, missing to others."""
    parts = [dump.records(tag)[:, :3] for tag in (DATA, BSS)]
    frames = dump.records(FRAME)
    parts.append(frames[:, [0, 3, 4]])
    runs = np.concatenate(parts)
    runs = runs[runs[:, 2] > 0]
    if (runs[:, 0] >= np.uint64(1 << 47)).any() or (runs[:, 2] > np.uint64(dump.size_bytes)).any():
        raise EvidenceError(f"{dump.path}: a frame or segment of the heap dump lies nowhere", _AGAIN)
    address, at, size = (runs[:, column].astype(np.int64) for column in range(3))
    if int(((size + 8191) // 4096 * 4096).sum()) > _LARGEST * dump.size_bytes + _ROOM:
        raise EvidenceError(f"{dump.path}: the frames of the heap dump lie too far apart", _AGAIN)
    between, links = _saved_links(frames)
    paged = Paged(np.concatenate([address, between]), np.concatenate([size, np.full(len(between), 8, dtype=np.int64)]))
    load("dump").copy(dump.data, at, size, paged.bytes, paged.places(address))
    load("dump").copy(
        links.view(np.uint8), 8 * np.arange(len(links)), np.full(len(links), 8, dtype=np.int64), paged.bytes,
        paged.places(between),
    )  # fmt: skip
    paged.lay(memory)


def _saved_links(frames: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """On arm64: words between two frames, where a signal handler has saved the link register, and what they hold.

    The handler makes room of 16 bytes below the frame that it interrupted (runtime/signal_arm64.go: pushCall). No
    record has the word, but where the interrupted function needs it, it is where the frame after that one returns to.
    """
    if len(frames) < 3:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
    end, depth = frames[:, 0] + frames[:, 4], frames[:, 1]
    apart = (frames[1:-1, 0] == end[:-2] + np.uint64(16)) & (depth[2:] == depth[:-2] + np.uint64(2))
    where = np.flatnonzero(apart & (depth[1:-1] == depth[:-2] + np.uint64(1)))
    return end[where].astype(np.int64), np.ascontiguousarray(frames[where + 2, 6])


def _lay_constants(exe: Executable, bias: int, memory: Memory) -> None:
    """What the program file holds and the process never changed."""
    image = exe.image_at(bias)
    for area in image.areas:
        if not area.flags & PF_W:
            memory.add(area.start, len(area.data), memory.add_buffer(area.data), 0)
    for name in exe.elf.sections:
        section = image.section(name) if name.startswith(_CONSTANT_SECTIONS) else None
        if section is not None:
            memory.add(section[0], len(section[1]), memory.add_buffer(section[1]), 0)


def _check_functions(dump: HeapDump, exe: Executable, table: FunctionTable, module: ModuleData) -> int:
    """The functions of the frames, by entry and name, against pclntab; how many frames are of other modules."""
    frames = dump.records(FRAME)
    inside = (frames[:, 5] >= np.uint64(module.text)) & (frames[:, 5] < np.uint64(module.etext))
    _, first = np.unique(frames[:, 5], return_index=True)
    some = frames[first[inside[first]]][:_CHECKED]
    names = [dump.text(at, size) for at, size in some[:, 8:10].tolist()]
    found = [table.find(entry) for entry in some[:, 5].tolist()]
    right = [
        index >= 0 and int(table.entry[index]) == entry and table.name(index) == name
        for index, entry, name in zip(found, some[:, 5].tolist(), names, strict=True)
    ]
    if len(frames) and (not right or not all(right)):
        raise ExecutableError(
            f"{exe.path} is not the executable that wrote this heap dump: the functions of its frames lie elsewhere",
            _GIVE,
        )
    return int((~inside).sum())


def _check_types(dump: HeapDump, exe: Executable, types: TypeReader) -> None:
    """The types that the dump names, by address and size, against the descriptors."""
    rows = dump.records(TYPE)
    inside = np.array([types.module_of(address) is not None for address in rows[:_CHECKED, 0].tolist()], dtype=np.bool_)
    for address, size in rows[:_CHECKED][inside][:, :2].tolist():
        found = types.at(address)
        if found is None or found.size != size:
            raise ExecutableError(
                f"{exe.path} is not the executable that wrote this heap dump: its types lie elsewhere", _GIVE
            )
