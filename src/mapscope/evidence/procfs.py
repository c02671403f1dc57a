"""What ``/proc/PID`` says about a process: threads, mappings, auxiliary vector, limits.

Formats: proc_pid_maps(5), proc_pid_stat(5). Errors of the file system reach the caller as OSError: only
:mod:`mapscope.evidence.capture` knows what they mean for a user.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from msgspec import Struct

PAGE = mmap.PAGESIZE


class Mapping(Struct, frozen=True):
    """One line of ``/proc/PID/maps``."""

    start: int
    end: int
    perms: str
    """``rwxp`` or ``rwxs`` with ``-`` for what is not there."""
    offset: int
    """Offset in the file, bytes."""
    device: str
    inode: int
    path: str
    """Path, ``[heap]``, ``[stack]`` …, or empty for anonymous memory."""

    @property
    def size(self) -> int:
        """Bytes of address space."""
        return self.end - self.start

    @property
    def readable(self) -> bool:
        """The process itself may read it."""
        return self.perms[0] == "r"

    @property
    def writable(self) -> bool:
        """The process itself may write it."""
        return self.perms[1] == "w"

    @property
    def shared(self) -> bool:
        """Writes reach others: MAP_SHARED."""
        return self.perms[3] == "s"

    @property
    def has_file(self) -> bool:
        """Backed by a file with a name; shared anonymous memory and memfd, which have an inode too, are not."""
        unnamed = self.path.startswith(("/dev/zero", "/memfd:", "/SYSV", "/dev/shm/", "[anon"))  # noqa: S108
        return self.inode != 0 and not unnamed


class TaskStatus(Struct, frozen=True):
    """The fields of ``stat`` and ``status`` of a process or thread that a core names."""

    name: str
    state: str
    """One letter: R, S, D, T, t, Z, X …"""
    ppid: int
    pgrp: int
    session: int
    nice: int
    flags: int
    user_seconds: float
    system_seconds: float
    uid: int
    gid: int
    tracer: int
    """PID of the tracer, 0 when there is none."""
    blocked: int
    """Signal mask."""
    pending: int
    anonymous_bytes: int
    """RssAnon + RssShmem, and VmSwap: what a core will hold at least; 0 for a thread of the kernel."""


def task_folder(pid: int, tid: int | None = None) -> Path:
    """``/proc/PID`` or ``/proc/PID/task/TID``."""
    base = Path("/proc") / str(pid)
    return base if tid is None else base / "task" / str(tid)


def threads(pid: int) -> list[int]:
    """Thread ids, the first thread first."""
    return sorted((int(name) for name in os.listdir(task_folder(pid) / "task")), key=lambda tid: (tid != pid, tid))


def status(pid: int, tid: int | None = None) -> TaskStatus:
    """State, ids and signal masks of a process or of one of its threads."""
    folder = task_folder(pid, tid)
    stat = (folder / "stat").read_text(errors="replace")
    name, _, tail = stat.partition("(")[2].rpartition(")")  # a name may hold spaces and brackets
    numbers = tail.split()
    fields: dict[str, str] = {}
    for line in (folder / "status").read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        fields[key] = value.strip()
    tick = os.sysconf("SC_CLK_TCK")

    def kilobytes(key: str) -> int:
        return int(fields.get(key, "0").split()[0]) * 1024

    return TaskStatus(
        name=name,
        state=numbers[0],
        ppid=int(numbers[1]),
        pgrp=int(numbers[2]),
        session=int(numbers[3]),
        nice=int(numbers[16]),
        flags=int(numbers[6]),
        user_seconds=int(numbers[11]) / tick,
        system_seconds=int(numbers[12]) / tick,
        uid=int(fields["Uid"].split()[0]),
        gid=int(fields["Gid"].split()[0]),
        tracer=int(fields.get("TracerPid", "0")),
        blocked=int(fields.get("SigBlk", "0"), 16),
        pending=int(fields.get("SigPnd", "0"), 16),
        anonymous_bytes=kilobytes("RssAnon") + kilobytes("RssShmem") + kilobytes("VmSwap"),
    )


def mappings(pid: int) -> list[Mapping]:
    """Every mapping, by address."""
    found = []
    with open(task_folder(pid) / "maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            area, perms, offset, device, inode, *rest = line.rstrip("\n").split(None, 5)
            start, _, end = area.partition("-")
            path = rest[0] if rest else ""
            found.append(Mapping(int(start, 16), int(end, 16), perms, int(offset, 16), device, int(inode), path))
    return found


def auxiliary_vector(pid: int) -> bytes:
    """``/proc/PID/auxv`` as it is."""
    return (task_folder(pid) / "auxv").read_bytes()


def command_line(pid: int) -> bytes:
    """Arguments joined by spaces, as ``pr_psargs`` of a core has them."""
    return (task_folder(pid) / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")


def status_fields(pid: int) -> dict[str, str]:
    """The lines of ``/proc/PID/status`` as they are, by name."""
    text = (task_folder(pid) / "status").read_text(errors="replace")
    pairs = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in pairs}


def huge_bytes(pid: int) -> int:
    """Bytes of anonymous memory that lie in huge pages: ``AnonHugePages`` of ``smaps_rollup``; 0 before Linux 4.14."""
    rollup = task_folder(pid) / "smaps_rollup"
    text = rollup.read_text(errors="replace") if rollup.exists() else ""
    found = [line.split()[1] for line in text.splitlines() if line.startswith("AnonHugePages:")]
    return int(found[0]) * 1024 if found else 0


def cgroup_memory_left(pid: int) -> int | None:
    """Bytes until the tightest memory limit of the cgroups of ``pid``; None without a limit, or where none can be seen.

    Version 2 (``memory.max``) and version 1 (``memory.limit_in_bytes``); Documentation/admin-guide/cgroup-v2.rst.
    """
    try:
        lines = (task_folder(pid) / "cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return None
    least: int | None = None
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        base, limit, usage = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
        if not controllers:
            base, limit, usage = ("/sys/fs/cgroup", "memory.max", "memory.current")
        folder = Path(base + path)
        for each in (folder, *folder.parents):
            try:
                top = (each / limit).read_text(encoding="ascii").strip()
                if top != "max" and int(top) < 1 << 62:
                    left = int(top) - int((each / usage).read_text(encoding="ascii"))
                    least = left if least is None else min(least, left)
            except (OSError, ValueError):
                continue
    return None if least is None else max(least, 0)
