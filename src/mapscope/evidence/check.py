"""Says what is wrong with a process before anything is stopped, and puts the system's errors into words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mapscope.errors import EvidenceError, ExecutableError, FormatError, MapscopeError
from mapscope.evidence import procfs
from mapscope.units import human_bytes

_PF_KTHREAD = 0x00200000
"""include/linux/sched.h"""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_process(pid: int) -> procfs.TaskStatus:
    """EvidenceError for what cannot be captured: no process, ourselves, a zombie, a traced one, one of the kernel."""
    if pid == os.getpid():
        raise EvidenceError("a process cannot take its own core", "give the PID of another process")
    try:
        task = procfs.status(pid)
    except OSError as error:
        raise explain(error, pid, None) from error
    if task.state in "ZX":
        raise EvidenceError(
            f"process {pid} ({task.name}) has ended: it is a zombie",
            f"its memory is gone; its parent is process {task.ppid}",
        )
    if task.tracer:
        raise EvidenceError(
            f"process {pid} ({task.name}) is traced already by process {task.tracer}",
            "end that debugger or strace first: a process can have one tracer only",
        )
    if task.flags & _PF_KTHREAD:
        raise EvidenceError(
            f"process {pid} ({task.name}) is a thread of the kernel: it has no memory of its own",
            "give the PID of a program",
        )
    return task


def check_go(pid: int) -> None:
    """EvidenceError when the program of ``pid`` is no 64-bit Go program that mapscope reads. Nothing is stopped."""
    from mapscope.binary.executable import Executable

    exe = procfs.task_folder(pid) / "exe"
    try:
        Executable.open(exe).close()
    except (ExecutableError, FormatError) as error:
        if not os.access(exe, os.R_OK):
            raise explain(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), pid, None) from error
        path = program(pid)
        raise EvidenceError(
            f"process {pid} cannot be read: {str(error).replace(str(exe), path)}", _go_hint(error, pid)
        ) from error


def _go_hint(error: MapscopeError, pid: int) -> str:
    if "not a Go program" in str(error):
        return f"`pgrep -P {pid} -a` lists its children; the Go service may be one of them"
    return error.hint


def program(pid: int) -> str:
    """The path of the program as the process itself sees it; ``/proc/PID/exe`` where it cannot be told."""
    link = procfs.task_folder(pid) / "exe"
    try:
        return os.readlink(link).removesuffix(" (deleted)")
    except OSError:
        return str(link)


def check_space(pid: int, folder: Path, need: int) -> None:
    """Full disks are better found before the process is stopped. ``need`` in bytes."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if need > free:
        raise EvidenceError(
            f"{folder} has {human_bytes(free)} free, the core of process {pid} needs about {human_bytes(need)}",
            "name a file on a disk with more room (a temporary file goes where TMPDIR says)",
        )


def explain(error: OSError, pid: int, target: Path | None) -> EvidenceError:
    """The error of the system in words for the user, with what helps."""
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return EvidenceError(
            f"no process {pid}", "`pgrep -a NAME` lists PIDs; in a container use the PID seen from here"
        )
    if error.errno in (errno.EPERM, errno.EACCES):
        return EvidenceError(f"not permitted to read the memory of process {pid}", _permission_hint(pid))
    if error.errno in _FULL and target is not None:
        why = "the limit on the size of files is reached" if error.errno == errno.EFBIG else "the disk is full"
        return EvidenceError(
            f"cannot write {target}: {why}", "name a file on a disk with more room (nothing was left behind)"
        )
    return EvidenceError(
        f"cannot take a core of process {pid}: {error.strerror or error}", "try again; gcore is another way to a core"
    )


def _permission_hint(pid: int) -> str:
    """The exact line that helps."""
    try:
        owner = procfs.status(pid).uid
    except OSError:
        owner = os.geteuid()
    if os.geteuid() == 0:
        return (
            "root lacks CAP_SYS_PTRACE here: docker run --cap-add=SYS_PTRACE …, or in Kubernetes "
            "securityContext: {capabilities: {add: [SYS_PTRACE]}}"
        )
    if owner != os.geteuid():
        return f"run this as root or as the owner of the process: sudo -u '#{owner}' mapscope …"
    yama = Path("/proc/sys/kernel/yama/ptrace_scope")
    scope = yama.read_text(encoding="ascii").strip() if yama.exists() else "0"
    if scope == "1":
        return (
            "run this with sudo, or allow it until the next boot: echo 0 | sudo tee /proc/sys/kernel/yama/ptrace_scope"
        )
    if scope in ("2", "3"):
        return f"run this as root (kernel.yama.ptrace_scope is {scope}" + (
            "; with 3 not even root may)" if scope == "3" else ")"
        )
    return "run this with sudo; in a container start it with --cap-add=SYS_PTRACE"
