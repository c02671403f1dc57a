"""Copies memory of a process into a file: many ranges with one system call, the disk beside it and not in between.

The process stands still only for the copy from memory to memory. Where the buffers hold all of it, writing begins when
the process runs again; where they do not, a second thread writes while the first one copies.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct, field

from mapscope.evidence import procfs
from mapscope.evidence.corewriter import HUGE_PAGE, Segment
from mapscope.evidence.plan import Plan
from mapscope.evidence.procfs import PAGE
from mapscope.evidence.ptrace import IoVec

CHUNK = 16 << 20
"""Bytes of one buffer: what one system call copies at most."""
_MIN_CHUNKS = 4
_MAX_VECTORS = 1024
"""IOV_MAX of Linux (include/uapi/linux/uio.h)."""
_SHARE = 0.5
"""Part of the available memory that buffers may take."""
_POPULATE_WRITE = 23
"""MADV_POPULATE_WRITE (Linux 5.14): the pages are there before the pause, not faulted in during it."""

Write = Callable[[memoryview, int], None]
"""Called with bytes and their offset in the core."""
Piece = tuple[int, int, int, bool]
"""Bytes in a buffer: place, offset in the core, size, and whether they may be left out where they are zeros."""


class _Batch(Struct):
    """What is to be in one buffer: (segment, address, size), one behind the other."""

    pieces: list[tuple[Segment, int, int]] = field(default_factory=list)
    size: int = 0


class Held(Struct, frozen=True):
    """One buffer whose content is not for the writer yet."""

    number: int
    pieces: list[tuple[int, int, int]]
    """(place in the buffers, address, bytes)"""


class Buffers:
    """The memory between process and file, made before the pause."""

    def __init__(self, wanted: int) -> None:
        """``wanted`` bytes, or as many as there is room for."""
        room = int(available_bytes() * _SHARE)
        count = max(_MIN_CHUNKS, min(-(-wanted // CHUNK) + 2, room // CHUNK))  # not all become full
        self.size = count * CHUNK
        self._area = mmap.mmap(-1, self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for advice in (getattr(mmap, "MADV_HUGEPAGE", 14), _POPULATE_WRITE):
            try:
                self._area.madvise(advice)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS):  # an old kernel: faulted in when used
                    raise
        self.view = memoryview(self._area)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._area))
        self.free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(count):
            self.free.put(number)


class Copier:
    """Copies plans. ``copy`` while the process stands still, ``finish`` behind that; ``close`` in any case."""

    def __init__(self, pid: int, buffers: Buffers, write: Write, check: Callable[[], None]) -> None:
        """``check`` is called before each system call and may raise."""
        self._pid = pid
        self._buffers = buffers
        self._write = write
        self._check = check
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.process_vm_readv.restype = ctypes.c_ssize_t
        self._memory = os.open(procfs.task_folder(pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)
        self._full: queue.SimpleQueue[tuple[int, list[Piece]] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.read = 0
        """Bytes that were read."""
        self.written = 0
        """Bytes that the writer is done with."""

    def copy(self, plans: Sequence[Plan]) -> None:
        """Reads all ranges; what cannot be read is noted in ``segment.missing``.

        Raises what ``check`` or the writer raised, and ProcessLookupError when the process is gone.
        """
        for batch in _batches(plans):
            self._check()
            number = self._free_buffer()
            pieces = self._fill(batch, number * CHUNK)
            if pieces:
                self._full.put((number, pieces))
            else:
                self._buffers.free.put(number)

    @property
    def room(self) -> int:
        """Bytes that can be read without waiting for the writer."""
        return self._buffers.free.qsize() * CHUNK

    def hold(self, plans: Sequence[Plan]) -> list[Held]:
        """Reads ranges and keeps them, as many as leave one buffer free; the offset of each segment is its address.

        What cannot be read is not in what is held. Raises as :meth:`copy` does.
        """
        held = []
        for batch in _batches(plans):
            if self._buffers.free.qsize() <= 1:  # the last one is for the stop, or nobody would ever free one
                break
            self._check()
            number = self._free_buffer()
            pieces = self._fill(batch, number * CHUNK)
            held.append(Held(number, [(place, address, size) for place, address, size, _ in pieces]))
        return held

    def drop(self, held: Sequence[Held]) -> None:
        """Forgets what was held."""
        self.write_held(held, [[] for _ in held])

    def write_held(self, held: Sequence[Held], pieces: Sequence[list[Piece]]) -> None:
        """Hands ``pieces`` of each held buffer to the writer, and gives up the rest of it."""
        for each, wanted in zip(held, pieces, strict=True):
            self.read -= sum(size for _, _, size in each.pieces) - sum(size for _, _, size, _ in wanted)
            if wanted:
                self._full.put((each.number, wanted))
            else:
                self._buffers.free.put(each.number)

    def finish(self, tick: Callable[[], None] | None = None) -> None:
        """Waits until all is written. ``tick`` is called now and then."""
        self._start()
        self._full.put(None)
        assert self._writer is not None
        while self._writer.is_alive():
            self._writer.join(0.05)
            if tick:
                tick()
        if self._failure:
            raise self._failure

    def close(self) -> None:
        """Ends the writer and gives the file descriptor back."""
        if self._writer is not None and self._writer.is_alive():
            self._failure = self._failure or InterruptedError()
            self._full.put(None)
            self._writer.join()
        os.close(self._memory)

    def _free_buffer(self) -> int:
        """A buffer, waiting for the writer when there is none left."""
        try:
            return self._buffers.free.get_nowait()
        except queue.Empty:
            self._start()
        while True:
            self._check()
            if self._failure:
                raise self._failure
            try:
                return self._buffers.free.get(timeout=0.01)
            except queue.Empty:
                continue

    def _start(self) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="mapscope-writer", daemon=True)
            self._writer.start()

    def _write_all(self) -> None:
        while (item := self._full.get()) is not None:
            number, pieces = item
            try:
                if not self._failure:
                    self._write_pieces(pieces)
            except OSError as error:
                self._failure = error
            self._buffers.free.put(number)

    def _write_pieces(self, pieces: list[Piece]) -> None:
        for at, offset, size, sparse in pieces:
            data = self._buffers.view[at : at + size]
            if not sparse or np.frombuffer(data, dtype=np.uint8).any():
                self._write(data, offset)
            self.written += size

    def _fill(self, batch: _Batch, at: int) -> list[Piece]:
        """Reads a batch to byte ``at`` of the buffers; answers (place, offset in core, size, shared) of each piece."""
        filled: list[Piece] = []
        for first in range(0, len(batch.pieces), _MAX_VECTORS):
            pieces = batch.pieces[first : first + _MAX_VECTORS]
            whole = self._read_all(pieces, at)
            for segment, address, size in pieces:
                if whole:
                    _append(filled, at, segment, address, size)
                else:
                    self._fill_one(filled, segment, address, size, at)
                at += size
        return filled

    def _fill_one(self, filled: list[Piece], segment: Segment, address: int, size: int, at: int) -> None:
        """One piece by itself, as far as it can be read."""
        for start, length, have in self._read_piece(address, size, at):
            if have:
                _append(filled, at + start - address, segment, start, length)
            else:
                add_missing(segment, start, start + length)

    def _read_all(self, pieces: Sequence[tuple[Segment, int, int]], at: int) -> bool:
        total = sum(size for _, _, size in pieces)
        here = IoVec(self._buffers.address + at, total)
        there = (IoVec * len(pieces))(*(IoVec(address, size) for _, address, size in pieces))
        count = self._read_vectors(here, there, len(pieces))
        if count == total:
            self.read += count
            return True
        return False

    def _read_vectors(self, here: IoVec, there: ctypes.Array[IoVec], count: int) -> int:
        got = self._libc.process_vm_readv(
            self._pid, ctypes.byref(here), ctypes.c_ulong(1), there, ctypes.c_ulong(count), ctypes.c_ulong(0)
        )
        if got < 0 and ctypes.get_errno() == errno.ESRCH:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return int(got)

    def _read_piece(self, start: int, size: int, at: int) -> Iterator[tuple[int, int, bool]]:
        """(address, bytes, whether they are in the buffer at their place), over [start, start + size)."""
        cursor, end, step = start, start + size, size
        while cursor < end:
            length = min(step, end - cursor)
            got = self._read_once(cursor, length, at + cursor - start)
            if got == 0 and length > PAGE:
                step = PAGE  # find the page that cannot be read, one at a time
                continue
            whole = got // PAGE * PAGE if got < length else got
            self.read += whole
            yield cursor, whole or length, whole > 0
            cursor += whole or length
            step = end - cursor if whole else PAGE

    def _read_once(self, address: int, size: int, at: int) -> int:
        """Bytes read to byte ``at`` of the buffers; 0 when the first page cannot be read."""
        here = IoVec(self._buffers.address + at, size)
        got = self._read_vectors(here, (IoVec * 1)(IoVec(address, size)), 1)
        if got > 0:
            return got
        try:
            return os.preadv(self._memory, [self._buffers.view[at : at + size]], address)
        except OSError as error:
            if error.errno in (errno.EIO, errno.EFAULT, errno.ENXIO):
                return 0
            raise


def _append(filled: list[Piece], at: int, segment: Segment, address: int, size: int) -> None:
    """One more piece; joined with the one before it where both lie side by side in buffer and core."""
    offset = segment.offset + address - segment.mapping.start
    shared = segment.mapping.shared
    if filled and not shared and not filled[-1][3]:
        place, before, length, _ = filled[-1]
        if place + length == at and before + length == offset:
            filled[-1] = (place, before, length + size, False)
            return
    filled.append((at, offset, size, shared))


def _batches(plans: Sequence[Plan]) -> Iterator[_Batch]:
    """All ranges, cut and gathered so that each batch fits one buffer.

    What is cut is cut between huge pages, of the memory and of the file (see CoreLayout.place): the kernel keeps a file
    in such pages only where they are written whole.
    """
    batch = _Batch()
    for plan in plans:
        for start, end in plan.ranges:
            while start < end:
                size = min(end - start, CHUNK - batch.size)
                over = (start + size) % HUGE_PAGE
                if size < end - start and over < size:
                    size -= over
                batch.pieces.append((plan.segment, start, size))
                batch.size += size
                start += size
                if start < end or batch.size == CHUNK:
                    yield batch
                    batch = _Batch()
    if batch.pieces:
        yield batch


def add_missing(segment: Segment, start: int, end: int) -> None:
    """Notes that [start, end) could not be read."""
    if segment.missing and segment.missing[-1][1] == start:
        start = segment.missing.pop()[0]
    segment.missing.append((start, end))


def available_bytes() -> int:
    """``MemAvailable`` of the machine, or what the memory cgroup leaves where that is less."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    available = next((int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("MemAvailable:")), 0)
    left = procfs.cgroup_memory_left(os.getpid())
    return available if left is None else min(available, left)
