"""Draws the states of the maps for the documentation: ``python tools/make_states.py``."""

from __future__ import annotations

from pathlib import Path

from mapscope.lab.model.statemachine import state_machine
from mapscope.lab.model.statepicture import svg

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
PICTURES = {
    "states-classic.svg": ("1.23", "States of a classic map (Go 1.23), found by running its model"),
    "states-swiss.svg": ("1.26", "States of a Swiss map (Go 1.26), found by running its model"),
    "states-article.svg": ("article", "States of the article's map, found by running its model"),
}
"""By file the release and the title."""


def drawn(name: str) -> str:
    """The text of a picture."""
    release, title = PICTURES[name]
    return svg(state_machine(release), title)


def main() -> None:
    """Writes them all."""
    for name in PICTURES:
        (IMAGES / name).write_text(drawn(name), encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()
