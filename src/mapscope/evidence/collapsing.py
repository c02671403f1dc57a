"""Lets the kernel gather a process's memory in huge pages before a copy of it is made (``MADV_COLLAPSE``).

A process stands still while the kernel copies its page tables, and those of huge pages are 512 times shorter. The
kernel does it while the process runs, asked from outside with process_madvise(2) and a pidfd: it copies 2 MB at a time
to one page, and who touches just these waits until it has (mm/khugepaged.c: collapse_huge_page). Contents, addresses
and permissions stay what they were. Needs Linux 6.1, CAP_SYS_NICE, and a kernel that has huge pages and may use them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mapscope.errors import EvidenceError
from mapscope.evidence import procfs
from mapscope.evidence.plan import Plan
from mapscope.evidence.precopy import eligible
from mapscope.evidence.ptrace import IoVec

LEAST = 256 << 20
"""Bytes in small pages from which on it pays: the tables of less are copied in a few milliseconds."""
_SYSTEM = Path("/sys/kernel/mm/transparent_hugepage")
_NR_PROCESS_MADVISE = 440
"""The same on all architectures (scripts/syscall.tbl)."""
_COLLAPSE = 25
"""MADV_COLLAPSE (include/uapi/asm-generic/mman-common.h)"""
_HOPELESS = {errno.EPERM, errno.ENOSYS, errno.ENOMEM}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def allowed(pid: int, plans: Sequence[Plan], wish: bool | None) -> str:
    """Why nothing is gathered; empty when it can be. EvidenceError where it cannot and was asked for.

    ``wish`` is that of the user; None leaves it to us: where it pays.
    """
    if wish is False:
        return "unwanted"
    huge = page_size()
    if not huge:
        return _refused(wish, "this kernel may not use huge pages (transparent_hugepage/enabled)")
    if procfs.status_fields(pid).get("VmSwap", "0").split()[0] != "0":
        return _refused(wish, f"some memory of process {pid} is swapped out, and would be read back")
    if wish is None and sum(huge for _ in _pages(plans, huge)) - procfs.huge_bytes(pid) < LEAST:
        return "little memory"
    return ""


def _refused(wish: bool | None, reason: str) -> str:
    if wish:
        raise EvidenceError(
            f"cannot gather memory in huge pages: {reason}", "leave --collapse out: the stop is a little longer then"
        )
    return reason


def page_size() -> int:
    """Bytes of a huge page, 0 where the kernel has none, or may not use any."""
    try:
        chosen = (_SYSTEM / "enabled").read_text(encoding="ascii")
        size = int((_SYSTEM / "hpage_pmd_size").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return 0 if "[never]" in chosen else size


def collapse(pid: int, plans: Sequence[Plan], wish: bool | None, show: Callable[[int, int], None]) -> int:
    """Gathers what can be gathered, and returns by how many bytes the memory in huge pages grew.

    Only where every page of a huge one is there already: the process does not grow. After each huge page the process
    has as long to itself as that took. OSError when it is gone; EvidenceError where ``wish`` asked for it and
    the kernel gathered nothing. ``show`` is called with the bytes that were tried so far and their sum.
    """
    huge = page_size()
    pages = list(_pages(plans, huge))
    total = len(pages) * huge
    before, tried, done, error = procfs.huge_bytes(pid), 0, 0, 0
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as reason:
        if reason.errno == errno.ESRCH:
            raise
        _refused(wish, f"the kernel refuses: {reason.strerror} (it needs Linux 6.1)")
        return 0
    try:
        for address in pages:  # one at a time: who waits for the kernel's lock waits until the call ends
            began = time.monotonic()
            error = _advise(descriptor, address, huge)
            if error == errno.ESRCH:
                raise ProcessLookupError(error, os.strerror(error))
            if error in _HOPELESS:
                break
            tried += huge
            done += not error
            show(tried, total)
            time.sleep(time.monotonic() - began)
    finally:
        os.close(descriptor)
    if wish and pages and not done:
        _refused(wish, f"the kernel refuses: {os.strerror(error)} (it needs Linux 6.1 and CAP_SYS_NICE)")
    return max(procfs.huge_bytes(pid) - before, 0)


def _pages(plans: Sequence[Plan], huge: int) -> Iterator[int]:
    """Addresses of whole huge pages whose every page is there."""
    for each in plans:
        if eligible(each.segment.mapping):
            for start, end in each.ranges:
                yield from range(-(-start // huge) * huge, end // huge * huge, huge)


def _advise(descriptor: int, address: int, size: int) -> int:
    """The error number, 0 when all of it was gathered."""
    vector = IoVec(address, size)
    ctypes.set_errno(0)
    done = _libc.syscall(
        ctypes.c_long(_NR_PROCESS_MADVISE), ctypes.c_int(descriptor), ctypes.byref(vector), ctypes.c_size_t(1),
        ctypes.c_int(_COLLAPSE), ctypes.c_uint(0),
    )  # fmt: skip
    return ctypes.get_errno() if done < 0 else 0
