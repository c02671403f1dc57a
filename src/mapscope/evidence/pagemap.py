"""Which pages of a process are resident: ``/proc/PID/pagemap``.

Formats: proc_pid_pagemap(5) and Documentation/admin-guide/mm/pagemap.rst of Linux. Errors of the file system reach the
caller as OSError.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator

import numpy as np

from mapscope.evidence.procfs import PAGE, task_folder

_CHUNK = 1 << 17
"""Entries read at once: 1 MB, for 512 MB of address space."""
_PRESENT_OR_SWAPPED = np.uint64(0b11 << 62)
_FILE_OR_SHARED = np.uint64(1 << 61)
_GUARD_REGION = np.uint64(1 << 58)
"""Since Linux 6.15; 0 before."""

_SCAN = 0xC0606610
"""PAGEMAP_SCAN (Linux 6.7, include/uapi/linux/fs.h)."""
_ARGUMENTS = struct.Struct("<12Q")
_FILE, _PRESENT, _SWAPPED, _ZERO, _GUARD = 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 8
_REGIONS = 4096
_UNKNOWN = {errno.ENOTTY, errno.EINVAL, errno.ENOSYS}

Run = tuple[int, int]


class Pagemap:
    """The pages of one process. Needs the right to trace it."""

    def __init__(self, pid: int, *, scan: bool = True) -> None:
        """``scan``: ask the kernel for ranges where it knows how; else every page's entry is read."""
        self._fd = os.open(task_folder(pid) / "pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._scan = scan
        self._guard = _GUARD
        self._regions = np.zeros((_REGIONS, 3), dtype=np.uint64)

    def close(self) -> None:
        """Gives the file descriptor back."""
        os.close(self._fd)

    def runs(self, start: int, end: int, *, private_only: bool = False) -> Iterator[Run]:
        """Address ranges within [start, end) whose pages are in memory or swapped out.

        ``private_only`` leaves out pages that still are those of a file or of shared memory: what remains was written
        by the process itself. Pages that somebody only read, and that are the kernel's one page of zeros, are left out
        where the kernel can tell (Linux 6.7); so are pages that nobody may touch (``MADV_GUARD_INSTALL``, with which
        glibc guards the stacks of threads from 2.42 on): they count as swapped, and cannot be read.
        """
        while self._scan:
            try:
                yield from _joined(self._scanned(start, end, _ZERO | self._guard | (_FILE if private_only else 0)))
            except OSError as error:
                if error.errno not in _UNKNOWN:
                    raise
                # the first call already fails on a kernel without it: nothing was handed out yet
                if self._guard and error.errno == errno.EINVAL:
                    self._guard = 0
                else:
                    self._scan = False
            else:
                return
        yield from _joined(self._read(start, end, private_only))

    def _scanned(self, start: int, end: int, without: int) -> Iterator[Run]:
        """Fewer ranges than there is room for mean that the walk came to its end.

        ``walk_end`` is no help: behind more than 512 ranges it can be where the kernel's own buffer was full once,
        far before the last range (fs/proc/task_mmu.c: do_pagemap_scan, seen on Linux 6.18).
        """
        while start < end:
            values = (
                *(_ARGUMENTS.size, 0, start, end, 0, self._regions.ctypes.data, _REGIONS, 0),
                *(without, without, _PRESENT | _SWAPPED, _PRESENT),
            )
            buffer = bytearray(_ARGUMENTS.pack(*values))
            found = fcntl.ioctl(self._fd, _SCAN, buffer)
            ranges = self._regions[:found, :2].tolist()
            yield from map(tuple, ranges)
            if found < _REGIONS:
                return
            start = max(int(ranges[-1][1]), start + PAGE)

    def _read(self, start: int, end: int, private_only: bool) -> Iterator[Run]:
        for base in range(start, end, _CHUNK * PAGE):
            stop = min(end, base + _CHUNK * PAGE)
            raw = os.pread(self._fd, (stop - base) // PAGE * 8, base // PAGE * 8)
            entries = np.frombuffer(raw[: len(raw) // 8 * 8], dtype="<u8")
            here = ((entries & _PRESENT_OR_SWAPPED) != 0) & ((entries & _GUARD_REGION) == 0)
            if private_only:
                here &= (entries & _FILE_OR_SHARED) == 0
            edges = np.flatnonzero(np.diff(here, prepend=False, append=False))
            for first, last in edges.reshape(-1, 2).tolist():
                yield base + first * PAGE, base + last * PAGE


def _joined(runs: Iterator[Run]) -> Iterator[Run]:
    """Neighbours become one."""
    pending: Run | None = None
    for start, end in runs:
        if pending and pending[1] == start:
            pending = (pending[0], end)
            continue
        if pending:
            yield pending
        pending = (start, end)
    if pending:
        yield pending
