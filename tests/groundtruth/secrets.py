"""One core of the program that plants markers, and how to look for what is left of a marker."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

PIECE = 6
"""Bytes in a row that count as a piece of a marker: what chance puts into a file once in a million files."""


@dataclass(frozen=True)
class Planted:
    """A core with markers."""

    marker: str
    """The program has it four times over in each place, so that each aligned word of it is a rotation of this."""
    executable: Path
    core: Path
    truth: dict[str, Any]

    @property
    def pieces(self) -> list[bytes]:
        """Every run of PIECE bytes that a marker has, wherever one cuts it."""
        around = (self.marker * 2).encode()
        return [around[at : at + PIECE] for at in range(len(self.marker))]

    def found_in(self, data: bytes) -> list[int]:
        """Where the first of each piece lies in ``data``."""
        return [at for at in (data.find(piece) for piece in self.pieces) if at >= 0]


@contextmanager
def planted(variant: Variant) -> Iterator[Planted]:
    """Runs the program with a marker of its own and takes its core."""
    marker = "".join(secrets.choice("GHJKMNPQRSTVWXYZ") for _ in range(8))
    executable = harness.build("secrets", variant)
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        environment = {"PASSWORD": marker * 4}
        with harness.running(executable, marker, marker * 4, folder=folder, environment=environment) as program:
            core = harness.take_core(program, variant.evidence, folder)
        yield Planted(marker, executable, core, program.truth)
