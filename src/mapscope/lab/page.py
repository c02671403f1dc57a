"""What the lab's commands share for ``-f html``: options, records, and a file that is complete or not there at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

import click

from mapscope.errors import UsageError

if TYPE_CHECKING:
    from mapscope.lab.curves.series import Curve
    from mapscope.lab.running import Outcome
    from mapscope.report.page.pack import Pack

FORMATS = ("text", "json", "html")
_HTML = ".html"

F = TypeVar("F", bound=Callable[..., object])


def page_options(command: F) -> F:
    """``-f``, ``-o`` and ``--force``; read them with ``form_of``."""
    for option in (
        click.option("--force", is_flag=True, help="Replace the file of -o if it exists."),
        click.option("-o", "--output", metavar="FILE", help="With -f html: the file. A name in .html means -f html."),
        click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="Default: by -o, else text."),
    ):
        command = option(command)
    return command


def form_of(form: str | None, output: str | None, force: bool) -> str:
    """The format that is meant, before the long work. Raises UsageError where the page could not be written."""
    chosen = form or ("html" if output is not None and output.endswith(_HTML) else "text")
    if (chosen == "html") != (output is not None):
        if output is None:
            raise UsageError("-f html writes a page for a browser", "name it: -o report.html")
        raise UsageError(f"-o is for pages: {output}", "give -f html, or take what is on stdout")
    if output is not None:
        check_page(output, force)
    return chosen


def check_page(output: str, force: bool) -> None:
    """Raises UsageError where a page could not be written to ``output``."""
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder):
        raise UsageError(f"the folder of {output} does not exist", f"mkdir -p {folder}")
    if os.path.lexists(output) and not force:
        raise UsageError(f"{output} exists already", "give another -o, or --force to replace it")


def write_page(pack: Pack, title: str, output: str) -> None:
    """The page, with mode 0600, beside its place first. Raises UsageError."""
    from mapscope.report.page.html import render

    data = render(pack, title).encode()
    target = os.path.abspath(output)
    try:
        handle, beside = tempfile.mkstemp(prefix=".mapscope-", suffix=".tmp", dir=os.path.dirname(target))
        try:
            with open(handle, "wb") as stream:
                stream.write(data)
            os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror or error}", "give -o another file") from error
    click.echo(f"mapscope: wrote {output}", err=True)


def runs_page(outcomes: Sequence[Outcome], documents: Sequence[dict[str, object]]) -> Pack:
    """Scenarios, the claims that they speak of, and the growth of the model of each release."""
    from mapscope.lab.ledger import claims
    from mapscope.lab.model.growth import growth
    from mapscope.report.page.lab import runs_pack

    runs = [
        {**json.loads(json.dumps(one)), "shows": outcome.scenario.shows}  # numbers of claims become texts
        for one, outcome in zip(documents, outcomes, strict=True)
    ]
    toolchains = {one.toolchain.version: one.toolchain.release for one in outcomes}
    spoken = {number for one in outcomes for check in one.checks for number in check.claims}
    of = [
        {
            "id": claim.id,
            "section": claim.section,
            "text": claim.text,
            "verdicts": {go: claim.verdict(release) for go, release in toolchains.items()},
        }
        for claim in claims()
        if claim.id in spoken
    ]
    grown = []
    for series in dict.fromkeys(f"{major}.{minor}" for major, minor in toolchains.values()):
        with contextlib.suppress(UsageError):  # a release without a model
            grown.append(asdict(growth(series)))
    return runs_pack(runs, of, grown)


def curves_page(what: str, labels: tuple[str, str], type_: str, curves: Sequence[Curve], said: Sequence[str]) -> Pack:
    """Curves of one picture."""
    from mapscope.report.page.lab import Axes, CurveLine, curves_pack

    axes = Axes(what, type_, labels[0], labels[1], "bytes" if "bytes" in labels[1] else "share", what == "pinned")
    return curves_pack(axes, [CurveLine(one.who, one.x, one.y, one.old) for one in curves], said)
