"""``mapscope growth measure``: the measures of a store on PostgreSQL, as ``plan`` reads them."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  mapscope growth measure store.yaml --hosts hosts.json > fleet.json
  mapscope growth plan --measures fleet.json

\b
Exit status: 0, 2 usage or a database that cannot be reached."""


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="STORE")
@click.option(
    "--hosts", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="CPU, memory and disk of each node's machine, JSON.",
)  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True, metavar="S",
              help="How long work is counted.")  # fmt: skip
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Settings, YAML: what moved within cool_down rests.")  # fmt: skip
def command(file: Path, hosts: Path, seconds: float, config: Path | None) -> None:
    """Write the measures of a store: sizes and work of its shards.

    STORE is the YAML file that names control database, nodes and shards.
    """
    from mapscope.growth import measures_file, measuring, settings_file
    from mapscope.growth.settings import DEFAULT
    from mapscope.routing import nodes

    settings = settings_file.read(config) if config else DEFAULT
    store = nodes.read(file)
    fleet = measuring.measure(store, measuring.hosts(hosts, store), seconds, settings.cool_down)
    click.echo(measures_file.written(fleet), nl=False)
