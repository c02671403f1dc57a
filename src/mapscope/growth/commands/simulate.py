"""``mapscope growth simulate``: what the thresholds and the planner do to a synthetic fleet."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  mapscope growth simulate
  mapscope growth simulate --nodes 50 --shards 2000 --noise 0.15 --hours 72
  mapscope growth simulate --config growth.yaml --plot fleet.svg -f json

\b
Exit status: 0 nothing is beyond a threshold at the end, 1 something is,
2 usage or unusable input."""


@click.command(epilog=_EPILOG)
@click.option("--nodes", type=click.IntRange(2, 5000), default=200, show_default=True, metavar="N", help="Nodes.")
@click.option("--shards", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, metavar="N",
              help="Shards.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="The same seed gives the same fleet and noise.")  # fmt: skip
@click.option("--noise", type=click.FloatRange(0, 1), default=0.05, show_default=True, metavar="PART",
              help="Standard deviation of a measure, as a part of it.")  # fmt: skip
@click.option("--load", type=click.FloatRange(0, 1, min_open=True), default=0.5, show_default=True, metavar="PART",
              help="CPU of the whole fleet at the start.")  # fmt: skip
@click.option("--hours", type=click.FloatRange(0, 2000, min_open=True), default=24.0, show_default=True,
              metavar="H", help="How much of the fleet's time passes.")  # fmt: skip
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Thresholds and weights, YAML. Default: the article's.")  # fmt: skip
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="A picture, .svg or .png; needs mapscope[lab].")  # fmt: skip
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
def command(
    nodes: int, shards: int, seed: int, noise: float, load: float, hours: float, config: Path | None,
    plot: Path | None, form: str,
) -> int:  # fmt: skip
    """Let days pass over a synthetic fleet: how much moves, and does it rest.

    Few shards do most of the work, all of it swings with the day and grows, a
    tenth of the nodes are new and empty, and measures are noisy.
    """
    from mapscope.growth import picture, settings_file
    from mapscope.growth.documents import simulation_document
    from mapscope.growth.settings import DEFAULT
    from mapscope.growth.simulation import Simulation
    from mapscope.report.growth_simulation_view import render
    from mapscope.report.writing import to_json

    if plot:
        picture.check(plot)
    settings = settings_file.read(config) if config else DEFAULT
    outcome = Simulation(nodes, shards, seed, noise, settings, load).run(hours)
    document = simulation_document(outcome, nodes, shards, seed, noise, hours, settings)
    if plot:
        picture.draw(document, plot)
        click.echo(f"mapscope: wrote {plot}", err=True)
    if form == "json":
        click.echo(to_json(document), nl=False)
    else:
        for line in render(document):
            click.echo(line)
    return 1 if outcome.beyond_at_end else 0
