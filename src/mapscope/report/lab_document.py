"""What the commands of the lab write with ``-f json``: lists of these. Records only; each command fills its own."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Value = int | float | str | bool | None
Verdicts = Annotated[dict[str, str], Meta(description="Verdicts on claims of the article, by the claim's number.")]
Section = Annotated[str | None, Meta(description="Of the article; null where the article missed it.")]


class LabCheck(Struct, frozen=True, kw_only=True):
    """One thing that was compared."""

    what: str
    ok: bool
    numbers: dict[str, Value]
    claims: Verdicts


class LabRun(Struct, frozen=True, kw_only=True):
    """One scenario on one release: an element of what ``mapscope lab run -f json`` writes."""

    scenario: str
    section: Section
    go: str
    ok: bool
    failure: Annotated[str | None, Meta(description="Why the program gave no truth; null where it did.")]
    kept: Annotated[str | None, Meta(description="Folder of --keep.")]
    checks: list[LabCheck]


class LabScenario(Struct, frozen=True, kw_only=True):
    """One scenario: an element of what ``mapscope lab scenarios -f json`` writes."""

    name: str
    section: Section
    shows: str
    claims: Annotated[list[int], Meta(description="Claims that it settles.")]
    classic: Annotated[list[str], Meta(description="Rules that must be found on classic maps.")]
    swiss: Annotated[list[str], Meta(description="Rules that must be found on Swiss maps.")]
    since: str


class LabSource(Struct, frozen=True, kw_only=True):
    """Where Go's source settles a claim."""

    file: str
    name: str
    first: Annotated[str, Meta(description="The first release that has it there.")]
    last: Annotated[str | None, Meta(description="The last; null: all since.")]


class LabClaim(Struct, frozen=True, kw_only=True):
    """One claim of the article: an element of what ``mapscope lab claims -f json`` writes."""

    id: int
    section: str
    claim: str
    left_out: bool
    classic: str
    swiss: str
    exceptions: dict[str, str]
    why: str
    why_swiss: str
    source: list[LabSource]
    settled_by: str
    settled: str | None


class LabJudgement(Struct, frozen=True, kw_only=True):
    """One claim on one release: an element of what ``mapscope lab verify -f json`` writes."""

    go: str
    claim: int
    section: str
    text: str
    verdict: str
    result: str
    evidence: str
    settled_by: str


class LabToolchain(Struct, frozen=True, kw_only=True):
    """One release: an element of what ``mapscope lab toolchains list -f json`` writes."""

    version: str
    goroot: Annotated[str | None, Meta(description="null: it is not here.")]


class LabAccess(Struct, frozen=True, kw_only=True):
    """One instruction that loads or stores the field."""

    function: str
    address: str
    at: Annotated[int, Meta(description="Offset in the function.")]
    kind: Annotated[str, Meta(description="load or store.")]
    instruction: str
    barrier: str | None
    flag_at: Annotated[str | None, Meta(description="Where runtime.writeBarrier is tested for it.")]


class LabListing(Struct, frozen=True, kw_only=True):
    """What ``mapscope lab asm -f json`` writes."""

    executable: str
    go: str
    arch: str
    structure: str
    structure_bytes: int
    field: str
    offset: int
    note: str
    functions: list[str]
    accesses: list[LabAccess]
