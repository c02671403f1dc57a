"""Writes the redacted core: the segments of the whole one, with the words that stay and nothing else."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mapscope.errors import EvidenceError
from mapscope.evidence import corewriter
from mapscope.evidence.core import AMD64_REGISTERS, ARM64_REGISTERS, NT_AUXV, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, Core
from mapscope.evidence.corewriter import CoreLayout, Segment
from mapscope.evidence.memory import CHUNK_SHIFT, PAGE
from mapscope.evidence.privatefile import PrivateFile
from mapscope.evidence.procfs import Mapping
from mapscope.evidence.redaction import NT_REDACTED, OWNER, Redaction
from mapscope.goruntime.process import Process
from mapscope.redact.words import STAYS, Words

PIECE = 4 << 20
NT_PRFPREG = 2
_REGISTERS_AT = 112
_PSARGS_AT = 56
_MACHINES = {"amd64": 62, "arm64": 183}
_SELECTORS = frozenset({"cs", "ss", "ds", "es", "fs", "gs", "orig_rax"})
_PLACES = frozenset({"rip", "rsp", "rbp", "sp", "pc", "x29", "x30"})
_PF_W = 2
_HIGH = 1 << 32


def write(
    core: Core,
    process: Process,
    words: Words,
    redaction: Redaction,
    target: Path,
    overwrite: bool,
    said: Callable[[int, int], None],
) -> int:
    """Writes ``target``; answers its bytes on disk. ``said`` gets the bytes done and the bytes to do.

    EvidenceError where it exists, or cannot be written; nothing is left behind then.
    """
    same = target.exists() and core.path.exists() and target.samefile(core.path)
    if same or (target.exists() and not overwrite):
        hint = "name another file" if same else "name another file, or allow it to be overwritten"
        raise EvidenceError(f"{target} exists already", hint)
    segments = _segments(core, process, words)
    layout = CoreLayout(_MACHINES[core.elf.machine], _notes(core, redaction), segments)
    try:
        with PrivateFile(target) as file:
            os.ftruncate(file.fd, layout.size)
            _put(file.fd, layout.headers(), 0)
            _copy(core, words, segments, file.fd, said)
            _put(file.fd, layout.trailer(), layout.size)
            size = os.fstat(file.fd).st_blocks * 512
            file.keep(overwrite=overwrite)
    except FileExistsError:
        raise EvidenceError(f"{target} exists already", "name another file") from None
    except OSError as error:
        raise _explained(error, target) from error
    return size


def _explained(error: OSError, target: Path) -> EvidenceError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return EvidenceError(
        f"cannot write {target}: {error.strerror or error}",
        "name a file on a disk with more room; nothing was left behind" if full else "name a file in a folder of yours",
    )


def _segments(core: Core, process: Process, words: Words) -> list[Segment]:
    """The segments of the core. What the executable itself holds is left out but for the page with its headers."""
    exe = process.executable.elf
    length = len(core.elf.mapping)
    fixed = [
        (s.vaddr + process.bias, s.vaddr + process.bias + s.memsz) for s in exe.segments if not s.flags & _PF_W
    ]  # fmt: skip
    out = []
    for one in core.elf.segments:
        there = max(0, min(one.filesz, length - one.offset, one.memsz))
        rights = "".join(c if one.flags & bit else "-" for c, bit in (("r", 4), ("w", 2), ("x", 1))) + "p"
        if not one.flags & _PF_W and any(low < one.vaddr + one.memsz and one.vaddr < high for low, high in fixed):
            there = min(there, PAGE) if _headers(process, words, one.vaddr) else 0
        mapping = Mapping(one.vaddr, one.vaddr + one.memsz, rights, 0, "", 0, "")
        out.append(Segment(mapping, there))
    return out


def _headers(process: Process, words: Words, start: int) -> bool:
    """Marks the words of the page at ``start`` that are the executable's own; False where it has no ELF header."""
    here = process.memory.read(start, PAGE)
    there = process.executable.elf.read(start - process.bias, PAGE)
    if here is None or there is None or here[:4] != b"\x7fELF":
        return False
    same = np.frombuffer(here, dtype="<u8") == np.frombuffer(there, dtype="<u8")
    words.mark(np.uint64(start) + np.flatnonzero(same).astype(np.uint64) * np.uint64(8), STAYS)
    return True


