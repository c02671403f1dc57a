"""``mapscope serve``: the report over a small local server, for heaps that no single file can hold."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import EvidenceCommand, live_options
from mapscope.cli.output import report_line, write
from mapscope.errors import UsageError

if TYPE_CHECKING:
    from mapscope.snapshot import Snapshot

_EPILOG = """\b
Examples:
  mapscope serve core.4242 --open
  mapscope serve core.4242 ./service --port 8000
  mapscope serve --pid 4242

\b
From another machine (the URL is printed there):
  ssh -L 8000:127.0.0.1:8000 HOST mapscope serve core.4242 --port 8000

\b
Exit status: 0 ended with Ctrl-C, 2 usage or unusable input."""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("evidence")
@click.argument("executable", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="127.0.0.1 or ::1.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Where to listen. Default: 0, a free one.",
)
@click.option("--open", "browse", is_flag=True, help="Open the page in the browser.")
@click.option("--show-contents", is_flag=True, help="Let the page show a few keys and values. They may be secrets.")
@live_options
def command(evidence: str, executable: str | None, host: str, port: int, browse: bool, show_contents: bool) -> int:
    """Serve the report of EVIDENCE to a browser on this machine.

    The page loads its parts when they are asked for, so that a heap of any size can be looked through, and any address
    can be asked for: what lies there, who holds it. The URL, printed on stdout, holds a random token: who has it may
    look. Nothing but this machine can reach the server. Ctrl-C ends it.
    """
    server = _server()

    def opened() -> Snapshot:
        with watched() as progress:
            snapshot = open_evidence(evidence, executable, progress, holding=True)
            if progress is not None:
                progress("judging maps", 0, 0)
            snapshot.findings  # noqa: B018  # made when it is first asked for
            return snapshot

    def listening(url: str) -> None:
        if show_contents:
            report_line("mapscope: the page can show contents of the heap (--show-contents): keep its URL to yourself")
        write([f"{url}\n".encode()], None, False)
        report_line("mapscope: Ctrl-C ends the server")
        if browse:
            import webbrowser

            if not webbrowser.open(url):
                report_line("mapscope: no browser was found: open the URL yourself")

    server.serve(host, port, opened, listening, show_contents=show_contents)
    return 0


def _server() -> ModuleType:
    """The server is an application of its own, loaded by its name as all commands are. UsageError without the extra."""
    try:
        return importlib.import_module("mapscope.web.serving")
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "anyio"):
            raise
        raise UsageError(f"{error.name} is not installed", "pip install 'mapscope[web]'") from None
