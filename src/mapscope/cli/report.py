"""``mapscope report``: another view of a document that was kept, without the evidence."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from mapscope.cli.options import chosen_format, format_option, output_options
from mapscope.cli.output import check_target, style_for, text_pieces, write
from mapscope.cli.sarif import open_tree, sarif_pieces, tree_option
from mapscope.errors import FormatError, UsageError

_FORMATS = ("text", "json", "csv", "html", "sarif")
_BROKEN = (ArithmeticError, LookupError, ValueError, RecursionError)
"""What a view raises on numbers and lists that no process has."""
_EPILOG = """\b
Examples:
  mapscope report report.json
  mapscope report report.json -o report.sarif --source ./service
  mapscope report profile.json -f csv -o places.csv

\b
Exit status: 0; 2 usage, or a file that is no document of mapscope."""


@click.command(epilog=_EPILOG)
@click.argument("file")
@click.option(
    "--top", type=click.IntRange(min=0), default=20, show_default=True, metavar="N",
    help="Show N maps, places or rows as text; 0 is all.",
)  # fmt: skip
@format_option(*_FORMATS)
@output_options
@tree_option
def command(file: str, top: int, form: str | None, output: str | None, force: bool, source: str | None) -> int:
    """Show FILE, a document that mapscope wrote with -f json, in another format.

    FILE is - for stdin. The evidence is not needed. A document of another schema is refused with the version that
    wrote it.
    """
    check_target(output, force)
    chosen = chosen_format(form, output, _FORMATS)
    if chosen == "html" and output is None:
        raise UsageError("-f html writes a page for a browser", "name it: -o report.html (or -o - for stdout)")
    tree = open_tree(source)
    from mapscope.report.reading import read_document
    from mapscope.report.renderers import FORMATS, View, kind_of

    document = read_document(_read(file), "stdin" if file == "-" else file)
    kind = kind_of(document)
    if kind not in FORMATS[chosen]:
        known = ", ".join(name for name, kinds in FORMATS.items() if kind in kinds)
        raise UsageError(f"a document of {kind} has no {chosen}", f"it can be shown as {known}")
    show = FORMATS[chosen][kind]
    view = View(style_for(output), top, tree)
    pieces: Iterable[bytes]
    try:
        if chosen == "text":
            pieces = list(text_pieces(show(document, view), output))
        elif chosen == "csv":
            pieces = [line.encode("utf-8", "backslashreplace") for line in show(document, view)]
        elif chosen == "sarif":
            pieces = sarif_pieces(show(document, tree), tree)
        else:
            pieces = [show(document)]
    except _BROKEN as error:
        raise FormatError(
            f"{file} holds what no process has ({type(error).__name__})", "it was changed since mapscope wrote it"
        ) from error
    write(pieces, output, force)
    return 0


def _read(file: str) -> bytes:
    """The bytes of the file, at most one more than a document may have."""
    from mapscope.report.reading import MAX_BYTES

    if file == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with open(file, "rb") as stream:
        return stream.read(MAX_BYTES + 1)
