"""What of a process's memory goes into a core: which mappings, and which pages of them.

Kept, as by the kernel with its default ``coredump_filter``: anonymous memory, shared anonymous memory, private file
mappings that the process may write or has written, and the first page of each ELF file; of anonymous memory, the
resident pages only. Left out, and said to be left out (``p_filesz`` < ``p_memsz``): unmodified file pages, which the
file itself still has, and reservations without access.
"""

from __future__ import annotations

from msgspec import Struct

from mapscope.evidence.corewriter import Segment
from mapscope.evidence.pagemap import Pagemap
from mapscope.evidence.procfs import PAGE, Mapping

_ARENAS = range(0xC0 << 32, 0xC1 << 32)
"""Where the Go heap starts on Linux (``arenaHints``, runtime/malloc.go, mallocinit); from 1.26 on it is anywhere."""


class Plan(Struct, frozen=True):
    """A segment of the core and the address ranges to copy into it."""

    segment: Segment
    ranges: list[tuple[int, int]]

    @property
    def size(self) -> int:
        """Bytes to copy."""
        return sum(end - start for start, end in self.ranges)


def make(pid: int, maps: list[Mapping]) -> list[Plan]:
    """One plan a mapping, by address. OSError when the process is gone or may not be read."""
    pages = Pagemap(pid)
    try:
        return [_plan_of(mapping, pages) for mapping in maps if mapping.path not in ("[vvar]", "[vsyscall]")]
    finally:
        pages.close()


def in_order(plans: list[Plan]) -> list[Plan]:
    """Small mappings first: data, stacks of threads, the runtime's tables; the arenas of the heap come last."""
    return sorted(plans, key=lambda plan: (plan.segment.mapping.start in _ARENAS, plan.size))


def _plan_of(mapping: Mapping, pages: Pagemap) -> Plan:
    """What to keep of one mapping."""
    whole = [(mapping.start, mapping.end)]
    if mapping.path.startswith("[vvar"):
        return Plan(Segment(mapping, 0), [])
    if mapping.path == "[vdso]":
        return Plan(Segment(mapping, mapping.size), whole)
    if mapping.shared:
        # Pages of shared memory that this process has not touched may hold another's bytes: all of it, or nothing.
        keep = mapping.readable and not mapping.has_file
        return Plan(Segment(mapping, mapping.size if keep else 0), whole if keep else [])
    if mapping.has_file:
        if mapping.path.startswith("/dev/"):
            return Plan(Segment(mapping, 0), [])
        if (mapping.readable and mapping.writable) or any(pages.runs(*whole[0], private_only=True)):
            return Plan(Segment(mapping, mapping.size), whole)
        head = PAGE if mapping.offset == 0 and mapping.readable else 0
        return Plan(Segment(mapping, head), [(mapping.start, mapping.start + head)] if head else [])
    runs = list(pages.runs(*whole[0]))
    # What is not resident in private anonymous memory reads as zero, so a hole says the truth; without access, nothing
    # does.
    kept = mapping.size if mapping.readable or runs else 0
    return Plan(Segment(mapping, kept), runs)
