"""The codec of profiles: both sides against the protobuf package, and against each other where bytes are no profile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mapscope._kernels.reference import pprof as plain
from tests.unit.kernels.heaps import SIDES, kernel
from tests.unit.kernels.pprofs import MESSAGES, Profile

SIGNED = st.integers(-3, 300) | st.integers(-(1 << 63), (1 << 63) - 1)
UNSIGNED = st.integers(0, 300) | st.integers(0, (1 << 64) - 1)
WORDS = st.text(st.characters(codec="utf-8"), max_size=9)


@st.composite
def profiles(draw: Any) -> Any:
    """Any message of the format, sound or not: what ids and indices mean is not the codec's business."""
    return fill(draw, Profile())


def fill(draw: Any, message: Any) -> Any:
    for name, _, kind, _ in MESSAGES[message.DESCRIPTOR.name]:
        repeated = kind.isupper()
        for _ in range(draw(st.integers(0, 3 if repeated else 1))):
            if kind.lower() == "m":
                target = getattr(message, name)
                fill(draw, target.add() if repeated else target)
                continue
            value = draw({"i": SIGNED, "u": UNSIGNED, "b": st.booleans(), "s": WORDS}[kind.lower()])
            if repeated:
                getattr(message, name).append(value)
            else:
                setattr(message, name, value)
    return message


def decoded(side: str, data: bytes) -> tuple[int, list[np.ndarray]]:
    """Where it is bad, or -1, and the tables."""
    codec, raw = kernel(side, "pprof"), np.frombuffer(data, np.uint8)
    counts = np.zeros(len(plain.WIDTHS), np.int64)
    bad = codec.decode(raw, None, counts)
    if bad >= 0:
        return bad, []
    counts[plain.SCALARS :] = 1
    tables = [np.zeros((n, width), np.int64) for n, width in zip(counts.tolist(), plain.WIDTHS, strict=True)]
    assert codec.decode(raw, tables, counts) == -1
    return -1, tables


def encoded(side: str, data: bytes, tables: list[np.ndarray]) -> bytes:
    codec, raw = kernel(side, "pprof"), np.frombuffer(data, np.uint8)
    out = np.zeros(codec.encode(raw, tables, None), np.uint8)
    assert codec.encode(raw, tables, out) == len(out)
    return out.tobytes()


def rows(messages: Any, *names: str) -> list[list[int]]:
    """The numbers of messages, as the columns hold them: unsigned ones with the same 64 bits."""
    return [[(int(getattr(one, name)) + (1 << 63)) % (1 << 64) - (1 << 63) for name in names] for one in messages]


def same(data: bytes, tables: list[np.ndarray], message: Any) -> None:
    """Every number and string of ``message`` stands where the tables say."""
    got = [table.tolist() for table in tables]
    strings = [data[low:high].decode() for low, high in got[plain.STRINGS]]
    assert strings == list(message.string_table)
    assert got[plain.SAMPLE_TYPES] == rows(message.sample_type, "type", "unit")
    ids, values, labels = [], [], []
    for one, ends in zip(message.sample, got[plain.SAMPLES], strict=True):
        ids += one.location_id
        values += one.value
        labels += one.label
        assert ends == [len(ids), len(values), len(labels)]
    assert np.array(got[plain.LOCATIONS_OF], np.int64).ravel().view(np.uint64).tolist() == ids
    assert [row[0] for row in got[plain.VALUES]] == values
    assert got[plain.LABELS] == rows(labels, "key", "str", "num", "num_unit")
    names = [field.name for field in message.DESCRIPTOR.fields_by_name["mapping"].message_type.fields]
    assert got[plain.MAPPINGS] == rows(message.mapping, *names)
    lines: list[Any] = []
    for one, row in zip(message.location, got[plain.LOCATIONS], strict=True):
        lines += one.line
        assert row[3] == len(lines)
        assert [row[:3] + row[4:]] == rows([one], "id", "mapping_id", "address", "is_folded")
    assert got[plain.LINES] == rows(lines, "function_id", "line", "column")
    assert got[plain.FUNCTIONS] == rows(message.function, "id", "name", "system_name", "filename", "start_line")
    assert [row[0] for row in got[plain.COMMENTS]] == list(message.comment)
    assert got[plain.TYPE_OF_PERIOD] == rows([message.period_type], "type", "unit")
    scalars = got[plain.SCALARS][0]
    for name in ("drop_frames", "keep_frames", "time_nanos", "duration_nanos", "period", "default_sample_type"):
        assert scalars[message.DESCRIPTOR.fields_by_name[name].number] == getattr(message, name)
    assert scalars[15] == message.doc_url


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=80, deadline=None)
@given(message=profiles())
@example(message=Profile())
@example(message=Profile(sample=[{"location_id": range(1, 400), "value": [-1]}], period=-1))
def test_what_protobuf_writes_is_read_and_written_back(side: str, message: Any):
    data = message.SerializeToString(deterministic=True)
    bad, tables = decoded(side, data)
    assert bad == -1
    same(data, tables, message)
    again = Profile.FromString(encoded(side, data, tables))
    if not (message.period_type.type or message.period_type.unit):
        message.ClearField("period_type")  # one that says nothing is not written
    assert again == message


@settings(max_examples=150, deadline=None)
@given(message=profiles(), noise=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=4),
       cut=st.integers(0, 1 << 20))  # fmt: skip
def test_spoiled_bytes_are_read_alike_or_refused_alike(message: Any, noise: list[tuple[int, int]], cut: int):
    data = bytearray(message.SerializeToString())
    for at, byte in noise:
        if data:
            data[at % len(data)] = byte
    raw = bytes(data[: cut % (len(data) + 1)])
    bad, tables = decoded("compiled", raw)
    other, expected = decoded("reference", raw)
    assert bad == other
    for ours, theirs in zip(tables, expected, strict=True):
        assert ours.tolist() == theirs.tolist()
    if bad == -1:
        assert encoded("compiled", raw, tables) == encoded("reference", raw, tables)


@pytest.mark.parametrize("side", SIDES)
def test_numbers_that_are_not_packed_and_unknown_fields(side: str):
    """A list of numbers may come one by one, the message of a scalar twice, and fields of a later format in between."""
    one_by_one = bytes([0x12, 8, 8, 5, 8, 6, 0x10, 7, 0x10, 9])
    unknown = b"\xa0\x06\x01" + b"\xa5\x06\1\2\3\4" + b"\xa1\x06\1\2\3\4\5\6\7\x08" + b"\xa2\x06\x02ab"
    twice = b"\x5a\x02\x08\x04" + b"\x5a\x02\x10\x05"
    data = one_by_one + unknown + twice + b"\x68\x07\x6a\x02\x08\x09"
    bad, tables = decoded(side, data)
    assert bad == -1
    message = Profile.FromString(data)
    assert (list(message.sample[0].location_id), list(message.comment)) == ([5, 6], [7, 8, 9])
    same(data, tables, message)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "data",
    [
        b"\x12", b"\x12\x05\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x48" + b"\xff" * 10 + b"\x01",
        b"\x07", b"\x00\x00", b"\x12\x02\x0a\x01", b"\x61\x01\x02", b"\x12\x03\x0a\x01\x80", b"\x0b", b"hello world",
    ],
)  # fmt: skip
def test_what_protobuf_refuses_is_refused(side: str, data: bytes):
    with pytest.raises(DecodeError):
        Profile.FromString(data)
    assert decoded(side, data)[0] >= 0
