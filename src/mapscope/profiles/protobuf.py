"""Profiles in protocol buffers: bytes to columns and back, by the kernel ``pprof``."""

from __future__ import annotations

import numpy as np

from mapscope._kernels import load
from mapscope._kernels.reference import pprof as wire
from mapscope.errors import EvidenceError
from mapscope.profiles.model import DAMAGED, Profile, checked

MAX_TABLES = 2 << 30
"""Bytes that the columns of one profile may take."""


def read_protobuf(origin: str, data: bytes | bytearray) -> Profile:
    """The profile in ``data`` (not compressed). EvidenceError where it is none, or one that would take too much."""
    codec, raw = load("pprof"), np.frombuffer(data, np.uint8)
    counts = np.zeros(len(wire.WIDTHS), np.int64)
    bad = codec.decode(raw, None, counts)
    if bad >= 0:
        raise EvidenceError(
            f"{origin} is no profile, or a damaged one: byte {bad:,} of {len(data):,} fits no protocol buffer",
            "give what /debug/pprof/heap sends, or fetch it again: it may be cut short",
        )
    counts[wire.SCALARS :] = 1
    need = int((counts * np.array(wire.WIDTHS)).sum()) * 8
    if need > MAX_TABLES:
        raise EvidenceError(
            f"{origin} would take {need >> 20:,} MB of memory", "profiles of up to 2,048 MB of tables are read"
        )
    tables = [np.zeros((rows, wide), np.int64) for rows, wide in zip(counts.tolist(), wire.WIDTHS, strict=True)]
    codec.decode(raw, tables, counts)
    if not counts[wire.SAMPLE_TYPES]:
        raise EvidenceError(f"{origin} is no profile: it has no sample type", DAMAGED)
    return checked(origin, "protobuf", raw, tables)


def write_protobuf(profile: Profile) -> bytes:
    """The profile as a protocol buffer, not compressed."""
    codec, tables = load("pprof"), list(profile.tables)
    tables[wire.LOCATIONS_OF] = profile.locations[:, :1][profile.stacks]
    out = np.zeros(codec.encode(profile.text, tables, None), np.uint8)
    codec.encode(profile.text, tables, out)
    return out.tobytes()
