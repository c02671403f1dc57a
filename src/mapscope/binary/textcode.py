"""The text of a program searched with NumPy for calls, address constants and stores; nothing is decoded.

A pattern of bytes can also lie inside another instruction. So results are either sets that someone validates
(addresses of types), or places where a decoder that starts at a known instruction confirms them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint64]


class References(NamedTuple):
    """Instructions found: ``site`` is the address of each, ``end`` the address after it, ``target`` what it refers to.

    ``register`` is the machine's number of the register that takes or gives the value (hardware encoding; -1 for
    calls).
    """

    site: U8
    end: U8
    target: U8
    register: npt.NDArray[np.int8]


class TextCode:
    """The bytes of the text at ``start``. Addresses in and out are absolute."""

    def __init__(self, data: bytes | memoryview, start: int, arch: str) -> None:
        """``arch`` is ``"amd64"`` or ``"arm64"``."""
        self.data = np.frombuffer(data, np.uint8)
        self.start = start
        self.arch = arch
        self._known: dict[int, tuple[npt.NDArray[np.int64], ...]] = {}

    @property
    def end(self) -> int:
        """Address after the last byte."""
        return self.start + self.data.size

    def calls(self, *, anywhere: bool = False) -> References:
        """Direct calls whose target lies in these bytes, or ``anywhere``."""
        found = _amd64_calls(self.data) if self.arch == "amd64" else _arm64_calls(self.data)
        inside = ((found[2] >= 0) & (found[2] < self.data.size)) | anywhere
        return self._references(found, inside)

    def addresses(self, low: int, high: int) -> References:
        """Instructions that make an address in [low, high): LEA (amd64), ADRP with ADD (arm64)."""
        return self._within(0x8D, "add", low, high)

    def stores(self, low: int, high: int) -> References:
        """Instructions that store an 8-byte register to an address in [low, high)."""
        return self._within(0x89, "str", low, high)

    def loads(self, low: int, high: int) -> References:
        """Instructions that load an 8-byte register from an address in [low, high)."""
        return self._within(0x8B, "ldr", low, high)

    def _within(self, amd64: int, arm64: str, low: int, high: int) -> References:
        """By the opcode on each architecture. Found once: the same is asked for several ranges."""
        found = self._known.get(amd64)
        if found is None:
            rip = self.arch == "amd64"
            found = _amd64_rip(self.data, amd64) if rip else _arm64_pages(self.data, self.start, arm64)
            self._known[amd64] = found
        target = found[2] + self.start
        return self._references(found, (target >= low) & (target < high))

    def _references(self, found: tuple[npt.NDArray[np.int64], ...], keep: npt.NDArray[np.bool_]) -> References:
        site, end, target, register = (column[keep] for column in found)
        base = np.uint64(self.start)
        return References(
            site.astype(np.uint64) + base,
            end.astype(np.uint64) + base,
            (target + self.start).astype(np.uint64),
            register.astype(np.int8),
        )


def _signed(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The 32-bit signed numbers at the offsets ``at``."""
    value = data[at].astype(np.uint32)
    for byte in (1, 2, 3):
        value |= data[at + byte].astype(np.uint32) << np.uint32(8 * byte)
    return value.view(np.int32).astype(np.int64)


def _amd64_calls(data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], ...]:
    site = np.flatnonzero(data[: max(data.size - 4, 0)] == 0xE8).astype(np.int64)
    return site, site + 5, site + 5 + _signed(data, site + 1), np.full(site.size, -1, np.int64)


def _amd64_rip(data: npt.NDArray[np.uint8], opcode: int) -> tuple[npt.NDArray[np.int64], ...]:
    """REX.W ``opcode`` with a 64-bit register and an operand relative to rip: seven bytes."""
    site = np.flatnonzero(data[1 : max(data.size - 5, 1)] == opcode).astype(np.int64)
    rex, modrm = data[site], data[site + 2]
    keep = ((rex == 0x48) | (rex == 0x4C)) & (modrm & 0xC7 == 0x05)
    site, rex, modrm = site[keep], rex[keep], modrm[keep]
    register = (modrm >> 3 & 7).astype(np.int64) + np.where(rex == 0x4C, 8, 0)
    return site, site + 7, site + 7 + _signed(data, site + 3), register


def _arm64_words(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    return np.frombuffer(data.tobytes()[: data.size // 4 * 4], "<u4").astype(np.int64)


def _arm64_calls(data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], ...]:
    words = _arm64_words(data)
    index = np.flatnonzero(words >> 26 == 0b100101)
    offset = (words[index] & 0x3FFFFFF) << 2
    offset -= (offset >> 27 & 1) << 28
    site = index.astype(np.int64) * 4
    return site, site + 4, site + offset, np.full(site.size, -1, np.int64)


def _arm64_pages(data: npt.NDArray[np.uint8], start: int, what: str) -> tuple[npt.NDArray[np.int64], ...]:
    """ADRP followed at once by ADD (immediate), or STR or LDR (64-bit, unsigned offset), with the register it made.

    Go 1.19 has an ADD between ADRP and a STR or LDR, too.
    """
    words = _arm64_words(data)
    opcode = {"add": 0x91000000, "str": 0xF9000000, "ldr": 0xF9400000}[what]
    scale = 1 if what == "add" else 8
    first, second = words[:-1], words[1:]
    page = first & 0x9F000000 == 0x90000000
    short = np.flatnonzero(page & (second & 0xFFC00000 == opcode) & (second >> 5 & 31 == first & 31))
    site, end, register = short * 4, short * 4 + 8, second[short] & 31
    target = _page(first[short], short * 4 + start) + (second[short] >> 10 & 0xFFF) * scale
    if what != "add" and words.size > 2:
        added = page & (second & 0xFFC00000 == 0x91000000) & (second >> 5 & 31 == first & 31)
        third = words[2:]
        long = np.flatnonzero(added[:-1] & (third & 0xFFC00000 == opcode) & (third >> 5 & 31 == second[:-1] & 31))
        far = _page(first[long], long * 4 + start) + (second[long] >> 10 & 0xFFF) + (third[long] >> 10 & 0xFFF) * 8
        site, end = np.concatenate([site, long * 4]), np.concatenate([end, long * 4 + 12])
        target, register = np.concatenate([target, far]), np.concatenate([register, third[long] & 31])
        order = np.argsort(site, kind="stable")
        site, end, target, register = site[order], end[order], target[order], register[order]
    return site, end, target - start, register


def _page(words: npt.NDArray[np.int64], address: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What the ADRP instructions ``words`` at ``address`` make: a page relative to their own."""
    offset = (words >> 5 & 0x7FFFF) << 2 | words >> 29 & 3
    offset -= (offset >> 20 & 1) << 21
    return (address >> 12 << 12) + (offset << 12)
