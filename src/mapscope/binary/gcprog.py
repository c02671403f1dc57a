"""GC programs: the packed form of a pointer mask.

Format from the comment above runGCProg in runtime/mbitmap.go: a byte ``0nnnnnnn`` emits the next n bits (n = 0 ends),
a byte ``1nnnnnnn`` repeats the n bits before it c times, where c is a varint that follows; n = 0 there means that n
itself is a varint that comes first. The masks of data and bss are written so in every release, those of large types up
to Go 1.23.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapscope.binary.reader import Reader
from mapscope.errors import FormatError

MAX_BITS = 1 << 27
"""No mask longer than this is built: 1 GiB of words."""
_CHUNK = 1 << 12
_MAX_PROGRAM = 1 << 24


def run_gc_program(reader: Reader, address: int, bits: int) -> npt.NDArray[np.bool_]:
    """The mask of exactly ``bits`` words that the program at ``address`` writes, True where a pointer is.

    A program that ends early leaves False; what it writes beyond ``bits`` is cut. FormatError when it cannot be read,
    does not end, or ``bits`` is too large.
    """
    if not 0 <= bits <= MAX_BITS:
        raise FormatError(f"a pointer mask of {bits} words is too large", "the evidence is damaged")
    out = np.zeros(bits, np.bool_)
    source = _Bytes(reader, address)
    at = 0
    while at < bits:
        instruction = source.byte()
        count = instruction & 0x7F
        if instruction < 0x80:
            if count == 0:
                return out
            raw = np.frombuffer(source.take((count + 7) // 8), np.uint8)
            literal = np.unpackbits(raw, bitorder="little")[:count].astype(np.bool_)
            end = min(at + count, bits)
            out[at:end] = literal[: end - at]
            at = end
            continue
        if count == 0:
            count = source.varint()
        times = source.varint()
        if count > at:
            raise FormatError("a GC program repeats more than it wrote", "the evidence is damaged")
        end = min(at + count * times, bits)
        if count and end > at:
            out[at:end] = np.resize(out[at - count : at], end - at)
        at = end
    return out


class _Bytes:
    """A bounded stream of bytes from a Reader."""

    def __init__(self, reader: Reader, address: int) -> None:
        self._reader = reader
        self._next = address
        self._buffer = b""
        self._at = 0
        self._left = _MAX_PROGRAM

    def take(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size:
            self._fill()
        self._at += size
        return self._buffer[self._at - size : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise FormatError("a GC program holds an endless number", "the evidence is damaged")

    def _fill(self) -> None:
        size = min(_CHUNK - self._next % _CHUNK, self._left)
        part = self._reader.read(self._next, size) if size else None
        while part is None and size > 1:  # the end of what can be read may lie inside the chunk
            size //= 2
            part = self._reader.read(self._next, size)
        if not part:
            raise FormatError("a GC program cannot be read to its end", "use the whole executable and core")
        self._buffer = self._buffer[self._at :] + part
        self._at = 0
        self._next += size
        self._left -= size
