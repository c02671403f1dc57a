"""Reads a document that mapscope wrote: which kind it is, which version made it, and its records.

The file may be anybody's: its size is bounded, and what a terminal would obey in its strings is escaped before they
are decoded. Fields that this version does not know are passed over, as the promise of ``schema`` has it.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

from mapscope import __version__
from mapscope.errors import FormatError
from mapscope.report.diff_document import DiffDocument
from mapscope.report.document import (
    ChainDocument,
    Document,
    DominatorsDocument,
    IteratorsDocument,
    MapDocument,
    MapsDocument,
)
from mapscope.report.escape import clean
from mapscope.report.goroutine_document import GoroutinesDocument
from mapscope.report.growth_document import GrowthPlanDocument, GrowthSimulationDocument
from mapscope.report.history_document import HistoryDocument
from mapscope.report.profile_diff import ProfileDiffDocument
from mapscope.report.profile_document import ProfileDocument
from mapscope.report.query_document import QueryDocument
from mapscope.report.writing import SCHEMA

MAX_BYTES = 1 << 30
"""Of a file: 1 GB holds the document of about a million maps."""
KINDS: dict[str, type[msgspec.Struct]] = {
    str(one.__struct_config__.tag): one
    for one in (
        Document, MapsDocument, MapDocument, ChainDocument, DominatorsDocument, GoroutinesDocument, IteratorsDocument,
        DiffDocument, ProfileDocument, ProfileDiffDocument, QueryDocument, HistoryDocument, GrowthPlanDocument,
        GrowthSimulationDocument,
    )
}  # fmt: skip
"""Documents by their ``kind``."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))|([^\x20-\x7e\n\t])", re.DOTALL)
_SHOWN = frozenset("LNPS")
_OBEYED = {"b": "\\\\b", "f": "\\\\f", "r": "\\\\r"}


class _Writer(msgspec.Struct):
    name: str = ""
    version: str = ""


class _Head(msgspec.Struct):
    """What all documents have; of any type, so that a wrong one can be told from none."""

    kind: object = None
    schema: object = None
    tool: _Writer | None = None


def read_document(data: bytes, name: str) -> msgspec.Struct:
    """The document in ``data``, one of ``KINDS``. ``name`` is that of the file, for errors.

    FormatError: it is no JSON, no document of mapscope, of another schema, or not what its schema says.
    """
    if len(data) > MAX_BYTES:
        raise FormatError(f"{name} is larger than {MAX_BYTES:,} bytes", "write it again for fewer maps: maps --top N")
    text = _harmless(data, name)
    try:
        head = msgspec.json.decode(text, type=_Head)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise FormatError(f"{name} is no document of mapscope: {_words(error)}", _HINT) from None
    version = clean(head.tool.version, 40) if head.tool is not None and head.tool.name == "mapscope" else ""
    if not version or not isinstance(head.schema, int) or isinstance(head.schema, bool):
        raise FormatError(f"{name} is JSON, but no document of mapscope", _HINT)
    if head.schema != SCHEMA:
        raise FormatError(
            f"mapscope {version} wrote {name} in schema {head.schema}; this is mapscope {__version__}, which reads "
            f"schema {SCHEMA}",
            f"open it with mapscope {version}, or write it again from the evidence with this one",
        )
    chosen = [KINDS[head.kind]] if isinstance(head.kind, str) and head.kind in KINDS else list(KINDS.values())
    if head.kind is not None and len(chosen) > 1:
        raise FormatError(
            f"mapscope {version} wrote {name}, a document of kind {clean(str(head.kind), 40)!r}, which mapscope "
            f"{__version__} does not know",
            f"known are {', '.join(KINDS)}",
        )
    for kind in chosen:
        try:
            return msgspec.json.decode(text, type=kind)
        except (msgspec.MsgspecError, RecursionError) as error:
            problem = _words(error)
    told = f": {problem}" if len(chosen) == 1 else ""
    raise FormatError(
        f"{name}, written by mapscope {version}, is not what schema {SCHEMA} says{told}",
        "it was changed or cut since, or an older version made it: write it again from the evidence",
    )


_HINT = "give a file that mapscope wrote with -f json"


def _words(error: Exception) -> str:
    """The error's own words, which name types and fields, never values; ``$`` is the whole."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else clean(str(error), 200)


def _harmless(data: bytes, name: str) -> str:
    """The JSON with letters that a terminal obeys (escapes, bidi marks) as the text of their escapes."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{name} is no document of mapscope: it is no UTF-8 at byte {error.start:,}", _HINT) from None
    return _ESCAPE.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    code, short, raw = found.groups()
    if short is not None:
        return _OBEYED.get(short, found[0])
    char = chr(int(code, 16)) if code is not None else raw
    if unicodedata.category(char)[0] in _SHOWN or char in " \n\t" or 0xD800 <= ord(char) <= 0xDFFF:
        return found[0]
    return f"\\\\u{ord(char):04x}"
