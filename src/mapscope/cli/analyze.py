"""``mapscope analyze``: the whole report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import EvidenceCommand, chosen_format, format_option, live_options, output_options
from mapscope.cli.output import check_target, style_for, text_pieces, write
from mapscope.cli.sarif import open_tree, sarif_pieces, tree_option
from mapscope.errors import UsageError

if TYPE_CHECKING:
    from mapscope.report.source import Source
    from mapscope.report.sourcetree import SourceTree

_FORMATS = ("text", "json", "html", "pprof", "sarif")
_EPILOG = """\b
Examples:
  mapscope analyze core.4242
  mapscope analyze core.4242 ./service
  mapscope analyze heap.dump ./service
  mapscope analyze --pid 4242 --max-pause 0.5
  mapscope analyze core.4242 -f json -o report.json
  mapscope analyze core.4242 -o report.html
  mapscope analyze core.4242 -f pprof -o maps.pb.gz
  mapscope analyze core.4242 -o maps.sarif --source ./service
  mapscope analyze core.4242 --fail-on R1,R9 > report.txt
  mapscope analyze core.4242 --no-chains -f json -o maps.json

\b
Exit status: 0 nothing found, 1 findings, 2 usage or unusable input."""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("core")
@click.argument("executable", required=False)
@format_option(*_FORMATS)
@live_options
@output_options
@tree_option
@click.option(
    "--fail-on",
    multiple=True,
    metavar="RULE",
    help="Exit with 1 only for these rules (R1,R9; may be repeated), or none. Default: for any.",
)
@click.option("--no-chains", is_flag=True, help="Leave out who holds what: no chains, retained sizes, suspects.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found.")
def command(
    core: str,
    executable: str | None,
    form: str | None,
    output: str | None,
    force: bool,
    source: str | None,
    fail_on: tuple[str, ...],
    exit_zero: bool,
    no_chains: bool,
) -> int:
    """Report every map of CORE that holds memory for nothing.

    CORE is a core dump (gcore PID, or the kernel's), or a file of runtime/debug.WriteHeapDump. EXECUTABLE is the
    program that made it; left out, it is found from the core (a heap dump does not name it). With --pid, CORE is left
    out: a live process is stopped, copied to a temporary file and let go, and the copy is read. The report opens with
    the verdict and says where the resident memory went.
    """
    check_target(output, force)
    rules = parse_rules(fail_on)
    chosen = chosen_format(form, output, _FORMATS)
    if chosen == "pprof" and output is None:
        raise UsageError("-f pprof writes a binary file", "name it: -o OUT.pb.gz (or -o - for stdout)")
    if chosen == "html" and output is None:
        raise UsageError("-f html writes a page for a browser", "name it: -o report.html (or -o - for stdout)")
    tree = open_tree(source)
    with watched() as progress:
        snapshot = open_evidence(core, executable, progress, holding=not no_chains, needed=("mapscope.report.build",))
        if progress is not None:
            progress("judging maps", 0, 0)
        found = {finding.rule for finding in snapshot.findings}
    shown: Source = snapshot
    if no_chains:
        from mapscope.report.source import Unheld

        shown = Unheld(snapshot)
    pieces: Iterable[bytes | memoryview]
    if chosen == "sarif":
        pieces = _sarif(shown, tree)
    else:
        pieces = _text(shown, output) if chosen == "text" else _WRITERS[chosen](shown)
    write(pieces, output, force)
    failing = found if rules is None else found & rules
    return 1 if failing and not exit_zero else 0


def parse_rules(values: Iterable[str]) -> frozenset[str] | None:
    """The rules of ``--fail-on``: None for any, empty for none. Raises UsageError for a rule that does not exist."""
    wanted = [rule.strip() for value in values for rule in value.split(",") if rule.strip()]
    if not wanted:
        return None
    if [rule.lower() for rule in wanted] == ["none"]:
        return frozenset()
    from mapscope.findings import RULES

    known = {rule.RULE for rule in RULES}
    unknown = [rule for rule in wanted if rule.upper() not in known]
    if unknown:
        raise UsageError(
            f"--fail-on {unknown[0]}: there is no such rule",
            f"rules are {', '.join(sorted(known, key=lambda r: int(r[1:])))}; or none, alone",
        )
    return frozenset(rule.upper() for rule in wanted)


def _text(source: Source, output: str | None) -> Iterator[bytes]:
    from mapscope.report import text
    from mapscope.report.build import build
    from mapscope.report.maps_view import choose

    document = build(source, choose(source.maps, "bytes")[: text.SHOWN_MAPS], goroutines=False)
    return text_pieces(text.render(document, style_for(output)), output)


def _json(source: Source) -> Iterator[bytes | memoryview]:
    from mapscope.report.build import json_of

    return json_of(source)


def _sarif(source: Source, tree: SourceTree | None) -> list[bytes]:
    import numpy as np

    from mapscope.report.build import build
    from mapscope.report.sarif import of_snapshot

    return sarif_pieces(of_snapshot(build(source, np.zeros(0, np.int64)), tree), tree)


def _pprof(source: Source) -> Iterator[bytes]:
    import gzip

    from mapscope.profiles.protobuf import write_protobuf
    from mapscope.report.snapshot_pprof import snapshot_profile

    yield gzip.compress(write_protobuf(snapshot_profile(source)), 6, mtime=0)


def _html(source: Source) -> Iterator[bytes]:
    from mapscope.report.page.snapshot import snapshot_page

    yield snapshot_page(source).encode()


_WRITERS = {"json": _json, "html": _html, "pprof": _pprof}
