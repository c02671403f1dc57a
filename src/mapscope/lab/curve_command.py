"""``mapscope lab curve``: what maps keep against how they grow, of real Go, of the model and by the article."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from mapscope.errors import UsageError
from mapscope.lab.printing import say

_EPILOG = """\b
Examples:
  mapscope lab curve --go 1.23 --go 1.26 --type 'map[string]int' --to 60000
  mapscope lab curve --what stalled --go 1.23 --to 20000
  mapscope lab curve --what pinned --go 1.23 --go 1.26 --to 10000
  mapscope lab curve --go 1.23 --go 1.26 -f html

\b
Writes NAME.csv, NAME.png and NAME.svg into the folder of -o. Toolchains that
are not here are brought from PyPI. The pictures need mapscope[lab]."""
_MOST = 20_000_000
_LABELS = {
    "residency": ("inserts", "live bytes"),
    "stalled": ("entries", "share of maps left in mid growth"),
    "pinned": ("growth of the map since the loop began", "bytes that only the loop keeps"),
}


@click.command(epilog=_EPILOG)
@click.option("--what", type=click.Choice(tuple(_LABELS)), default="residency", show_default=True, help="Which curve.")
@click.option(
    "--go", "releases", multiple=True, metavar="VERSION", help="Releases; may be repeated. Default: 1.23, 1.26."
)
@click.option("--type", "type_", default="map[string]int", show_default=True, metavar="TYPE", help="Of the map.")
@click.option(
    "--to", type=click.IntRange(min=16, max=_MOST), default=60_000, show_default=True, metavar="N",
    help="Entries at the end; with --what pinned, when the loop begins.",
)  # fmt: skip
@click.option("-o", "--output", "folder", default="curves", show_default=True, metavar="FOLDER", help="Where to write.")
@click.option("--csv-only", is_flag=True, help="No pictures.")
@click.option(
    "-f", "--format", "form", type=click.Choice(("pictures", "html")), default="pictures", show_default=True,
    help="html: a page in place of the pictures, NAME.html.",
)  # fmt: skip
def command(what: str, releases: tuple[str, ...], type_: str, to: int, folder: str, csv_only: bool, form: str) -> None:
    """Draw what maps keep as they grow: measured on real Go, by the model, and as the article predicts."""
    from mapscope.lab.curves import draw, series
    from mapscope.lab.curves.measure import Shape
    from mapscope.lab.page import curves_page, write_page

    if not csv_only and form == "pictures":
        draw.check()
    shape = Shape.parse(type_)
    curves: list[series.Curve] = []
    model_type = None
    for release in releases or ("1.23", "1.26"):
        click.echo(f"Go {release}: {what} of {type_}", err=True)
        if what == "residency":
            found, model_type = series.residency(release, shape, to)
            curves += found
        else:
            curves += (series.stalled if what == "stalled" else series.pinned)(release, shape, to)
    if what == "residency" and model_type is not None and to <= series.READABLE:
        curves.append(series.article(model_type, to))
    if to > series.READABLE:
        click.echo(f"beyond {series.READABLE:,} inserts only classic maps are modelled", err=True)
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with open(target / f"{what}.csv", "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(series.rows(curves, _columns(what)))
        files = [target / f"{what}.csv"]
        if form == "html":
            said = [_summary(what, curve) for curve in curves]
            page = curves_page(what, _LABELS[what], type_, curves, said)
            write_page(page, f"mapscope lab curve: {what} of {type_}", str(target / f"{what}.html"))
            files.append(target / f"{what}.html")
        elif not csv_only:
            pictures = [target / f"{what}.png", target / f"{what}.svg"]
            draw.draw(curves, f"{type_}", _LABELS[what], pictures, bars=what == "pinned")
            files += pictures
    except OSError as error:
        raise UsageError(f"cannot write in {folder}: {error.strerror or error}", "give -o another folder") from error
    for curve in curves:
        say(_summary(what, curve), " " * 15)
    for file in files:
        click.echo(f"wrote {file}")


def _columns(what: str) -> tuple[str, str]:
    return {
        "residency": ("inserts", "live_bytes"),
        "stalled": ("entries", "share_stalled"),
        "pinned": ("growth_factor", "pinned_bytes"),
    }[what]


def _summary(what: str, curve: object) -> str:
    """One line a curve."""
    from mapscope.lab.curves.series import Curve, stalled_share
    from mapscope.units import human_bytes

    assert isinstance(curve, Curve)
    if what == "stalled":
        share = stalled_share(curve)
        said = (
            "no growth that stays behind" if share is None else f"{100 * share:.2f} % of sizes are left in mid growth"
        )
        return f"{curve.who:14} {said}"
    last, most = human_bytes(round(curve.y[-1])), human_bytes(round(max(curve.y)))
    return f"{curve.who:14} {last} at {curve.x[-1]:,}, at most {most}"
