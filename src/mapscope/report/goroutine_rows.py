"""Goroutines as rows of documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from mapscope.report.escape import clean
from mapscope.report.scalars import Address, Bytes, Count
from mapscope.units import hex_addr

if TYPE_CHECKING:
    from mapscope.goruntime.frames import Frame, Goroutine


class FrameRow(Struct, frozen=True, kw_only=True):
    """One function of the source on a stack, inlined ones unfolded."""

    function: str
    file: str
    line: int
    pc: Address
    inlined: bool
    conservative: Annotated[bool, Meta(description="Which of its words are live is not known.")]


class GoroutineRow(Struct, frozen=True, kw_only=True):
    """One goroutine."""

    id: int
    address: Address
    status: str
    wait_reason: str | None
    wait_seconds: Annotated[float | None, Meta(description="It has waited at least this long.")]
    system: Annotated[bool, Meta(description="Made by the runtime for itself.")]
    created_by: Annotated[str | None, Meta(description="Function, file and line of its go statement.")]
    parent: int | None
    frames: list[FrameRow]
    problem: Annotated[str | None, Meta(description="Why frames are missing or not to be trusted.")]
    maps: Annotated[
        Count | None, Meta(description="Maps that only this goroutine's stack keeps; null: chains were left out.")
    ]
    map_bytes: Annotated[Bytes | None, Meta(description="Bytes of those maps' own arrays; null: as maps.")]


def goroutine_rows(found: Iterable[Goroutine], held: Mapping[int, tuple[int, int]] | None) -> list[GoroutineRow]:
    """The rows; ``held``: maps and bytes that only a goroutine's stack keeps, by address of its g; None: not known."""
    known: dict[Frame, FrameRow] = {}
    return [_row(one, (None, None) if held is None else held.get(one.address, (0, 0)), known) for one in found]


def _frame(frame: Frame, known: dict[Frame, FrameRow]) -> FrameRow:
    """Each distinct frame once: thousands of goroutines stand in the same places."""
    if frame not in known:
        known[frame] = FrameRow(
            function=clean(frame.function),
            file=clean(frame.file),
            line=frame.line,
            pc=hex_addr(frame.pc),
            inlined=frame.inlined,
            conservative=frame.conservative,
        )
    return known[frame]


def _row(one: Goroutine, held: tuple[int, int] | tuple[None, None], known: dict[Frame, FrameRow]) -> GoroutineRow:
    created = f"{clean(one.creator_function)} at {clean(one.creator_file or '?')}:{one.creator_line}" if (
        one.creator_function
    ) else None  # fmt: skip
    return GoroutineRow(
        id=one.id,
        address=hex_addr(one.address),
        status=one.status,
        wait_reason=None if one.wait_reason is None else clean(one.wait_reason),
        wait_seconds=one.wait_seconds,
        system=one.system,
        created_by=created,
        parent=one.parent,
        frames=[_frame(frame, known) for frame in one.frames],
        problem=one.problem,
        maps=held[0],
        map_bytes=held[1],
    )
