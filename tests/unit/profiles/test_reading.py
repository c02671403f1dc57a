"""Reading profiles: formats by hand-made bytes, damage, and what is not a profile at all."""

from __future__ import annotations

import gzip
import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.errors import EvidenceError, UsageError
from mapscope.profiles.fetch import expand, inflate, parse, read_profile
from mapscope.profiles.protobuf import write_protobuf
from mapscope.profiles.textual import scaled
from tests.unit.kernels.pprofs import Profile as Message

HEAP_TEXT = b"""heap profile: 3: 4096 [5: 6144] @ heap/1048576
2: 2048 [3: 3072] @ 0x401005 0x402010
#\t0x40200f\tmain.fill+0x9\t/src/main.go:12

1: 2048 [2: 3072] @ 0x403000

# runtime.MemStats
# Alloc = 123456
# NumGC = 7
# Stack = 4096 / 8192
# PauseNs = [1 2 3]
"""
STACKS = b"""goroutine 1 [running]:
main.main()
\t/src/main.go:10 +0x1d

goroutine 18 [chan receive, 12 minutes, locked to thread]:
main.(*T).wait(0xc000012345, {0x1, 0x2})
\t/src/main.go:33 +0x2a
...additional frames elided...
created by main.main in goroutine 1
\t/src/main.go:8 +0x5c
"""


def message(**fields: object) -> Message:
    """A small heap profile."""
    made = Message(string_table=["", "inuse_space", "bytes", "main.f", "/f.go", "x"])
    made.sample_type.add(type=1, unit=2)
    made.sample.add(location_id=[7], value=[640])
    made.location.add(id=7, address=0x401234).line.add(function_id=3, line=9)
    made.function.add(id=3, name=3, system_name=3, filename=4)
    made.MergeFrom(Message(**fields))
    return made


def test_protobuf_plain_and_compressed():
    raw = message().SerializeToString()
    for data in (raw, gzip.compress(raw), gzip.compress(raw[:9]) + gzip.compress(raw[9:])):
        profile = parse("p", data)
        assert (profile.form, profile.kind, len(profile)) == ("protobuf", "heap", 1)
        assert profile.value("inuse_space").tolist() == [640]
        assert profile.lines(profile.stack(0)[0]) == [("main.f", "/f.go", 9)]
        assert Message.FromString(write_protobuf(profile)) == message()


def test_debug_1_of_a_heap():
    profile = parse("p", HEAP_TEXT)
    assert (profile.form, profile.kind, profile.period) == ("text", "heap", 524288)
    assert profile.statistics == {"Alloc": 123456, "NumGC": 7, "Stack": 4096}
    assert [hex(int(profile.locations[row, 2])) for row in profile.stack(0)] == ["0x401005", "0x402010"]
    assert [profile.lines(row) for row in profile.stack(0)] == [[], [("main.fill", "/src/main.go", 12)]]
    assert profile.number_label("bytes").tolist() == [1024, 1536]
    assert profile.value("inuse_space").tolist() == [scaled(2, 2048, 524288)[1], scaled(1, 2048, 524288)[1]]
    # of objects of 1024 bytes one in 512.5 is recorded at this rate
    assert profile.value("alloc_objects").tolist()[0] == pytest.approx(3 * 512.5, rel=0.001)


def test_debug_1_of_goroutines():
    text = b'goroutine profile: total 5\n4 @ 0x1 0x2\n# labels: {"k":"v"}\n#\t0x1\tmain.f+0x1\t/f.go:3\n\n1 @ 0x2\n'
    profile = parse("p", text)
    assert (profile.kind, profile.values[:, 0].tolist()) == ("goroutine", [4, 1])
    assert profile.lines(profile.stack(0)[1]) == [("main.f", "/f.go", 3)]


