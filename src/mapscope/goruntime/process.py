"""A Go process as evidence shows it: memory, executable, modules, layouts and the runtime's globals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.executable import Executable
from mapscope.binary.moduledata import ModuleData, read_modules
from mapscope.binary.rtypes import TypeReader
from mapscope.binary.runtimeglobals import runtime_globals
from mapscope.errors import EvidenceError, ExecutableError, FormatError, MapscopeError
from mapscope.evidence.core import Core, Thread, mapped_build_id
from mapscope.evidence.heapdump import ITAB, HeapDump
from mapscope.evidence.memory import Memory
from mapscope.evidence.redaction import Redaction
from mapscope.goruntime.layout import Layouts, check_against_dwarf, load
from mapscope.goruntime.modulefiles import ModuleFile, attach, differs, lay_file, load_bias

_MAX_CANDIDATES = 12
_MAX_LIBRARIES = 256
_RUNTIME = "runtime.mallocinit"
"""A function of every Go runtime."""


SPAN_STRUCTS = ("runtime.mheap", "runtime.mspan", "runtime.heapArena")
"""What spans and slots are read with."""


class Process(Struct, frozen=True):
    """Everything that the floors above read. ``globals`` are run-time addresses of the runtime's variables, by name."""

    evidence: Core | HeapDump
    executable: Executable
    found_by: str
    """How the executable was found: ``given``, ``NT_FILE``, ``beside the core``, ``build id``, ``running process``."""
    bias: int
    """Run-time address minus static address."""
    memory: Memory
    modules: tuple[ModuleData, ...]
    layouts: Layouts
    types: TypeReader
    globals: dict[str, int]
    go_version: str
    dwarf: Dwarf | None
    """None for an executable without DWARF."""
    missing: tuple[str, ...]
    """What the evidence should hold and does not, or never holds."""
    warnings: tuple[str, ...]
    """What to keep in mind beside that."""
    plugins: tuple[ModuleFile, ...] = ()
    """Files of the modules after the first, as far as they were found."""

    @property
    def core(self) -> Core | None:
        """The core, where the evidence is one."""
        return self.evidence if isinstance(self.evidence, Core) else None

    @property
    def redaction(self) -> Redaction | None:
        """What a core that ``mapscope redact`` wrote says about itself."""
        return None if self.core is None else self.core.redaction

    @property
    def threads(self) -> tuple[Thread, ...]:
        """Threads with their registers; none where the evidence has none."""
        return self.evidence.threads

    @property
    def itabs(self) -> npt.NDArray[np.uint64]:
        """Rows (address of an itab, address of its type) that the evidence itself lists: a heap dump does."""
        if isinstance(self.evidence, HeapDump):
            return self.evidence.records(ITAB)
        return np.zeros((0, 2), dtype=np.uint64)

    @property
    def mheap(self) -> int:
        """Address of ``runtime.mheap_``."""
        return self.globals["runtime.mheap_"]


