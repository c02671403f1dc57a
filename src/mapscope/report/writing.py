"""What all documents share: who wrote them, and their JSON."""

from __future__ import annotations

import msgspec

from mapscope import __version__
from mapscope.report.document import Tool
from mapscope.report.escape import ascii_json


def tool() -> Tool:
    """This mapscope."""
    return Tool(name="mapscope", version=__version__)


def to_json(document: msgspec.Struct) -> bytes:
    """A small document as indented JSON, printable ASCII."""
    return ascii_json(msgspec.json.format(msgspec.json.encode(document), indent=2)) + b"\n"
