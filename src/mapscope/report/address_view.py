"""From a snapshot to the documents that a server answers with: one address, one branch, contents on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mapscope.maps.contents import Content
from mapscope.report import address_document as doc
from mapscope.report.document import EntryRow
from mapscope.report.escape import clean, valid
from mapscope.report.holding import step_row
from mapscope.report.map_view import content_text
from mapscope.units import hex_addr, human_bytes

if TYPE_CHECKING:
    from mapscope.heap.holding import Branch, Held
    from mapscope.heap.lookup import Spot
    from mapscope.maps.owner import Owner

_WORDS = {
    "object": "a live object",
    "garbage": "an object that no root reaches: the next collection frees it",
    "free": "a free slot of the heap",
    "span": "the rest of a span, behind its last slot",
    "variable": "a variable of the program",
    "stack": "the stack of a goroutine",
    "code": "machine code of the program",
    "types": "type descriptors of the program",
    "memory": "memory that is no part of the Go heap, of stacks, data or code",
    "nothing": "nothing: this address is not in the evidence",
}


def build_address(
    spot: Spot, owner: Owner | None, held: Held | None, *, is_map: bool, shows: bool
) -> doc.AddressDocument:
    """The document of one address. ``held``: who holds it, None where nothing does; ``shows``: contents are served."""
    return doc.AddressDocument(
        address=hex_addr(spot.address),
        kind=spot.kind,
        words=_sentence(spot, owner),
        start=hex_addr(spot.start) if spot.start else None,
        offset=spot.address - spot.start if spot.start else 0,
        bytes=spot.size,
        type=_text(spot.type),
        field=_text(spot.field),
        name=_text(spot.name),
        uncertain=spot.uncertain,
        span=None
        if spot.span is None
        else doc.SpanRow(
            address=hex_addr(spot.span.address),
            bytes=spot.span.bytes,
            slots=spot.span.slots,
            slot_bytes=spot.span.slot_bytes,
            pointers=spot.span.pointers,
        ),
        map=None
        if owner is None
        else doc.OwnerRow(address=hex_addr(owner.map.address), type=_text(owner.map.type_name), part=owner.part),
        is_map=is_map,
        chain=None if held is None else [step_row(step) for step in held.chain],
        retained_bytes=None if held is None else held.retained,
        dominator=None if held is None or held.dominator is None else step_row(held.dominator),
        can_show=shows and (is_map or spot.kind == "object"),
    )


def _sentence(spot: Spot, owner: Owner | None) -> str:
    words = f"At {hex_addr(spot.address)} lies {_WORDS[spot.kind]}"
    if spot.kind == "object":
        words += f" of {human_bytes(spot.size)}" + (", type " + clean(spot.type) if spot.type else ", of unknown type")
    if owner is not None:
        words += f": {owner.part} of a map"
    return words + "."


def _text(text: str | None) -> str | None:
    return None if text is None else valid(text)


def build_branch(node: int, branch: Branch) -> doc.BranchDocument:
    """The document of a node of the dominator tree."""
    return doc.BranchDocument(
        node=node,
        retained_bytes=branch.retained,
        shallow_bytes=branch.shallow,
        children=branch.children,
        rows=[
            doc.BranchRow(node=at, step=step_row(step), retained_bytes=kept, shallow_bytes=own, below=below)
            for at, step, kept, own, below in branch.rows
        ],
        rest_bytes=branch.rest,
    )


def build_contents(
    address: int, entries: Sequence[tuple[Content | str, Content]], more: int, *, redacted: bool
) -> doc.ContentsDocument:
    """Entries of a map, or named fields of an object, as ``mapscope map --show-contents`` writes them."""
    return doc.ContentsDocument(
        address=hex_addr(address),
        entries=[
            EntryRow(key=clean(key) if isinstance(key, str) else content_text(key), value=content_text(value))
            for key, value in entries
        ],
        more=more,
        redacted=redacted,
    )