def test_debug_2_keeps_states_and_waits_and_no_arguments():
    profile = parse("p", STACKS)
    assert (profile.form, profile.kind, len(profile)) == ("stacks", "goroutine", 2)
    assert profile.number_label("goroutine").tolist() == [1, 18]
    assert profile.number_label("wait").tolist() == [0, 12]
    assert [profile.text_label(row, "state") for row in (0, 1)] == ["running", "chan receive"]
    assert profile.text_label(1, "created by") == "main.main"
    assert [profile.lines(row)[0] for row in profile.stack(1)] == [("main.(*T).wait", "/src/main.go", 33)]
    assert b"c000012345" not in profile.text.tobytes()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"hello, world, this is no profile", "no profile"),
        (b"\x7fELF\x02\x01\x01" + bytes(64), "no profile"),
        (b"<html><body>/debug/pprof/</body></html>", "a page"),
        (b"heap profile: 1: 2 [3: 4] @ heap/2\n1: 2 [3: 4] @ 0x1 0x\n", "line 2"),
        (b"heap profile: 1: 2 [3: 4] @ heap/2\n1: " + b"9" * 5000 + b" [1: 1] @ 0x1\n", "line 2"),
        (STACKS.replace(b"goroutine 18", b"gopher 18"), "does not begin a goroutine"),
        (gzip.compress(message().SerializeToString(), mtime=0)[:-12], "cut short"),
        (gzip.compress(random.Random(1).randbytes(3000), mtime=0)[:900], "cut short"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "does not inflate"),
        (message().SerializeToString()[:-1], "damaged"),
        (message(comment=[99]).SerializeToString(), "table of strings"),
        (message(sample=[{"location_id": [8], "value": [1]}]).SerializeToString(), "location that is not there"),
        (message(sample=[{"location_id": [7], "value": [1, 2]}]).SerializeToString(), "more or fewer values"),
        (message(location=[{"id": 9, "line": [{"function_id": 4}]}]).SerializeToString(), "function that is not"),
        (Message(string_table=["", "a"]).SerializeToString(), "no sample type"),
        (Message(string_table=["a"], sample_type=[{"type": 0}]).SerializeToString(), "begin with the empty one"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(data: bytes, word: str):
    with pytest.raises(EvidenceError, match=word) as caught:
        parse("given", data)
    assert "\n" not in str(caught.value)
    assert "given" in str(caught.value)
    assert caught.value.hint


def test_a_bomb_is_not_inflated():
    bomb = gzip.compress(bytes(64 << 20))
    with pytest.raises(EvidenceError, match="inflates to more than 1 MB"):
        inflate("bomb", bomb, 1 << 20)
    with pytest.raises(EvidenceError, match="inflates to more than 1 MB"):
        parse("bomb", gzip.compress(bytes(700_000)) * 3, 1 << 20)


def test_a_file_or_stream_that_is_too_large(tmp_path: Path):
    large = tmp_path / "large"
    with open(large, "wb") as sparse:
        sparse.truncate(3 << 30)
    with pytest.raises(EvidenceError, match="more than 512 MB"):
        read_profile(str(large))
    with pytest.raises(EvidenceError, match="more than 1 MB"):
        read_profile("-", stream=io.BytesIO(bytes(3 << 20)), limit=1 << 20)
    with pytest.raises(EvidenceError, match="cannot read"):
        read_profile(str(tmp_path / "absent"))
    with pytest.raises(EvidenceError, match="90 MB of text; up to 80 MB"):
        parse("text", HEAP_TEXT + b"\n" * (90 << 20))


def test_packed_numbers_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mapscope.profiles.protobuf.MAX_TABLES", 1 << 20)
    raw = message(sample=[{"location_id": [7] * 200_000, "value": [1]}]).SerializeToString()
    with pytest.raises(EvidenceError, match="would take 1 MB"):
        parse("given", raw)


def test_a_folder_is_its_files(tmp_path: Path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    assert expand(["-", str(tmp_path), "http://h/x"]) == ["-", str(tmp_path / "a"), str(tmp_path / "b"), "http://h/x"]
    with pytest.raises(UsageError, match="holds 0 files"):
        expand([str(tmp_path / "folder")])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([HEAP_TEXT, STACKS]), st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=3)), max_size=5)
)
def test_spoiled_text_is_read_or_refused(text: bytes, noise: list[tuple[int, bytes]]):
    for at, bytes_ in noise:
        text = text[:at] + bytes_ + text[at + len(bytes_) :]
    try:
        profile = parse("p", text)
    except EvidenceError:
        return
    assert len(profile.values) == len(profile) == len(profile.leaves())
