"""``mapscope lab asm``: the instructions that touch ``oldbuckets`` in an executable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mapscope.lab.printing import say

if TYPE_CHECKING:
    from mapscope.lab.asm import Access, Listing

_EPILOG = """\b
Examples:
  mapscope lab asm ./service
  mapscope lab asm ./service -f json

\b
Needs capstone: pip install 'mapscope[asm]'."""


@click.command(epilog=_EPILOG)
@click.argument("executable")
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
def command(executable: str, form: str) -> None:
    """Show where EXECUTABLE loads and stores oldbuckets, and behind which write barrier.

    The map functions of the runtime in it are decoded, and the register with
    the map's header is followed. Swiss maps have no oldbuckets: of them the
    same is shown for dirPtr.
    """
    from mapscope.lab.asm import accesses

    listing = accesses(executable)
    if form == "json":
        click.echo(json.dumps(_document(listing), indent=2))
        return
    for first, line in _lines(listing):
        say(line, "      ", first)


def _document(listing: Listing) -> dict[str, object]:
    return {
        "executable": listing.path,
        "go": listing.go_version,
        "arch": listing.arch,
        "structure": listing.structure,
        "structure_bytes": listing.structure_size,
        "field": listing.field,
        "offset": listing.field_offset,
        "note": listing.note,
        "functions": list(listing.functions),
        "accesses": [
            {
                "function": one.function,
                "address": f"0x{one.address:x}",
                "at": one.offset_in_function,
                "kind": "store" if one.store else "load",
                "instruction": one.text,
                "barrier": one.barrier or None,
                "flag_at": f"0x{one.flag_at:x}" if one.flag_at else None,
            }
            for one in listing.accesses
        ],
    }


def _lines(listing: Listing) -> Iterator[tuple[str, str]]:
    """What stands before each paragraph, and the paragraph."""
    from mapscope.report.escape import clean

    yield (
        "",
        (
            f"{clean(listing.path)}: {clean(listing.go_version)} {listing.arch}; {listing.structure}."
            f"{listing.field} is at offset 0x{listing.field_offset:x} of {listing.structure_size} bytes"
        ),
    )
    if listing.note:
        yield "", listing.note
    stores = [one for one in listing.accesses if one.store]
    guarded = sum(1 for one in stores if one.barrier)
    yield (
        "",
        (
            f"{len(listing.functions)} map functions: {len(listing.accesses) - len(stores)} loads, "
            f"{len(stores)} stores, {guarded} of them behind a write barrier"
        ),
    )
    yield "", ""
    for one in listing.accesses:
        kind = "store" if one.store else "load"
        yield f"{one.address:#10x}  {kind:5s}  ", f"{_where(one):48s} {clean(one.text)}"
        if one.store:
            yield " " * 12, _why(one)


def _where(one: Access) -> str:
    return f"{one.function}+0x{one.offset_in_function:x}"


def _why(one: Access) -> str:
    if not one.barrier:
        return "no write barrier"
    return f"{one.barrier}, when the branch at 0x{one.flag_at:x} finds runtime.writeBarrier set"