def _notes(core: Core, redaction: Redaction) -> bytes:
    """Threads, files and auxiliary vector; no arguments, no vector registers, none of the kernel's other notes."""
    parts = []
    for note in core.elf.notes:
        if note.name != "CORE":
            continue
        if note.type == NT_PRSTATUS:
            parts.append(corewriter.note(NT_PRSTATUS, _status(core, note.desc)))
        elif note.type == NT_PRPSINFO:
            parts.append(corewriter.note(NT_PRPSINFO, note.desc[:_PSARGS_AT].ljust(len(note.desc), b"\0")))
        elif note.type == NT_PRFPREG:
            parts.append(corewriter.note(NT_PRFPREG, bytes(len(note.desc))))
        elif note.type in (NT_AUXV, NT_FILE):
            parts.append(corewriter.note(note.type, note.desc))
    parts.append(corewriter.note(NT_REDACTED, redaction.encode(), OWNER.encode()))
    return b"".join(parts)


def _status(core: Core, description: bytes) -> bytes:
    """``elf_prstatus`` with the registers that point into a mapping; small values only where they are places."""
    names = AMD64_REGISTERS if core.elf.machine == "amd64" else ARM64_REGISTERS
    end = _REGISTERS_AT + 8 * len(names)
    if len(description) < end:
        return bytes(len(description))
    values = struct.unpack_from(f"<{len(names)}Q", description, _REGISTERS_AT)
    starts = np.sort(
        np.array([[s.vaddr, min(s.vaddr + s.memsz, (1 << 64) - 1)] for s in core.elf.segments], dtype=np.uint64),
        axis=0,
    )
    at = np.array(values, dtype=np.uint64)
    row = np.searchsorted(starts[:, 0], at, side="right") - 1
    mapped = ((row >= 0) & (at < starts[row, 1])).tolist()
    kept = [
        value if name in _SELECTORS or (there and (value >= _HIGH or name in _PLACES)) else 0
        for name, value, there in zip(names, values, mapped, strict=True)
    ]
    return description[:_REGISTERS_AT] + struct.pack(f"<{len(names)}Q", *kept) + description[end:]


def _copy(
    core: Core, words: Words, segments: list[Segment], file: int, said: Callable[[int, int], None]
) -> None:  # fmt: skip
    total = sum(extent.size for extent in core.memory.extents if extent.buffer == 0 and extent.offset >= 0)
    done = 0
    for segment, address, size in _pieces(core, segments):
        data = core.memory.view(address, size & ~7)
        kept = words.filtered(address, np.frombuffer(data.tobytes(), dtype="<u8"))
        for first, last in _pages(kept):
            _put(file, kept[first:last].tobytes(), segment.offset + address + 8 * first - segment.mapping.start)
        done += size
        said(done, total)


def _pieces(core: Core, segments: list[Segment]) -> Iterator[tuple[Segment, int, int]]:
    """Runs of bytes of the whole core, each in one segment and one chunk of the page table."""
    ordered = sorted((s for s in segments if s.file_bytes), key=lambda s: s.mapping.start)
    at = 0
    for extent in core.memory.extents:
        if extent.buffer != 0 or extent.offset < 0 or extent.end > 1 << 48:
            continue
        while at < len(ordered) and ordered[at].mapping.start + ordered[at].file_bytes <= extent.start:
            at += 1
        for segment in ordered[at:]:
            if segment.mapping.start >= extent.end:
                break
            low = max(extent.start, segment.mapping.start)
            high = min(extent.end, segment.mapping.start + segment.file_bytes)
            while low < high:
                end = min(high, low + PIECE, ((low >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT)
                yield segment, low, end - low
                low = end


def _pages(kept: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> Iterator[tuple[int, int]]:
    """Runs of words (first, last) over the pages that are not empty."""
    unit = PAGE // 8
    padded = np.zeros(-(-len(kept) // unit) * unit, dtype=np.uint64)
    padded[: len(kept)] = kept
    used = padded.reshape(-1, unit).any(axis=1)
    edges = np.flatnonzero(np.diff(used, prepend=False, append=False))
    for first, last in edges.reshape(-1, 2).tolist():
        yield first * unit, min(last * unit, len(kept))


def _put(file: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        done = os.pwrite(file, rest, offset)
        offset += done
        rest = rest[done:]
