"""What a redacted core says about itself: one note of ours, which only mapscope reads.

Redaction takes the words away that prove some things, so what was found in the whole core is carried along: which maps
and iterators were known by their shape, which pages were resident, what was missing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.arrays import unique

U8 = npt.NDArray[np.uint64]

OWNER = "mapscope"
NT_REDACTED = 1
VERSION = 1
_HEAD = 8
_MAX_HEAD = 1 << 20
_MAX_MISSING = 1 << 10


class Redaction(Struct, frozen=True):
    """The note of a redacted core.

    ``maps``: headers of the maps that shape alone gave away, ascending; ``iterators``: addresses of all iterators,
    ascending; ``resident``: starts and ends of what was resident, ascending (n × 2); all uint64.
    """

    tool: str
    """Version of the mapscope that wrote it."""
    missing: tuple[str, ...]
    """What the whole core lacked already."""
    maps: U8
    iterators: U8
    resident: U8

    def encode(self) -> bytes:
        """The description of the note."""
        import json

        arrays = {"maps": self.maps, "iterators": self.iterators, "resident": self.resident.reshape(-1)}
        head = {"version": VERSION, "tool": self.tool, "missing": list(self.missing)}
        text = json.dumps(head | {name: len(values) for name, values in arrays.items()}).encode()
        text = text.ljust(-(-len(text) // 8) * 8)
        body = b"".join(values.astype("<u8").tobytes() for values in arrays.values())
        return len(text).to_bytes(_HEAD, "little") + text + body

    @classmethod
    def decode(cls, description: bytes) -> Redaction | None:
        """The note, or None where it is none that this version understands."""
        import json  # few cores have such a note

        size = int.from_bytes(description[:_HEAD], "little")
        if size > min(_MAX_HEAD, len(description) - _HEAD):
            return None
        try:
            head = json.loads(description[_HEAD : _HEAD + size])
            if head["version"] != VERSION:
                return None
            counts = [int(head[name]) for name in ("maps", "iterators", "resident")]
            missing = tuple(str(text) for text in head["missing"][:_MAX_MISSING])
            tool = str(head["tool"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        start = _HEAD + size
        if min(counts) < 0 or counts[2] % 2 or start + 8 * sum(counts) > len(description):
            return None
        words = np.frombuffer(description, dtype="<u8", count=sum(counts), offset=start).astype(np.uint64)
        maps, iterators, resident = np.split(words, np.cumsum(counts)[:-1])
        resident = resident.reshape(-1, 2)
        flat = resident.reshape(-1)
        if len(flat) and (int(flat.max()) > 1 << 48 or (flat[1:] < flat[:-1]).any()):
            return None
        return cls(tool, missing, unique(maps), unique(iterators), resident)
