"""Whether a copy of a process may be made without doing it harm, and in words why not."""

from __future__ import annotations

import platform
from pathlib import Path

from mapscope.errors import EvidenceError
from mapscope.evidence import procfs
from mapscope.evidence.copier import available_bytes
from mapscope.units import human_bytes

_HINT = "leave out --pause fork: the process then stands still while its memory is copied"


def check_fork(pid: int) -> None:
    """EvidenceError when ``--pause fork`` is unsafe or impossible for ``pid``. OSError when the process is gone."""
    reason = _reason(pid)
    if reason:
        raise EvidenceError(f"no copy of process {pid} is made: {reason}", _HINT)


def _reason(pid: int) -> str:
    if platform.machine() != "x86_64":
        return f"that is known for x86-64 only, this is {platform.machine()}"
    fields = procfs.status_fields(pid)
    if fields.get("Seccomp", "0") != "0":
        return "a seccomp filter judges its system calls, and could kill it for one that it does not know"
    if "shstk" in fields.get("x86_Thread_features", ""):
        return "it has a shadow stack, which forbids the return that is needed"
    if fields.get("State", "")[:1] in "Tt":
        return "it stands still anyway (a signal has stopped it)"
    if (fields.get("NSpid", "").split()[1:] and fields["NSpid"].split()[-1] == "1") or pid == 1:
        return (
            "it is the first process of its PID namespace, so the dead copy would be left to it, and few programs reap "
            "what is not theirs (start the container with --init or shareProcessNamespace)"
        )
    return _memory(pid)


def _memory(pid: int) -> str:
    """What the process writes while the copy lives is there twice."""
    need = procfs.status(pid).anonymous_bytes
    overcommit = Path("/proc/sys/vm/overcommit_memory")
    if overcommit.exists() and overcommit.read_text(encoding="ascii").strip() == "2":
        return "the kernel promises no more memory than it has (vm.overcommit_memory is 2)"
    left = procfs.cgroup_memory_left(pid)
    if left is not None and left < need:
        return (
            f"its cgroup has {human_bytes(left)} left below its memory limit, and {human_bytes(need)} could be needed "
            "if it wrote everywhere meanwhile"
        )
    available = available_bytes()
    if available < need:
        return f"{human_bytes(available)} of memory are free, and {human_bytes(need)} could be needed"
    return ""
