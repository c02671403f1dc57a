"""A live process as evidence: a core of it in a file without a name, which is gone with mapscope."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from mapscope.errors import EvidenceError
from mapscope.evidence.capture import Limits, Progress, capture_into
from mapscope.evidence.core import Core, Live
from mapscope.evidence.privatefile import anonymous


def take(pid: int, *, limits: Limits | None = None, progress: Progress | None = None) -> Core:
    """A core of ``pid``, taken now. It lies in the folder for temporary files (TMPDIR), mode 0600, without a name.

    Raises EvidenceError as :func:`mapscope.evidence.capture.capture` does.
    """
    folder = Path(tempfile.gettempdir())
    try:
        file = anonymous(folder)
    except OSError as error:
        raise EvidenceError(
            f"cannot write in {folder}: {error.strerror}", "name another folder for temporary files: TMPDIR=/var/tmp"
        ) from error
    try:
        taken = capture_into(pid, file, folder / "a temporary file", progress=progress, limits=limits)
        core = Core.open(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    missing = [
        f"{each.end - each.start:,} bytes at {each.start:#x} ({each.mapping or 'anonymous'}) could not be read"
        for each in taken.missing
    ]
    live = Live(pid, taken.pause_seconds, taken.program)
    return msgspec.structs.replace(core, path=Path(f"/proc/{pid}"), live=live, missing=(*core.missing, *missing))
