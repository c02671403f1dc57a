"""Pictures of curves: PNG and SVG by matplotlib, an optional dependency."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from mapscope.errors import UsageError
from mapscope.lab.curves.series import Curve

NO_MATPLOTLIB = "matplotlib is not installed"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Told apart by everyone (Okabe and Ito 2008)."""


def check() -> None:
    """UsageError where pictures cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(NO_MATPLOTLIB, "pip install 'mapscope[lab]'; or --csv-only for the data alone")


def draw(curves: Sequence[Curve], title: str, labels: tuple[str, str], targets: Sequence[Path], bars: bool) -> None:
    """One picture of all curves in each target file; ``bars``: few points, marked. Old arrays are drawn as areas."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "mapscope"
    from matplotlib import pyplot as plt
    from matplotlib.ticker import EngFormatter

    figure, axes = plt.subplots(figsize=(9, 5.5), dpi=120)
    colours: dict[str, str] = {}
    for number, curve in enumerate(curves):
        family = _family(curve.who)
        colour = colours.setdefault(family, _COLOURS[len(colours) % len(_COLOURS)])
        style = "-" if curve.who.startswith("Go") else "--" if curve.who.startswith("model") else ":"
        axes.plot(
            curve.x, curve.y, style, color=colour, label=curve.who, marker="o" if bars else "", linewidth=1.4,
            drawstyle="default" if bars else "steps-post", zorder=10 - number,
        )  # fmt: skip
        if curve.old and any(curve.old) and curve.who.startswith("Go"):
            axes.fill_between(
                curve.x, curve.old, step="post", color=colour, alpha=0.18, label=f"{curve.who}: old array"
            )  # fmt: skip
    if bars:
        axes.set_xscale("log", base=2)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    unit = "B" if "bytes" in labels[1] else ""
    axes.yaxis.set_major_formatter(EngFormatter(unit))
    if not bars:
        axes.xaxis.set_major_formatter(EngFormatter())
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    axes.set_ylim(bottom=0)
    figure.tight_layout()
    for target in targets:
        figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else {"Software": "mapscope"})
    plt.close(figure)


def _family(who: str) -> str:
    """``1.23`` of ``Go 1.23.9`` and of ``model 1.23``: one colour."""
    word = who.split(" ")[-1]
    return ".".join(word.split(".")[:2]) if word[:1].isdigit() else who
