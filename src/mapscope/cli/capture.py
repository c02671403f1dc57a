"""``mapscope capture``: a core of a live process, with a short pause."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mapscope.cli.opening import watched
from mapscope.cli.options import limits, pause_options
from mapscope.cli.output import check_target, report_line
from mapscope.units import human_bytes, parse_size

if TYPE_CHECKING:
    from mapscope.evidence.capture import CaptureResult

_EPILOG = """\b
Examples:
  mapscope capture 4242 -o svc.core
  mapscope capture 4242 -o svc.core --max-pause 0.5 --max-bytes 8G
  mapscope capture 4242 -o svc.core.zst --pause fork

\b
Exit status: 0 the core is there, 2 it is not, and nothing else was left."""


@click.command(epilog=_EPILOG)
@click.argument("pid", type=click.IntRange(min=1, max=(1 << 31) - 1))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write to FILE, mode 0600; never over an existing one without --force. Compressed if it ends in .zst. "
    "Default: core.PID.",
)
@click.option("--force", is_flag=True, help="Replace the file of -o if it exists.")
@click.option("--max-bytes", metavar="SIZE", help="Give up when there is more memory to copy: 500MB, 8G.")
@pause_options
@click.option("--any", "anything", is_flag=True, help="Take a core of a process that is no Go process too.")
def command(pid: int, output: str | None, force: bool, max_bytes: str | None, anything: bool) -> int:
    """Write a core of the live process PID.

    The process stands still while its resident memory is copied to the memory
    of mapscope, and runs on before that is written to the disk (where the
    memory does not suffice, during it). It runs on whatever happens. With
    --pause fork it stands still for a few milliseconds only, while a frozen
    copy of it is made. The core holds everything that the process has in memory, secrets too.
    """
    limit = None if max_bytes is None else parse_size(max_bytes)
    target = output or f"core.{pid}"
    check_target(target, force)
    from mapscope.evidence.capture import capture
    from mapscope.evidence.check import check_go, check_process

    check_process(pid)
    if not anything:
        check_go(pid)
    with watched() as progress:
        taken = capture(
            pid,
            os.path.realpath(target),
            overwrite=force,
            progress=progress,
            limits=limits(limit),
        )
    _tell(pid, target, taken)
    return 0


def _tell(pid: int, target: str, taken: CaptureResult) -> None:
    report_line(
        f"mapscope: wrote {target}: {human_bytes(taken.bytes_written)} of process {pid}, {taken.threads} threads; "
        f"it stood still for {taken.pause_seconds:.3f} s"
    )
    if 0 < taken.stopped_bytes < taken.bytes_written:
        report_line(f"  {human_bytes(taken.stopped_bytes)} of that were copied while it stood still, the rest before")
    if taken.bits_in_use:
        report_line(
            "  nothing was copied before the stop: somebody (an earlier capture, CRIU) has cleared the process's "
            "soft-dirty bits and may rely on them; --precopy takes them"
        )
    if taken.gathered_bytes:
        report_line(
            f"  {human_bytes(taken.gathered_bytes)} of its memory were gathered in huge pages before, so that the stop "
            "was short (--no-collapse leaves that out)"
        )
    lost = sum(each.end - each.start for each in taken.missing)
    if lost:
        report_line(f"  {human_bytes(lost)} could not be read and are missing in it")
    try:
        visible = os.path.samefile(taken.program, f"/proc/{pid}/exe")
    except OSError:
        visible = False
    if not visible:
        name = os.path.basename(taken.program)
        report_line(
            f"  its program, {taken.program}, is not to be seen from here: keep it with cp /proc/{pid}/exe {name}"
        )
