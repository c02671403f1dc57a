"""``mapscope watch``: heap and goroutine profiles of a fleet, their indicators, and the store."""

from __future__ import annotations

import click

from mapscope.errors import UsageError

_EPILOG = """\b
Examples:
  mapscope watch fleet.yml
  mapscope watch fleet.yml --check
  curl http://127.0.0.1:9719/metrics
  mapscope history checkout --since 6h

\b
SIGHUP reads CONFIG again (a wrong one changes nothing), SIGTERM ends it.
docs/how-to/fleet.md begins with a CONFIG of six lines.
Exit status: 0 ended by a signal, or the check is good; 2 usage, a wrong
CONFIG, or a port or store that cannot be had."""


@click.command(epilog=_EPILOG)
@click.argument("config", metavar="CONFIG")
@click.option("--check", is_flag=True, help="Read CONFIG, say what it means, and end.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True,
    help="Least level of the log, which is JSON lines on stderr.",
)  # fmt: skip
def command(config: str, check: bool, log_level: str) -> int:
    """Watch the services in CONFIG: take their profiles, tell what their maps do, and keep both.

    CONFIG is YAML in Prometheus' style. What is known now is served under
    /metrics; what was is kept in a store: see mapscope history.
    """
    try:
        from mapscope.fleet.config import load
        from mapscope.fleet.running import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mapscope"):
            raise
        raise UsageError(f"{error.name} is not installed", "pip install 'mapscope[fleet]'") from None
    settings = load(config)
    if check:
        static = sum(len(one.targets) for job in settings.scrape_configs for one in job.static_configs)
        sources = sum(len(job.file_sd_configs) + len(job.kubernetes_sd_configs) for job in settings.scrape_configs)
        place = settings.store.url or settings.store.growth or settings.store.path
        if settings.store.growth is not None:
            from pathlib import Path

            from mapscope.routing import nodes

            nodes.read(Path(settings.store.growth))
        click.echo(
            f"{config} is good: {len(settings.scrape_configs)} jobs, {static} targets written down, "
            f"{sources} sources of others, store {place}"
        )
        return 0
    from mapscope.fleet.logs import set_up

    set_up(log_level)
    return run(config, settings)