def open_process(
    core: Core,
    executable: str | os.PathLike[str] | Executable | None = None,
    begin: Callable[[Process], None] | None = None,
) -> Process:
    """Puts core and executable together. ``executable``: its path, or the program of a live process, opened already.

    ``begin`` is called as soon as everything is known that spans are read with (``SPAN_STRUCTS``), before all other
    layouts are checked. It is not where those of spans differ from the table.

    Raises:
        ExecutableError: no executable was found, it is not a Go program, or it is not the one that made the core.
        LayoutError: no layout table fits.
        EvidenceError: the core lacks what nothing can do without (moduledata, ``runtime.mheap_``).
    """
    if isinstance(executable, Executable):
        exe, found_by = executable, "running process"
    elif executable is not None:
        exe, found_by = Executable.open(executable), "given"
    else:
        exe, found_by = _find_executable(core)
    if exe.arch != core.elf.machine:
        raise ExecutableError(
            f"{exe.path} is a program for {exe.arch}, the core is of a process on {core.elf.machine}",
            "give the executable that made this core",
        )
    exe, found_by = _with_runtime(core, exe, found_by)
    bias = _bias(core, exe)
    _check_build(core, exe, bias)
    memory = core.memory
    lay_file(memory, exe.elf, bias)
    static = exe.module
    modules = read_modules(memory, static.address + bias, exe.module_layout)
    if not modules:
        raise EvidenceError(
            "the module data of the program is not in this core",
            "take the core again with the default filter (gcore PID writes all private memory)",
        )
    want = static.rebase(bias)
    if (modules[0].text, modules[0].etext, modules[0].types, modules[0].etypes) != (
        want.text, want.etext, want.types, want.etypes
    ):  # fmt: skip
        raise ExecutableError(
            f"{exe.path} is not the executable that made this core: its module data differ",
            "give the very file that ran (same build); `file CORE` and NT_FILE name its path",
        )
    warnings: list[str] = []
    plugins = attach(core, modules[1:], warnings)
    _other_heaps(core, [exe.path, *(one.elf.path for one in plugins)], warnings)
    dwarf = Dwarf.from_elf(exe.elf) if exe.has_dwarf else None
    layouts = load(exe.go_version, exe.arch)
    types = TypeReader(memory, modules, series=exe.series, swiss_maps=exe.swiss_maps)
    globals_ = {name: address + bias for name, address in runtime_globals(exe).items()}
    if "runtime.mheap_" not in globals_:
        raise ExecutableError(
            f"runtime.mheap_ cannot be found in {exe.path}: it has no symbols and its code could not be decoded",
            "install the disassembler (pip install 'mapscope[asm]') or give the unstripped executable",
        )
    process = Process(
        core, exe, found_by, bias, memory, modules, layouts, types, globals_, exe.go_version, dwarf, core.missing, (),
        plugins,
    )  # fmt: skip
    if begin is not None and (dwarf is None or not check_against_dwarf(layouts, dwarf, SPAN_STRUCTS)):
        begin(process)
    return replace(process, layouts=chosen_layouts(exe, dwarf, warnings), warnings=tuple(warnings))


def _other_heaps(core: Core, known: list[Path], warnings: list[str]) -> None:
    """Warns of Go libraries that are no module of the runtime that is read."""
    mine = {path.resolve() for path in known}
    others = [str(one.path) for one in _go_libraries(core) if one.path.resolve() not in mine]
    if others:
        warnings.append(
            "Go libraries with a runtime and heap of their own are loaded in the same process; nothing of them is in "
            f"this report: {', '.join(others)}"
        )


def chosen_layouts(exe: Executable, dwarf: Dwarf | None, warnings: list[str]) -> Layouts:
    """The layout table of the release, checked against the executable's DWARF where it has one."""
    layouts = load(exe.go_version, exe.arch)
    differences = check_against_dwarf(layouts, dwarf) if dwarf is not None else []
    if differences and dwarf is not None:
        warnings.append(
            f"the layout table of {layouts.used_series} and the executable's DWARF differ in {len(differences)} places "
            f"({differences[0]}): DWARF is followed"
        )
        layouts = layouts.with_dwarf(dwarf)
    elif not layouts.exact:
        warnings.append(
            f"no layout table for {exe.go_version} on {exe.arch}: that of {layouts.used_series} is used; spans, counts "
            "and headers passed the self-check, but treat every figure with care"
        )
    return layouts


def _find_executable(core: Core) -> tuple[Executable, str]:
    """The program among the mapped files (NT_FILE lists it first), else a file of its name or of its build id.

    Where that is no Go program, one of the libraries that are mapped: C programs can load Go (-buildmode=c-shared).
    """
    tried: list[str] = []
    failure: MapscopeError | None = None
    for path, found_by in _candidates(core):
        if path in tried:
            continue
        tried.append(path)
        if len(tried) > _MAX_CANDIDATES:
            break
        try:
            return Executable.open(path), found_by
        except MapscopeError as error:
            failure = failure or error
    libraries = [*_go_libraries(core)] if tried and Path(tried[0]).is_file() else []
    if len(libraries) > 1:
        raise ExecutableError(
            f"{core.path}: {len(libraries)} Go libraries are loaded, each with a heap of its own: "
            + ", ".join(str(one.path) for one in libraries),
            "give the one to look at: mapscope analyze CORE LIBRARY",
        )
    if libraries:
        return libraries[0], "NT_FILE"
    if not tried:
        cut = " (it is cut short)" if any("cut short" in sentence for sentence in core.missing) else ""
        raise ExecutableError(
            f"{core.path}: the core does not name its executable{cut}", "give it: mapscope analyze CORE EXECUTABLE"
        )
    raise ExecutableError(
        f"the executable of this core, {tried[0]}, cannot be used: {failure}",
        "give it: mapscope analyze CORE EXECUTABLE",
    )


