"""``mapscope lab scenarios``: what can be run."""

from __future__ import annotations

import json

import click

from mapscope.lab.ledger import claims
from mapscope.lab.printing import say
from mapscope.lab.scenario import all_scenarios

_EPILOG = """\b
Examples:
  mapscope lab scenarios
  mapscope lab scenarios -f json

\b
mapscope lab run NAME runs one."""


@click.command(epilog=_EPILOG)
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
def command(form: str) -> None:
    """Show the scenarios: what each shows, and which claims it settles."""
    settled: dict[str, list[int]] = {}
    for claim in claims():
        if claim.kind == "scenario":
            settled.setdefault(claim.by, []).append(claim.id)
    if form == "json":
        rows = [
            {
                "name": one.name,
                "section": one.section or None,
                "shows": one.shows,
                "claims": settled.get(one.name, []),
                "classic": list(one.classic),
                "swiss": list(one.swiss),
                "since": f"{one.since[0]}.{one.since[1]}",
            }
            for one in all_scenarios()
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for one in all_scenarios():
        numbers = ", ".join(map(str, settled.get(one.name, [])))
        section = f"\N{SECTION SIGN}{one.section}" if one.section else ""
        say(one.shows, " " * 25, f"{one.name:18s} {section:5s} ")
        rules = f"classic {', '.join(one.classic) or 'none'}; Swiss {', '.join(one.swiss) or 'none'}"
        say(f"findings: {rules}" + (f"; claims {numbers}" if numbers else ""), " " * 27, " " * 25)
