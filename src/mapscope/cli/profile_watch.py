"""``mapscope profile watch``: heap profiles of a running service at even times, a live table, then the report."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mapscope.cli.options import Seconds, chosen_format, format_option, output_options
from mapscope.cli.output import check_target, named_page, report_line, style_for, text_pieces, write
from mapscope.cli.profiling import (
    executable_option,
    new_folder,
    open_executable,
    open_sources,
    page,
    parse_headers,
    source_option,
    url_options,
)
from mapscope.errors import EvidenceError, MapscopeError, UsageError

if TYPE_CHECKING:
    from mapscope.binary.executable import Executable
    from mapscope.profiles.classify import Classified
    from mapscope.profiles.fetch import Request
    from mapscope.profiles.indicators import Group
    from mapscope.profiles.statements import Sources

_FORMATS = ("text", "json", "html")
_TOP = 20
_ROWS = 12
_SPARK = 30
_MAX_PROFILES = 10_000
_EPILOG = """\b
Examples:
  mapscope profile watch http://localhost:6060 -e ./service
  mapscope profile watch http://localhost:6060 -e ./service --every 5m
  mapscope profile watch https://svc:6060 --for 8h --keep night -o night.json
  mapscope profile watch http://localhost:6060 -e ./service -o hour.html

\b
Ctrl-C ends it early, with the report of what came. The files stay: give the
folder to mapscope profile again.
Exit status: 0, also with suspects: a profile cannot decide; 2 usage, or a
service that does not answer."""


@click.command(epilog=_EPILOG)
@click.argument("url")
@executable_option
@source_option
@click.option("--every", type=Seconds(), default="30s", show_default=True, help="How often; 1s at least.")
@click.option("--for", "total", type=Seconds(), default="1h", show_default=True, help="How long.")
@click.option("--keep", metavar="FOLDER", help="Where the files go. Default: a new folder here, named by the time.")
@click.option(
    "--top", type=click.IntRange(min=0), default=_TOP, show_default=True, metavar="N",
    help="Show N places in the report; 0 is all.",
)  # fmt: skip
@url_options
@format_option(*_FORMATS)
@output_options
def command(
    url: str,
    executable: str | None,
    source: str | None,
    every: float,
    total: float,
    keep: str | None,
    top: int,
    timeout: float,
    header: tuple[str, ...],
    ca: str | None,
    insecure: bool,
    form: str | None,
    output: str | None,
    force: bool,
) -> int:
    """Take a heap profile of URL at even times, show how map memory moves, and report at the end.

    At the end the goroutines are taken once, too (debug=2, with their waits), to join them with places that only rise.
    """
    check_target(output, force)
    chosen = chosen_format(form, output, _FORMATS)
    named_page(chosen, output)
    if every < 1 or total / every >= _MAX_PROFILES:
        raise UsageError(
            f"{total:g} s at every {every:g} s", f"give --every 1s or more, and at most {_MAX_PROFILES:,} profiles"
        )
    from mapscope.profiles.fetch import Request, is_url
    from mapscope.profiles.web import profile_url

    if not is_url(url):
        raise UsageError(f"{url} is no URL", "give http://HOST:PORT; files go to mapscope profile")
    profile_url(url, 0)
    program, sources = open_executable(executable), open_sources(source)
    request = Request(0, timeout, parse_headers(header), not insecure, ca)
    folder = new_folder(keep or time.strftime("mapscope-profiles-%Y%m%d-%H%M%S"))
    heaps: list[Classified] = []
    with _table(every) as show:
        _watch(url, request, folder, every, total, program, sources, heaps, show)
    if not heaps:
        raise EvidenceError(f"no profile came from {url}", "is the service up, and net/http/pprof in it?")
    report_line(f"mapscope: kept {len(heaps):,} profiles in {folder}")
    from mapscope.profiles.fetch import read_profile
    from mapscope.profiles.watch import take_goroutines
    from mapscope.report.profile_build import build_profile
    from mapscope.report.profile_view import render
    from mapscope.report.writing import to_json

    others = []
    try:
        path = take_goroutines(url, request, folder)
        others = [] if path is None else [read_profile(str(path))]
    except MapscopeError as error:
        report_line(f"mapscope: no goroutines: {error}")
    document = build_profile(heaps, others, program)
    if chosen == "json":
        write([to_json(document)], output, force)
    elif chosen == "html":
        write(page(document, heaps), output, force)
    else:
        write(text_pieces(render(document, top, style_for(output)), output), output, force)
    return 0


def _watch(
    url: str,
    request: Request,
    folder: Path,
    every: float,
    total: float,
    program: Executable | None,
    sources: Sources | None,
    heaps: list[Classified],
    show: Callable[[list[list[Group]], str], None],
) -> None:
    """Fills ``heaps`` until the time is over, the user ends it, or the service is gone."""
    from mapscope.cli.profiling import classify_all
    from mapscope.profiles.fetch import parse
    from mapscope.profiles.indicators import groups
    from mapscope.profiles.watch import take

    series: list[list[Group]] = []
    try:
        with _ending() as end:
            for taken in take(url, request, folder, every, total, wait=end.wait):
                if taken.failed is not None:
                    report_line(f"mapscope: {taken.path.name}: {taken.failed}")
                    continue
                made, others = classify_all([parse(str(taken.path), taken.data)], program, None, sources)
                if others:
                    raise UsageError(f"{url} is a {others[0].kind} profile", "give the heap: http://HOST:PORT")
                heaps.extend(made)
                series.append(groups(made[0]))
                show(series, taken.path.name)
            if end.is_set():
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        report_line("mapscope: ended early")
    except EvidenceError as error:
        if not heaps:
            raise
        report_line(f"mapscope: the service is gone: {error}")


@contextmanager
def _ending() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets.

    It raises KeyboardInterrupt too, to end what blocks; but Python drops an exception that comes up in a destructor.
    """
    event = threading.Event()

    def end(number: int, frame: object) -> None:
        event.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _table(every: float) -> Iterator[Callable[[list[list[Group]], str], None]]:
    """What shows the series so far: a live table on a terminal, else one line a profile, both on stderr."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda series, name: report_line(f"mapscope: {name}: {_line(series)}")
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from mapscope.report.escape import clean
    from mapscope.report.style import sparkline

    console = Console(stderr=True, highlight=False)
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show(series: list[list[Group]], name: str) -> None:
            from mapscope.profiles.series import courses
            from mapscope.units import human_bytes

            lines = [f"{name}: {_line(series)}; one every {every:g} s, Ctrl-C ends"]
            room = max(console.width - _SPARK - 26, 20)
            for one in courses(series)[:_ROWS]:
                where = clean(f"{one.function}  {one.type or 'type not known'}", 4 * room)[:room]
                lines.append(f"{sparkline(one.values, _SPARK):{_SPARK}} {human_bytes(one.values[-1]):>10}  {where}")
            live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)

        yield show


def _line(series: list[list[Group]]) -> str:
    from mapscope.units import human_bytes

    sums = [sum(group.sums.inuse_bytes for group in one) for one in series]
    text = f"{human_bytes(sums[-1])} in maps"
    if len(sums) > 1:
        moved = sums[-1] - sums[-2]
        text += f", {'+' if moved >= 0 else '-'}{human_bytes(abs(moved))}"
    return text
