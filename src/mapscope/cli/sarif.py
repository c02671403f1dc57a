"""What the commands that write SARIF share: the source tree, and the word on findings that are not in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from mapscope.cli.output import report_line

if TYPE_CHECKING:
    from mapscope.report.sarif import Sarif
    from mapscope.report.sourcetree import SourceTree

F = TypeVar("F", bound=Callable[..., object])

tree_option = click.option(
    "--source",
    metavar="FOLDER",
    help="For sarif: the source tree. Files are named as they lie in it, and maps by the declaration of what holds "
    "them.",
)


def open_tree(folder: str | None) -> SourceTree | None:
    """The source tree of ``--source``. Raises UsageError."""
    if folder is None:
        return None
    from mapscope.report.sourcetree import SourceTree

    return SourceTree(folder)


def sarif_pieces(made: Sarif, tree: SourceTree | None) -> list[bytes]:
    """The bytes of the log; what is not in it is said on stderr."""
    whole = made.shown + made.left_out + made.too_many
    if made.left_out:
        hint = "" if tree is not None else "; --source FOLDER finds the declarations of what holds maps"
        report_line(f"mapscope: {made.left_out:,} of {whole:,} findings name no line of the source, left out{hint}")
    if made.too_many:
        report_line(
            f"mapscope: {made.too_many:,} of {whole:,} findings are beyond what one SARIF run may have, left out"
        )
    return [made.text]
