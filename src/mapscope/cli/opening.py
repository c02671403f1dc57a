"""Opens the evidence with a progress bar where someone watches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mapscope.cli.options import LIVE, cached, limits

if TYPE_CHECKING:
    from mapscope.heap.progress import Progress
    from mapscope.snapshot import Snapshot


def open_evidence(
    core: str,
    executable: str | None,
    progress: Progress | None,
    *,
    holding: bool = False,
    needed: Sequence[str] = (),
) -> Snapshot:
    """The snapshot of ``core``, or of the process of ``--pid``; ``holding`` and ``needed`` as in ``open_snapshot``.

    Raises the errors of :mod:`mapscope.errors`.
    """
    if core.startswith(LIVE):
        from mapscope.opening import open_live

        pid = int(core.removeprefix(LIVE))
        snapshot = open_live(pid, executable, limits=limits(), progress=progress, holding=holding, needed=needed)
    else:
        from mapscope.opening import open_snapshot

        snapshot = open_snapshot(core, executable, progress=progress, holding=holding, keep=cached(), needed=needed)
    _LAST[:] = [snapshot]
    return snapshot


_LAST: list[Snapshot] = []
"""The one that was opened last stays to the end of the process, which takes memory apart faster than Python does."""


@contextmanager
def watched() -> Iterator[Progress | None]:
    """A progress callable that draws on stderr, or None where stderr is no terminal."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def report(step: str, done: int, total: int) -> None:
        if step not in tasks:
            for task in tasks.values():
                bars.update(task, visible=False)
            tasks[step] = bars.add_task(step, total=total or None)
        bars.update(tasks[step], completed=done, total=total or None)

    with bars:
        yield report
