"""Which pages a process has written since a moment that we choose: the soft-dirty bits of Linux.

Documentation/admin-guide/mm/soft-dirty.rst and pagemap.rst. Needs ``CONFIG_MEM_SOFT_DIRTY``, which many kernels are
built without. Clearing the bits write-protects every page of the process, so that the next write to each is a page
fault that sets its bit; a mapping made afterwards counts as written as a whole (``VM_SOFTDIRTY``). Errors of the file
system reach the caller as OSError.
"""

from __future__ import annotations

import functools
import mmap
import os
import struct
from collections.abc import Iterable

import numpy as np

from mapscope.evidence import ranges
from mapscope.evidence.procfs import PAGE, Mapping, task_folder
from mapscope.evidence.ranges import Ranges

_CLEAR = b"4"
"""What clear_refs takes for the soft-dirty bits and nothing else (``CLEAR_REFS_SOFT_DIRTY``, fs/proc/task_mmu.c)."""
_SOFT_DIRTY = 1 << 55
_EXCLUSIVE = 1 << 56
_FILE_OR_SHARED = 1 << 61
_SWAPPED = 1 << 62
_PRESENT = 1 << 63
_ASKED = np.uint64(_SOFT_DIRTY | _EXCLUSIVE | _FILE_OR_SHARED | _SWAPPED | _PRESENT)
_UNCHANGED = np.uint64(_PRESENT | _EXCLUSIVE)
_CHUNK = 1 << 17
"""Entries read at once."""
_NEAR = 4 << 20
"""Ranges that are closer are asked for together."""


@functools.cache
def tracked() -> bool:
    """Whether this kernel tracks soft-dirty pages: tried on one page of our own, before a write and behind it.

    Clears the soft-dirty bits of this process.
    """
    with mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area[0] = 1
        address = int(np.frombuffer(area, dtype=np.uint8).ctypes.data)
        try:
            clear(os.getpid())
            before = _entries(os.getpid(), [address])
            area[0] = 2
            behind = _entries(os.getpid(), [address])
        except OSError:
            return False
    return not before[0] & _SOFT_DIRTY and bool(behind[0] & _SOFT_DIRTY)


def clear(pid: int) -> None:
    """From here on pages are noted that the process writes. It goes on meanwhile."""
    descriptor = os.open(task_folder(pid) / "clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, _CLEAR)
    finally:
        os.close(descriptor)


def in_use(pid: int, maps: Iterable[Mapping]) -> bool:
    """Whether somebody has cleared the bits of the process before, and may rely on them: CRIU, or a capture.

    Every mapping counts as written from its making on; where one of a file (the program's text) does not, they were
    cleared. The stack tells nothing: it loses that mark when the program starts (``setup_arg_pages``, fs/exec.c).
    """
    asked = [each.start for each in maps if not each.shared and each.has_file]
    return any(not entry & _SOFT_DIRTY for entry in _entries(pid, asked))


def _entries(pid: int, addresses: Iterable[int]) -> list[int]:
    """The entries of pagemap for the pages at these addresses; those of no mapping are left out."""
    descriptor = os.open(task_folder(pid) / "pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = [os.pread(descriptor, 8, address // PAGE * 8) for address in addresses]
    finally:
        os.close(descriptor)
    return [struct.unpack("<Q", raw)[0] for raw in found if len(raw) == 8]


def unchanged(pid: int, asked: Ranges) -> Ranges:
    """Pages of ``asked``, private anonymous memory, that hold what they held when the bits were cleared.

    Only what is certain: a page of this process alone, in memory, not written. One that is swapped out or shared with
    a child may be unchanged too, and is left out; so is the kernel's page of zeros, which has no bit set when it came
    into the place of another page (MADV_DONTNEED and a read; so seen on Linux 6.1).
    """
    descriptor = os.open(task_folder(pid) / "pagemap", os.O_RDONLY | os.O_CLOEXEC)
    found = []
    try:
        for start, end in ranges.near(asked, _NEAR).tolist():
            for base in range(start, end, _CHUNK * PAGE):
                raw = os.pread(descriptor, (min(end, base + _CHUNK * PAGE) - base) // PAGE * 8, base // PAGE * 8)
                entries = np.frombuffer(raw[: len(raw) // 8 * 8], dtype="<u8")
                found.append(ranges.pages((entries & _ASKED) == _UNCHANGED, base, PAGE))
    finally:
        os.close(descriptor)
    return ranges.intersect(ranges.union(found), asked)
