"""``mapscope history``: what the store of ``mapscope watch`` knows of a service."""

from __future__ import annotations

import datetime as dt
import importlib
import os
import re
import sys
import time
from typing import Any

import click

from mapscope.cli.options import Seconds, chosen_format, format_option, output_options
from mapscope.cli.output import check_target, named_page, report_line, text_pieces, wants_colour, write
from mapscope.cli.profiling import new_folder
from mapscope.errors import UsageError
from mapscope.units import parse_duration

_FORMATS = ("text", "json", "csv", "html", "pprof")
_STORE = "mapscope.db"
_MOST_PROFILES = 9_999
_TEXTS = (b"goroutine ", b"heap profi")
"""How profiles begin that are text."""
_ROOM = "mapscope.fleet.history"
"""What reads the store: imported when it is called, as commands of other rooms are."""
_EPILOG = """\b
Examples:
  mapscope history checkout
  mapscope history checkout --since 7d --instance 10.0.0.7:6060
  mapscope history checkout --config fleet.yml -f csv -o checkout.csv
  mapscope history checkout --since 7d -o checkout.html
  mapscope history checkout --at 2026-11-25T03:10:00Z -f pprof -o then.pb.gz
  mapscope history checkout --instance 10.0.0.7:6060 --keep night

\b
TIME is 30m (ago), 2026-11-25T03:10:00Z, or seconds since 1970.
Exit status: 0, also with findings; 2 usage, or a store that cannot be read."""


@click.command(epilog=_EPILOG)
@click.argument("service")
@click.option("--since", type=Seconds(), default="6h", show_default=True, help="How far back.")
@click.option("--at", "at", metavar="TIME", help="The end of the time. Default: now.")
@click.option("--instance", metavar="HOST:PORT", help="Only this process of the service.")
@click.option("--kind", type=click.Choice(["heap", "goroutine"]), default="heap", help="With -f pprof: which profile.")
@click.option(
    "--store", metavar="FILE|URL",
    help=f"The store; of several servers their .yaml. Default: MAPSCOPE_STORE, else {_STORE} here.",
)  # fmt: skip
@click.option("--config", metavar="CONFIG", help="Take the store that the settings of the watch name.")
@click.option("--keep", metavar="FOLDER", help="Put the raw profiles of one instance into a new FOLDER, and no more.")
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, metavar="N", help="Show N places.")
@format_option(*_FORMATS)
@output_options
def command(
    service: str,
    since: float,
    at: str | None,
    instance: str | None,
    kind: str,
    store: str | None,
    config: str | None,
    keep: str | None,
    top: int,
    form: str | None,
    output: str | None,
    force: bool,
) -> int:
    """Show how the indicators of SERVICE moved, which places hold map memory, and when findings began and ended.

    -f pprof writes the last raw profile that was taken at --at or before.
    """
    check_target(output, force)
    chosen = chosen_format(form, output, _FORMATS)
    named_page(chosen, output)
    if output is not None and output.endswith(".pb.gz") and form is None:
        chosen = "pprof"
    if chosen == "pprof" and output is None and sys.stdout.isatty():
        raise UsageError("a pprof file is no text for a terminal", "give -o FILE.pb.gz (or -o - for stdout)")
    try:
        room: Any = importlib.import_module(_ROOM)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mapscope"):
            raise
        raise UsageError(f"{error.name} is not installed", "pip install 'mapscope[fleet]'") from None
    if store is not None and config is not None:
        raise UsageError("--store and --config both name a store", "give one of them")
    place, password = (store or os.environ.get("MAPSCOPE_STORE") or _STORE), None
    if config is not None:
        place, password = room.place_of_config(config)
    until = _time(at)
    asked = room.Asked(service, place, password, until - since, until, instance)
    if keep is not None:
        return _keep(room, asked, keep)
    if chosen == "pprof":
        return _raw(room, asked, kind, output, force)
    from mapscope.report.history_view import render, render_csv
    from mapscope.report.style import Style
    from mapscope.report.writing import to_json

    document = room.history(asked)
    if chosen == "json":
        write([to_json(document)], output, force)
    elif chosen == "html":
        from mapscope.report.page.history import history_pack, title
        from mapscope.report.page.html import render as page

        write([page(history_pack(document), title(document)).encode()], output, force)
    elif chosen == "csv":
        write((line.encode() for line in render_csv(document)), output, force)
    else:
        write(text_pieces(render(document, top, Style(wants_colour(output))), output), output, force)
    return 0


def _raw(room: Any, asked: Any, kind: str, output: str | None, force: bool) -> int:
    import gzip

    from mapscope.report.history_view import stamp

    data, instance, nanos = room.raw_profile(asked, kind)
    text = data[:10] in _TEXTS
    write([data if text else gzip.compress(data, 6, mtime=0)], output, force)
    report_line(f"mapscope: {kind} of {instance}, taken at {stamp(nanos)}")
    return 0


def _keep(room: Any, asked: Any, folder: str) -> int:
    """Files as ``mapscope profile watch`` names them, for ``mapscope profile FOLDER``."""
    import gzip

    target = new_folder(folder)
    heaps, total = 0, 0
    for data, kind, number, of in room.raw_series(asked, _MOST_PROFILES):
        text = data[:10] in _TEXTS
        path = target / f"{kind}-{number:04}{'.txt' if text else '.pb.gz'}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as stream:
            stream.write(data if text else gzip.compress(data, 6, mtime=0))
        heaps, total = (number, of) if kind == "heap" else (heaps, total)
    report_line(f"mapscope: {heaps:,} of {total:,} heap profiles in {folder}: mapscope profile {folder} -e EXECUTABLE")
    return 0


def _time(text: str | None) -> float:
    """Seconds since 1970. UsageError."""
    if text is None:
        return time.time()
    if re.fullmatch(r"\d{9,11}(\.\d{1,9})?", text):
        return float(text)
    try:
        return time.time() - parse_duration(text)
    except UsageError:
        pass
    try:
        found = dt.datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"--at {text!r} is no time", "give 30m (ago), 2026-11-25T03:10:00Z or seconds") from None
