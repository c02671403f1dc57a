"""A picture of a simulation: SVG or PNG by matplotlib, an optional dependency (extra ``lab``)."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from mapscope.errors import UsageError
from mapscope.report.growth_document import GrowthSimulationDocument

_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#666666"
"""Told apart by everyone (Okabe and Ito 2008)."""


def check(path: Path) -> None:
    """UsageError where the picture could not be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("matplotlib is not installed", "pip install 'mapscope[lab]', or leave out --plot")
    if path.suffix not in (".svg", ".png"):
        raise UsageError(f"{path} is neither .svg nor .png", "give --plot FILE.svg")
    if not path.parent.is_dir():
        raise UsageError(f"the folder of {path} does not exist", "give --plot a file in a folder that does")
    if path.exists():
        raise UsageError(f"{path} exists already", "give --plot another file")


def draw(document: GrowthSimulationDocument, path: Path) -> None:
    """Load and free capacity over time, with their thresholds, and the moves under way."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "mapscope"
    from matplotlib import pyplot as plt

    hours = [one.hours for one in document.rounds]
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9, 5.5), dpi=120, sharex=True, gridspec_kw={"height_ratios": [3, 1]}
    )
    top.plot(hours, [one.busiest for one in document.rounds], color=_ORANGE, label="busiest node: load ratio")
    top.plot(hours, [one.mean_load for one in document.rounds], color=_BLUE, label="fleet: load ratio")
    top.plot(hours, [one.least_free for one in document.rounds], color=_GREEN, label="fullest node: free capacity")
    top.axhline(document.settings["load_enter"], color=_ORANGE, linestyle=":", linewidth=1)
    top.axhline(document.settings["free_enter"], color=_GREEN, linestyle=":", linewidth=1)
    top.set_ylim(0, None)
    top.legend(frameon=False, fontsize=8, loc="center right")
    top.set_title(f"{document.nodes:,} nodes, {document.shards:,} shards: {document.moves:,} moves")
    bottom.fill_between(hours, [one.moving for one in document.rounds], step="post", color=_GREY, alpha=0.6)
    bottom.set_ylabel("moves under way")
    bottom.set_xlabel("hours")
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": "mapscope"})
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}", "give --plot another file") from error
    finally:
        plt.close(figure)
