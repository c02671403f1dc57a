"""Writes docs/reference/support.md from the record of a test run: the Go releases, builds and evidence that were tried.

    python -m pytest tests/groundtruth -n 2          # writes build/support.json
    python tools/support_matrix.py                   # writes docs/reference/support.md
    python tools/support_matrix.py --check           # exit 1 when the page is not what the record gives

The page holds no dates and no figures of the machine: the same outcomes give the same page.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODES = {
    "default": "default build",
    "stripped": '`-ldflags="-s -w"`',
    "pie": "`-buildmode=pie`",
    "pie-stripped": "PIE, stripped",
}
LINKED = {
    "pie-external": "PIE, external linking",
    "pie-external-stripped": "the same, stripped",
    "cgo": "cgo",
    "cgo-stripped": "cgo, stripped",
    "cgo-pie": "cgo, PIE, external linking",
    "cgo-pie-stripped": "the same, stripped",
    "plugin": "with a plugin",
    "plugin-stripped": "with a plugin, stripped",
    "c-shared": "`c-shared` in a C program",
    "c-shared-stripped": "the same, stripped",
    "c-archive": "`c-archive` in a C program",
    "linkshared": "`-linkshared`",
}
"""Builds in which a C compiler or several modules take part; a table of its own, with the columns that were tried."""
EVIDENCE = {
    "capture": "`mapscope` capture",
    "gcore": "`gcore`",
    "kernel": "kernel core",
    "qemu": "`qemu-user` core",
    "child": "`qemu-user` core of a child",
    "dump": "heap dump",
}
HEAD = """\
# What is supported

This page is written by `tools/support_matrix.py` from the outcomes of `tests/groundtruth`: Go programs that read their
own map headers, whose every map and header field is compared with what `mapscope analyze` says of their core or heap
dump. It lists what was tried, not what might work.
"""
FOOT = """
Every cell names the kinds of evidence that were taken, with the number of tests that passed. "fails" gives how many did
not. An empty cell was not tried. `noswissmap` and `mapsplitgroup` are values of `GOEXPERIMENT` at build time. Programs
for arm64 were built by the same toolchains and ran under `qemu-user`.

Other releases: the nearest layout table is used with a warning, and refused when its self-check fails.
"""

Outcome = dict[str, Any]
Cells = dict[tuple[str, str, str], list[Outcome]]


def order(release: str) -> tuple[tuple[int, ...], str]:
    """Releases in their order; experiments after the plain one, by name."""
    number, _, experiment = release.partition("+")
    return tuple(int(part) for part in number.split(".")), experiment


def generation(release: str) -> str:
    """Which maps a release has."""
    number, _, experiment = release.partition("+")
    return "classic" if int(number.split(".")[1]) < 24 or experiment == "noswissmap" else "Swiss"


def cell(cells: Cells, arch: str, release: str, mode: str) -> str:
    """The text of one cell: a part for each kind of evidence."""
    by_evidence: dict[str, list[str]] = defaultdict(list)
    for outcome in cells.get((arch, release, mode), ()):
        by_evidence[outcome["evidence"]].append(outcome["outcome"])
    parts = []
    for kind, label in EVIDENCE.items():
        outcomes = by_evidence.get(kind, [])
        passed, failed = outcomes.count("passed"), outcomes.count("failed")
        if failed:
            parts.append(f"{label}: **{failed} of {passed + failed} fails**")
        elif passed:
            parts.append(f"{label}: {passed}")
    return "<br>".join(parts)


def was_run(outcome: Outcome) -> bool:
    """Whether the test was not skipped."""
    return str(outcome["outcome"]) in ("passed", "failed")


def table(cells: Cells, arch: str, modes: dict[str, str]) -> list[str]:
    """The lines of one table: the releases that were tried in one of ``modes``."""
    lines = ["| Go | maps | " + " | ".join(modes.values()) + " |", "|" + "---|" * (2 + len(modes))]
    for release in sorted({key[1] for key in cells if key[0] == arch and key[2] in modes}, key=order):
        name = release.replace("+", " `") + ("`" if "+" in release else "")
        row = [cell(cells, arch, release, mode) for mode in modes]
        lines.append(f"| {name} | {generation(release)} | " + " | ".join(row) + " |")
    return [*lines, ""]


def render(record: list[Outcome]) -> str:
    """The page."""
    cells: Cells = defaultdict(list)
    for outcome in record:
        cells[outcome["arch"], outcome["release"], outcome["mode"]].append(outcome)
    lines = [HEAD]
    for arch in sorted({key[0] for key in cells}):
        lines.append(f"## linux/{arch}\n")
        lines += table(cells, arch, MODES)
        tried = {key[2] for key, outcomes in cells.items() if key[0] == arch and any(map(was_run, outcomes))}
        linked = {mode: label for mode, label in LINKED.items() if mode in tried}
        if linked:
            lines.append("With C, plugins and other ways to link:\n")
            lines += table(cells, arch, linked)
    return "\n".join(lines).rstrip("\n") + "\n" + FOOT


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, default=ROOT / "build" / "support.json")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "reference" / "support.md")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is out of date")
    options = parser.parse_args()
    try:
        record = json.loads(options.record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.stderr.write(f"no record of a test run at {options.record}: run python -m pytest tests/groundtruth first\n")
        return 2
    page = render(record)
    if options.check:
        return 0 if options.output.exists() and options.output.read_text(encoding="utf-8") == page else 1
    options.output.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
