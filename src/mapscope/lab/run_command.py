"""``mapscope lab run``: scenarios on real Go releases."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from mapscope.lab.choosing import ProgressLine, chosen
from mapscope.lab.page import form_of, page_options, runs_page, write_page
from mapscope.lab.printing import say
from mapscope.lab.running import Outcome, run
from mapscope.lab.scenario import Check, all_scenarios, load

_EPILOG = """\b
Examples:
  mapscope lab run stalled --go 1.23 --go 1.26
  mapscope lab run all --go 1.21
  mapscope lab run growth_steps --go 1.23 --keep ./growth -f json
  mapscope lab run growth_steps stalled -o growth.html

\b
Exit status: 0 everything as expected, 1 something is not or a program failed,
2 usage."""


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--go", "versions", multiple=True, metavar="VERSION",
    help="A release (1.23.9) or series (1.23); may be given again. Default: the newest with classic maps, and "
    "the newest.",
)  # fmt: skip
@click.option("--keep", metavar="FOLDER", help="Keep sources, output and core there, a folder for each run.")
@page_options
def command(
    names: tuple[str, ...],
    versions: tuple[str, ...],
    keep: str | None,
    form: str | None,
    output: str | None,
    force: bool,
) -> int:
    """Run the scenarios NAME... (or all), and compare with what is expected.

    Each program is built with the release, runs until it has told the truth
    about its own maps, and its core is analysed by mapscope. What the program
    said, what mapscope found and what is expected are then compared.
    """
    chosen_form = form_of(form, output, force)
    scenarios = all_scenarios() if names == ("all",) else [load(name) for name in names]
    pairs = [(one, go) for go in chosen(versions) for one in scenarios if one.runs_on(go)]
    progress = ProgressLine(len(pairs))
    outcomes: list[Outcome] = []
    for scenario, go in pairs:
        progress.next(f"Go {go.version}: {scenario.name}")
        outcome = run(scenario, go, keep)
        outcomes.append(outcome)
        if chosen_form == "text":
            progress.close()
            for first, line in _lines(outcome):
                say(line, "      ", first)
    progress.close()
    documents = [_document(one) for one in outcomes]
    if chosen_form == "json":
        click.echo(json.dumps(documents, indent=2))
    elif output is not None:
        write_page(runs_page(outcomes, documents), f"mapscope lab run {' '.join(names)}", output)
    return 0 if all(one.ok for one in outcomes) else 1


def numbers_of(check: Check) -> str:
    """The numbers of a check on one line."""
    return ", ".join(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in
                     check.numbers.items())  # fmt: skip


def _lines(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What stands before each paragraph, and the paragraph."""
    from mapscope.report.escape import clean

    scenario = outcome.scenario
    section = f" (\N{SECTION SIGN}{scenario.section})" if scenario.section else ""
    result = "ok" if outcome.ok else "not as expected"
    yield "", f"{scenario.name}{section} on Go {outcome.toolchain.version}: {result}"
    if outcome.failure:
        yield "  ", f"failed: {clean(outcome.failure, 600)}"
    for one in outcome.checks:
        yield f"  {'ok ' if one.ok else 'NOT'} ", f"{one.what}: {clean(numbers_of(one), 600)}"
    if outcome.kept:
        yield "  ", f"its output is in {outcome.kept}"


def _document(outcome: Outcome) -> dict[str, object]:
    return {
        "scenario": outcome.scenario.name,
        "section": outcome.scenario.section or None,
        "go": outcome.toolchain.version,
        "ok": outcome.ok,
        "failure": outcome.failure or None,
        "kept": outcome.kept or None,
        "checks": [
            {"what": one.what, "ok": one.ok, "numbers": dict(one.numbers), "claims": dict(one.claims)}
            for one in outcome.checks
        ],
    }
