"""``mapscope growth plan``: what would be moved where, and why; it changes nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

_EPILOG = """\b
Examples:
  mapscope growth plan --measures fleet.json
  mapscope growth plan --measures fleet.json --config growth.yaml
  mapscope growth plan --measures fleet.json -f json > plan.json

\b
Exit status: 0 nothing to do, 1 there are moves or advice, 2 usage or unusable
input."""


@click.command(epilog=_EPILOG)
@click.option(
    "--measures", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The fleet as measured: nodes and shards, JSON.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Thresholds and weights, YAML. Default: the article's.",
)  # fmt: skip
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
def command(measures: Path, config: Path | None, form: str) -> int:
    """Show which shards would move where, and why. Changes nothing.

    One look: every measure that is beyond its threshold counts at once, and
    nothing rests. What moves alone cannot mend is said in words.
    """
    from mapscope.growth import measures_file, settings_file
    from mapscope.growth.detect import exceeded
    from mapscope.growth.documents import plan_document
    from mapscope.growth.planner import plan
    from mapscope.growth.settings import DEFAULT
    from mapscope.report.growth_view import render
    from mapscope.report.writing import to_json

    settings = settings_file.read(config) if config else DEFAULT
    fleet = measures_file.read(measures)
    made = plan(fleet, exceeded(fleet, settings), settings)
    document = plan_document(fleet, made, settings)
    if form == "json":
        click.echo(to_json(document), nl=False)
    else:
        given = f" --config {shlex.quote(str(config))}" if config else ""
        again = f"mapscope growth plan --measures {shlex.quote(str(measures))}{given} -f json > plan.json"
        commands = [again, "mapscope growth run STORE --plan plan.json"] if made.moves else []
        for line in render(document, commands):
            click.echo(line)
    return 1 if made.moves or made.advice else 0
