"""Reads the data of a page as the page does, in Python: an oracle for what was written, and a way to change it."""

from __future__ import annotations

import base64
import itertools
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_DATA = re.compile(r'(<script type="application/octet-stream" id="mapscope-data">)([^<]*)(</script>)')


class Opened:
    """The pack of a page."""

    def __init__(self, data: bytes) -> None:
        (size,) = struct.unpack_from("<I", data)
        self.head: dict[str, Any] = json.loads(data[8 : 8 + size])
        self.body = data[8 + size + -(8 + size) % 8 :]
        about = self.head["strings"]
        ends = np.frombuffer(self.body, "<u4", about["n"] + 1, about["ends"]).tolist()
        text = self.body[about["text"] : about["text"] + about["bytes"]]
        self.strings = [text[a:b].decode() for a, b in itertools.pairwise(ends)]

    @property
    def values(self) -> dict[str, Any]:
        """Records and lists."""
        return self.head["values"]  # type: ignore[no-any-return]

    def column(self, section: str, name: str) -> list[Any]:
        """One column; text as text."""
        about = self.head["sections"][section][name]
        kind = "i4" if about["t"] == "str" else about["t"]
        numbers = np.frombuffer(self.body, f"<{kind}", about["n"], about["at"]).tolist()
        if about["t"] != "str":
            return numbers
        return [None if code < 0 else self.strings[code] for code in numbers]


def packed(page: Path) -> bytes:
    """The bytes of the pack in a page."""
    return unpacked(page.read_text(encoding="utf-8"))


def unpacked(text: str) -> bytes:
    """The same of the text of a page."""
    found = _DATA.search(text)
    assert found is not None
    return zlib.decompress(base64.b64decode(found[2]))


def with_pack(page: Path, data: bytes, target: Path) -> Path:
    """The same page with other data."""
    text = base64.b64encode(zlib.compress(data)).decode()
    target.write_text(_DATA.sub(lambda found: found[1] + text + found[3], page.read_text(encoding="utf-8")))
    return target
