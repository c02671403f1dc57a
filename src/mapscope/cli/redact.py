"""``mapscope redact``: the core again, without contents."""

from __future__ import annotations

import os

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import EvidenceCommand, live_options
from mapscope.cli.output import check_target, report_line
from mapscope.errors import UsageError

_EPILOG = """\b
Examples:
  mapscope redact core.4242 mailable.core
  mapscope redact core.4242 mailable.core ./service
  mapscope redact --pid 4242 mailable.core
  mapscope analyze mailable.core ./service"""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("core", metavar="IN")
@click.argument("out", metavar="OUT")
@click.argument("executable", required=False)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@live_options
def command(core: str, out: str, executable: str | None, force: bool) -> int:
    """Write the core IN again as OUT, without strings, keys, values or any other contents.

    Pointers, map headers, control bytes and the runtime's own structures stay, so that the analysis of OUT is that of
    IN. EXECUTABLE is the program that made the core; left out, it is found from the core. OUT is complete or absent,
    sparse, and has mode 0600.
    """
    check_target(out, force)
    if not os.path.isdir(os.path.dirname(os.path.realpath(out))) or (os.path.exists(out) and not os.path.isfile(out)):
        raise UsageError(f"{out} is no file", "name the file to write")
    with watched() as progress:
        snapshot = open_evidence(core, executable, progress)
        size = snapshot.redact(os.path.realpath(out), overwrite=force, progress=progress)
    from mapscope.units import human_bytes

    report_line(f"mapscope: wrote {out}, {human_bytes(size)} on disk: no contents, same analysis")
    return 0
