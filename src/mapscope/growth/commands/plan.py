"""``mapscope growth plan``: what would be moved where, and why; it changes nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

_EPILOG = """\b
Examples:
  mapscope growth plan --measures fleet.json
  mapscope growth plan --measures fleet.json --config growth.yaml
  mapscope growth plan --measures 1.json --measures 2.json --measures 3.json
  mapscope growth plan --measures fleet.json -f json > plan.json

\b
Exit status: 0 nothing to do, 1 there are moves or advice, 2 usage or unusable
input."""


@click.command(epilog=_EPILOG)
@click.option(
    "--measures", "files", required=True, multiple=True, type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE", help="The fleet as measured, JSON. May be given again: rounds, the oldest first.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Thresholds and weights, YAML. Default: the article's.",
)  # fmt: skip
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
def command(files: tuple[Path, ...], config: Path | None, form: str) -> int:
    """Show which shards would move where, and why. Changes nothing.

    With one file every measure that is beyond its threshold counts at once;
    with several, what stood long enough in them. What moves alone cannot mend
    is said in words.
    """
    from mapscope.growth import measures_file, settings_file
    from mapscope.growth.detect import Readings, Watch, exceeded, observe
    from mapscope.growth.documents import plan_document
    from mapscope.growth.planner import plan
    from mapscope.growth.settings import DEFAULT
    from mapscope.report.growth_view import render
    from mapscope.report.writing import to_json

    settings = settings_file.read(config) if config else DEFAULT
    watch = Watch()
    for file in files:
        fleet = measures_file.read(file)
        watch, triggers = observe(watch, Readings.of(fleet, settings), 0.0, settings)
    if len(files) == 1:
        triggers = exceeded(fleet, settings)
    made = plan(fleet, triggers, settings)
    document = plan_document(fleet, made, settings)
    if form == "json":
        click.echo(to_json(document), nl=False)
    else:
        given = f" --config {shlex.quote(str(config))}" if config else ""
        named = "".join(f" --measures {shlex.quote(str(file))}" for file in files)
        again = f"mapscope growth plan{named}{given} -f json > plan.json"
        commands = [again, "mapscope growth run STORE --plan plan.json"] if made.moves else []
        for line in render(document, commands):
            click.echo(line)
    return 1 if made.moves or made.advice else 0
