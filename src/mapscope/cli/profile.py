"""``mapscope profile``: what heap and goroutine profiles show of maps."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from mapscope.cli.opening import watched
from mapscope.cli.options import chosen_format, format_option, output_options
from mapscope.cli.output import check_target, text_pieces, wants_colour, write
from mapscope.errors import UsageError

if TYPE_CHECKING:
    from mapscope.heap.model import Progress
    from mapscope.profiles.classify import Classified
    from mapscope.profiles.fetch import Request
    from mapscope.profiles.model import Profile

_FORMATS = ("text", "json", "csv", "pprof")
_TOP = 20
_EPILOG = """\b
Examples:
  mapscope profile heap.pb.gz -e ./service
  mapscope profile http://localhost:6060 -e ./service
  curl -s 'http://localhost:6060/debug/pprof/heap?debug=1' |
    mapscope profile - -e ./service
  mapscope profile ./profiles-of-a-day -e ./service
  mapscope profile heap.pb.gz -e ./service -f pprof -o all-frames.pb.gz

\b
Exit status: 0, also with suspects: a profile cannot decide; 2 usage or
unusable input."""


@click.command(epilog=_EPILOG)
@click.argument("profiles", nargs=-1, required=True, metavar="FILE|URL...")
@click.option("-e", "--executable", metavar="FILE", help="The program that made them; it needs no symbols.")
@click.option(
    "--top", type=click.IntRange(min=0), default=_TOP, show_default=True, metavar="N", help="Show N places; 0 is all."
)
@click.option(
    "--seconds", type=click.IntRange(min=1, max=86400), metavar="S",
    help="Ask the URL for what was allocated in S seconds, not since the start.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(min=0.1, max=3600), default=30.0, show_default=True, metavar="S",
    help="Give up on a URL that sends nothing for S seconds (and --seconds).",
)  # fmt: skip
@click.option("--header", multiple=True, metavar="NAME:VALUE", help="A header for URLs; may be repeated.")
@click.option("--ca", metavar="FILE", help="Certificates to trust besides the system's.")
@click.option("--insecure", is_flag=True, help="Take any certificate.")
@format_option(*_FORMATS)
@output_options
def command(
    profiles: tuple[str, ...],
    executable: str | None,
    top: int,
    seconds: int | None,
    timeout: float,
    header: tuple[str, ...],
    ca: str | None,
    insecure: bool,
    form: str | None,
    output: str | None,
    force: bool,
) -> int:
    """Show which memory of heap profiles maps hold, where it was made, and what is suspect.

    Give heap and goroutine profiles as files (protobuf, debug=1, debug=2), folders of them, - for stdin, or URLs of
    /debug/pprof/. Several heap profiles are a series. Go hides the runtime's frames in profiles: with the executable
    they are found again.
    """
    check_target(output, force)
    chosen = chosen_format(form, output, _FORMATS)
    if chosen == "pprof" and output is None:
        raise UsageError("-f pprof writes a binary file", "name it: -o OUT.pb.gz (or -o - for stdout)")
    from mapscope.profiles.fetch import Request

    request = Request(seconds or 0, timeout, parse_headers(header), not insecure, ca)
    with watched() as progress:
        found = read_all(profiles, request, progress)
        heaps, others = classify_all(found, executable, progress)
    pieces = _pieces(heaps, others, chosen, top, output)
    write(pieces, output, force)
    return 0


def _pieces(
    heaps: list[Classified], others: list[Profile], chosen: str, top: int, output: str | None
) -> Iterable[bytes]:
    if chosen == "pprof":
        from mapscope.profiles.protobuf import write_protobuf
        from mapscope.profiles.restore import restored

        if len(heaps) != 1:
            raise UsageError(f"{len(heaps)} heap profiles cannot be one file", "give one heap profile with -f pprof")
        import gzip

        return [gzip.compress(write_protobuf(restored(heaps[0])), 6, mtime=0)]
    from mapscope.report.build import to_json
    from mapscope.report.profile_build import build_profile
    from mapscope.report.profile_view import render, render_csv
    from mapscope.report.style import Style

    document = build_profile(heaps, others)
    if chosen == "json":
        return [to_json(document)]
    if chosen == "csv":
        return [line.encode("utf-8") for line in render_csv(document)]
    return text_pieces(render(document, top, Style(wants_colour(output))), output)


def parse_headers(given: Iterable[str]) -> dict[str, str]:
    """``Name: value`` pairs. UsageError for anything else."""
    found = {}
    for one in given:
        name, colon, value = one.partition(":")
        if not colon or not name.strip() or any(c in one for c in "\r\n"):
            raise UsageError("--header wants NAME:VALUE", "for example --header 'Authorization: Bearer TOKEN'")
        found[name.strip()] = value.strip()
    return found


def read_all(origins: Iterable[str], request: Request, progress: Progress | None) -> list[Profile]:
    """Every profile, in the order given."""
    from mapscope.profiles.fetch import expand, read_profile

    names = expand(list(origins))
    if names.count("-") > 1:
        raise UsageError("stdin can be read only once", "give - once")
    found = []
    for number, name in enumerate(names):
        if progress is not None:
            progress("reading", number, len(names))
        stream = sys.stdin.buffer if name == "-" else None
        found.append(read_profile(name, stream=stream, request=request))
    return found


def classify_all(
    found: list[Profile], path: str | None, progress: Progress | None
) -> tuple[list[Classified], list[Profile]]:
    """Heap profiles by time (in the order given where one does not say), classified; and the others."""
    from mapscope.profiles.classify import classify
    from mapscope.profiles.model import HEAP
    from mapscope.profiles.symbols import open_symbols

    heaps = [one for one in found if one.kind == HEAP]
    if all(one.time_nanos for one in heaps):
        heaps.sort(key=lambda one: one.time_nanos)
    executable = None
    if path is not None:
        from mapscope.binary.executable import Executable

        executable = Executable.open(path)
    made = []
    for number, one in enumerate(heaps):
        if progress is not None:
            progress("classifying", number, len(heaps))
        made.append(classify(one, open_symbols(executable, one) if executable is not None else None))
    return made, [one for one in found if one.kind != HEAP]
