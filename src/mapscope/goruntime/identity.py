"""Which process and which program a piece of evidence is of, so that two pieces can be told to show the same one."""

from __future__ import annotations

import struct

from msgspec import Struct

from mapscope.evidence.core import NT_AUXV
from mapscope.goruntime.process import Process

_AT_NULL = 0
_AT_RANDOM = 25
_RANDOM_BYTES = 16


class Identity(Struct, frozen=True):
    """Compare two with :meth:`same_process` and :meth:`same_build`."""

    program: str
    """Import path of the main package, ``command-line-arguments`` for loose files; empty where it is not known."""
    build: str
    """Build id of the executable; empty where it has none."""
    pid: int | None
    modules: tuple[int, ...]
    """Where the text and the data of each module lie in the process."""
    start: tuple[tuple[int, int], ...]
    """The auxiliary vector: where the kernel put stack, vdso and program when it started the process. Empty where it is
    missing: in a heap dump."""
    random: bytes
    """What AT_RANDOM points to. The runtime clears it before ``main`` from Go 1.22 on, and so does
    ``mapscope redact``; empty where it is cleared or missing."""

    def same_build(self, other: Identity) -> bool:
        """Whether both come from one executable."""
        return bool(self.build) and self.build == other.build

    def same_process(self, other: Identity) -> bool:
        """Whether both are of one process: a process id alone comes again, and is 1 in every container."""
        return (
            self.same_build(other)
            and self.pid == other.pid
            and self.modules == other.modules
            and (not self.start or not other.start or self.start == other.start)
            and (not self.random or not other.random or self.random == other.random)
        )


def identify(process: Process) -> Identity:
    """The identity of an opened process."""
    core, exe = process.core, process.executable
    notes = core.elf.notes if core is not None else ()
    start: tuple[tuple[int, int], ...] = ()
    for note in notes:
        if note.name == "CORE" and note.type == NT_AUXV:
            words = struct.unpack_from(f"<{len(note.desc) // 8}Q", note.desc)
            pairs = list(zip(words[::2], words[1::2], strict=False))
            end = next((at for at, (kind, _) in enumerate(pairs) if kind == _AT_NULL), len(pairs))
            start = tuple(pairs[:end])
    place = dict(start).get(_AT_RANDOM, 0)
    random = process.memory.read(place, _RANDOM_BYTES) if place else None
    return Identity(
        program=exe.build_info.path,
        build=exe.elf.build_id or exe.elf.go_build_id or "",
        pid=process.evidence.pid,
        modules=tuple(address for module in process.modules for address in (module.text, module.data)),
        start=start,
        random=random if random is not None and any(random) else b"",
    )