def _go_libraries(core: Core) -> Iterator[Executable]:
    """The libraries with a Go runtime among the mapped files."""
    for row in [row for row in core.executable_mappings() if ".so" in Path(row.path).name][:_MAX_LIBRARIES]:
        if not Path(row.path).is_file():
            continue
        try:
            exe = Executable.open(row.path)
            complete = exe.build_settings.get("-buildmode") != "plugin" and exe.functions.index_of(_RUNTIME) >= 0
        except MapscopeError:
            continue
        if complete:
            yield exe


def _candidates(core: Core) -> Iterator[tuple[str, str]]:
    """Paths to try, with the words for how each was found."""
    rows = [
        row
        for row in core.executable_mappings()
        if not row.path.startswith(("/dev/", "/memfd:")) and ".so" not in Path(row.path).name
    ]
    for row in rows:
        yield row.path, "NT_FILE"
    for row in rows[:2]:
        beside = core.path.parent / Path(row.path).name
        if beside.is_file():
            yield str(beside), "beside the core"
        build_id = mapped_build_id(core.memory, row.start)
        if build_id:
            debug = Path("/usr/lib/debug/.build-id") / build_id[:2] / f"{build_id[2:]}.debug"
            if debug.is_file():
                yield str(debug), "build id"


def _with_runtime(core: Core, exe: Executable, found_by: str) -> tuple[Executable, str]:
    """The file that holds the runtime, from which all modules are reached.

    The program, unless it was linked against a library that holds it (-linkshared).
    """
    if exe.build_settings.get("-buildmode") == "plugin":
        raise ExecutableError(
            f"{exe.path} is no program but a part of one (-buildmode=plugin)",
            "give the program that loaded it; the files of its plugins are found from the core",
        )
    if exe.functions.index_of(_RUNTIME) >= 0:
        return exe, found_by
    for library in _go_libraries(core):
        return library, "NT_FILE"
    raise ExecutableError(
        f"{exe.path} does not hold the Go runtime (it was linked with -linkshared), and no library that does is found",
        "put the library that it was linked against back in the place that NT_FILE names",
    )


def _bias(core: Core, exe: Executable) -> int:
    """Run-time minus static address: from the process's entry point (AT_ENTRY), else from the mapping of the file.

    A Go library in a program of another language (-buildmode=c-shared) has only the mapping.
    """
    if exe.elf.kind == "EXEC":
        return 0
    own = [row for row in core.executable_mappings() if Path(row.path).name == exe.path.name]
    # two files of one name: the path tells them apart, or else their build ids
    own.sort(
        key=lambda row: (row.path != str(exe.path.absolute()), differs(core, exe.elf, load_bias(exe.elf, row.start)))
    )
    entered = next((row for row in core.mappings if row.start <= core.entry < row.end), None)
    if core.entry and (not own or entered is None or Path(entered.path).name == exe.path.name):
        return core.entry - exe.elf.entry
    if own:
        return load_bias(exe.elf, own[0].start)
    raise ExecutableError(
        f"where {exe.path} was loaded is not in this core (no auxiliary vector and no NT_FILE row)",
        "take the core again with gcore",
    )


def _check_build(core: Core, exe: Executable, bias: int) -> None:
    """Compares the build ids in the core's own image of the file with the file's, where the core has them."""
    if differs(core, exe.elf, bias):
        raise ExecutableError(
            f"{exe.path} is not the executable that made this core: the build ids differ",
            "give the very file that ran (same build); NT_FILE names its path",
        )


__all__ = ["FormatError", "Process", "open_process"]
