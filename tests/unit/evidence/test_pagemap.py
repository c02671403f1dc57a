"""Resident pages, against a process that says which pages it touched."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import subprocess
import sys

import pytest

from mapscope.evidence.capture import capture
from mapscope.evidence.pagemap import _ARGUMENTS, _GUARD, _SCAN, Pagemap
from mapscope.evidence.procfs import PAGE

# Writes to some pages of an area, reads one of the others (the kernel's page of zeros), and maps a file of which it
# writes one page.
TARGET = """
import ctypes, mmap, sys
PAGE = mmap.PAGESIZE
area = mmap.mmap(-1, 4096 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.madvise(mmap.MADV_NOHUGEPAGE)
for page in (1, 2, 3, 700, 4095):
    area[page * PAGE] = 1
assert area[1000 * PAGE] == 0
with open(sys.argv[1], "w+b") as file:
    file.write(bytes(8 * PAGE))
    file.flush()
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
mapped[5 * PAGE] = 1
assert sum(mapped[page * PAGE] for page in range(8)) == 1
print(*(ctypes.addressof(ctypes.c_char.from_buffer(each)) for each in (area, mapped)), flush=True)
sys.stdin.read()
"""


# Guards some pages of an area that it has written.
GUARDED = """
import ctypes, mmap, sys
PAGE = mmap.PAGESIZE
area = mmap.mmap(-1, 64 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.madvise(mmap.MADV_NOHUGEPAGE)
area.write(b"x" * len(area))
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
libc = ctypes.CDLL(None, use_errno=True)
failed = libc.madvise(ctypes.c_void_p(start + 8 * PAGE), ctypes.c_size_t(4 * PAGE), 102)
print(start, ctypes.get_errno() if failed else 0, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def places(tmp_path):
    """PID and the addresses of the area and of the mapped file."""
    command = [sys.executable, "-c", TARGET, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        area, mapped = map(int, process.stdout.readline().split())
        yield process.pid, area, mapped
        process.kill()


def pages(pagemap: Pagemap, start: int, count: int, **how: bool) -> list[tuple[int, int]]:
    return [((a - start) // PAGE, (b - start) // PAGE) for a, b in pagemap.runs(start, start + count * PAGE, **how)]


@pytest.mark.parametrize("scan", [True, False])
def test_what_was_written_is_resident(places, scan: bool):
    pid, area, mapped = places
    pagemap = Pagemap(pid, scan=scan)
    try:
        found = pages(pagemap, area, 4096)
        zero = [(1000, 1001)] if (1000, 1001) in found else []
        assert found == sorted([(1, 4), (700, 701), *zero, (4095, 4096)])
        assert pages(pagemap, mapped, 8, private_only=True) == [(5, 6)]
        assert (5, 6) in [(a, b) for a, b in pages(pagemap, mapped, 8)] or pages(pagemap, mapped, 8) == [(0, 8)]
        if pagemap._scan:  # this kernel can tell
            assert zero == []
    finally:
        pagemap.close()


def test_a_kernel_without_the_call_is_asked_page_by_page(places, monkeypatch):
    pid, area, _ = places
    asked = []

    def unknown(fd, request, buffer):
        asked.append(request)
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr("fcntl.ioctl", unknown)
    pagemap = Pagemap(pid)
    try:
        for _ in range(2):
            assert {(1, 4), (700, 701), (4095, 4096)} <= set(pages(pagemap, area, 4096))
        assert asked == [_SCAN]
    finally:
        pagemap.close()


def test_a_kernel_that_knows_no_guards_is_asked_without(places, monkeypatch):
    pid, area, _ = places
    asked: list[int] = []
    real = fcntl.ioctl

    def older(fd, request, buffer):
        without = _ARGUMENTS.unpack(bytes(buffer))[8]
        asked.append(without)
        if without & _GUARD:
            raise OSError(22, "Invalid argument")
        return real(fd, request, buffer)

    monkeypatch.setattr("fcntl.ioctl", older)
    pagemap = Pagemap(pid)
    try:
        for _ in range(2):
            assert {(1, 4), (700, 701), (4095, 4096)} <= set(pages(pagemap, area, 4096))
        assert asked[0] & _GUARD
        assert not any(without & _GUARD for without in asked[1:])
    finally:
        pagemap.close()


@pytest.mark.parametrize("scan", [True, False])
def test_guarded_pages_are_left_out(scan: bool, tmp_path):
    """They are in no core, and nothing is said to be missing, for nothing is there."""
    with subprocess.Popen([sys.executable, "-c", GUARDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        area, error = map(int, process.stdout.readline().split())
        if error:
            process.kill()
            pytest.skip("the kernel of this machine installs no guards (MADV_GUARD_INSTALL, Linux 6.13)")
        pagemap = Pagemap(process.pid, scan=scan)
        try:
            assert pages(pagemap, area, 64) == [(0, 8), (12, 64)]
        finally:
            pagemap.close()
        assert capture(process.pid, tmp_path / "core").missing == ()
        process.kill()


@pytest.mark.parametrize("count", [511, 512, 513, 4095, 4096, 4097, 9000])
@pytest.mark.parametrize("scan", [True, False])
def test_many_ranges_come_once_each(count: int, scan: bool):
    """More than the kernel's buffer of 512 ranges, and more than there is room for in one call."""
    area = mmap.mmap(-1, 2 * count * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(0, 2 * count, 2):
        area[page * PAGE] = 1
    held = ctypes.c_char.from_buffer(area)
    start = ctypes.addressof(held)
    pagemap = Pagemap(os.getpid(), scan=scan)
    try:
        assert pages(pagemap, start, 2 * count) == [(page, page + 1) for page in range(0, 2 * count, 2)]
    finally:
        pagemap.close()
        del held
        area.close()
