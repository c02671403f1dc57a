"""Moves as they are asked for: on the command line, and in the JSON of ``mapscope growth plan``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mapscope.growth.controller import Wanted
from mapscope.growth.trouble import GrowthError


class _Move(msgspec.Struct):
    shard: int
    source: str
    target: str


class _Plan(msgspec.Struct):
    moves: list[_Move]


def move(text: str) -> Wanted:
    """``SHARD:SOURCE:TARGET``. GrowthError where it is not that."""
    parts = text.split(":")
    if len(parts) != 3 or not parts[0].isascii() or not parts[0].isdigit() or len(parts[0]) > 9:
        raise GrowthError(f"{text!r} is no move", "write SHARD:SOURCE:TARGET, as in 42:a:b")
    return int(parts[0]), parts[1], parts[2]


def plan(path: Path) -> list[Wanted]:
    """The moves of a plan. GrowthError where the file holds none."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Plan, strict=False)
    except msgspec.DecodeError as error:
        raise GrowthError(f"{path} is no plan: {error}", "mapscope growth plan -f json writes one") from None
    return [(one.shard, one.source, one.target) for one in found.moves]
