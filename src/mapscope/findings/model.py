"""What a rule says: one judged fact."""

from __future__ import annotations

from msgspec import Struct, field

from mapscope.maps.model import Confidence
from mapscope.units import Addr


class Advice(Struct, frozen=True):
    """What to change. ``text`` is one or two sentences; ``code`` is a Go sketch, formatted as gofmt would."""

    text: str
    code: str = ""


class Finding(Struct, frozen=True):
    """One judged fact: rule, bytes, subject, evidence, advice, confidence.

    ``evidence`` names what proves it, in the runtime's own words: header fields (``oldbuckets``, ``nevacuate`` …) with
    their values, and the sums that were counted. Values are int or str; addresses are ints under names that the report
    prints in hex (see ``ADDRESS_FIELDS`` in report/document.py).
    """

    rule: str
    """``R1`` … ``R17`` of the rule catalogue."""
    title: str
    """One line, no bytes in it: ``growth in progress holds the old bucket array``."""
    bytes: int
    """Bytes held for nothing, as the rule defines them."""
    subject: Addr
    """Address of the map."""
    confidence: Confidence
    why: str
    """How sure and why, one sentence."""
    evidence: dict[str, int | str] = field(default_factory=dict)
    advice: Advice = Advice("")
    part_of: str = ""
    """Another rule whose finding on the same map already counts these bytes; empty where they are counted here."""
    maps: int = 1
    """Maps that the finding speaks of: 1, or many small ones of one type; ``subject`` is then the largest of them."""
