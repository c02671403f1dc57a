"""What all documents share: who wrote them, and their JSON."""

from __future__ import annotations

import msgspec

from mapscope import __version__
from mapscope.report.escape import ascii_json

SCHEMA = 1
"""The number in ``schema``. It rises when a field goes or changes its meaning."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """What wrote the document."""

    name: str
    version: str


def tool() -> Tool:
    """This mapscope."""
    return Tool(name="mapscope", version=__version__)


def to_json(document: msgspec.Struct) -> bytes:
    """A small document as indented JSON, printable ASCII."""
    return ascii_json(msgspec.json.format(msgspec.json.encode(document), indent=2)) + b"\n"
