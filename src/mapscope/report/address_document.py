"""What a server says of one address, of a part of the dominator tree, of types. Records only."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mapscope.report.document import EntryRow, StepRow
from mapscope.report.scalars import Address, Bytes, Count


class SpanRow(Struct, frozen=True, kw_only=True):
    """The span of a slot (``mspan`` of runtime/mheap.go)."""

    address: Address
    bytes: Bytes
    slots: Count
    slot_bytes: Bytes
    pointers: Annotated[bool, Meta(description="false: its objects hold no pointers.")]


class OwnerRow(Struct, frozen=True, kw_only=True):
    """The map that an object is a part of."""

    address: Address
    type: str | None
    part: Annotated[
        str,
        Meta(
            description="header, buckets, old buckets, overflow buckets, extra, directory, table or groups of the map."
        ),
    ]


class AddressDocument(Struct, frozen=True, kw_only=True):
    """What lies at one address, and who holds it."""

    address: Address
    kind: Annotated[
        str, Meta(description="object, garbage, free, span, variable, stack, code, types, memory or nothing.")
    ]
    words: Annotated[str, Meta(description="The same in one sentence.")]
    start: Annotated[Address | None, Meta(description="Where the slot or the variable begins.")]
    offset: Annotated[int, Meta(ge=0, description="Bytes from there to the address.")]
    bytes: Annotated[int, Meta(ge=0, description="Of the slot; 0 where there is none.")]
    type: Annotated[str | None, Meta(description="As Go prints it; []T for an array over the whole slot.")]
    field: Annotated[str | None, Meta(description="The field at the address, where it is not the start.")]
    name: Annotated[str | None, Meta(description="Of a variable, a function, a goroutine.")]
    uncertain: Annotated[bool, Meta(description="Only conservatively scanned words lead to it.")]
    span: SpanRow | None
    map: Annotated[OwnerRow | None, Meta(description="The map that it is a part of.")]
    is_map: Annotated[bool, Meta(description="The address is that of a map's header: the map has a page.")]
    chain: Annotated[list[StepRow] | None, Meta(description="The shortest way from a root; null: nothing holds it.")]
    retained_bytes: Annotated[int | None, Meta(description="Bytes that would be free without it.")]
    dominator: Annotated[StepRow | None, Meta(description="The nearest step of every chain; null: several roots.")]
    can_show: Annotated[bool, Meta(description="The server was started with --show-contents.")]


class ContentsDocument(Struct, frozen=True, kw_only=True):
    """Some contents of one object or map, cut and escaped as ``mapscope map --show-contents`` does."""

    address: Address
    entries: list[EntryRow]
    more: Annotated[int, Meta(ge=0, description="Entries of a map that are left out.")]
    redacted: bool


class BranchRow(Struct, frozen=True, kw_only=True):
    """One node of the dominator tree."""

    node: Annotated[int, Meta(ge=1, description="Its number, to ask for what lies below it.")]
    step: StepRow
    retained_bytes: Bytes
    shallow_bytes: Bytes
    below: Annotated[bool, Meta(description="It dominates other objects.")]


class BranchDocument(Struct, frozen=True, kw_only=True):
    """The dominator tree right below one node; 0 is the whole heap."""

    node: Count
    retained_bytes: Bytes
    shallow_bytes: Bytes
    children: Count
    rows: Annotated[list[BranchRow], Meta(description="Those that retain most, in order.")]
    rest_bytes: Annotated[int, Meta(ge=0, description="What the children that are not in rows retain.")]
