"""Documents that come back: of this version, of others, and of those who mean harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.cli.main import main
from mapscope.errors import FormatError
from mapscope.report.build import build, json_of
from mapscope.report.map_view import build_map
from mapscope.report.reading import KINDS, read_document
from mapscope.report.renderers import FORMATS, SARIF, TEXT
from mapscope.report.writing import to_json
from tests.unit.report.fakes import sample


def whole() -> dict[str, Any]:
    return json.loads(b"".join(json_of(sample())))


def run(capfd: pytest.CaptureFixture[str], folder: Path, document: Any, *options: str) -> tuple[int, str, str]:
    path = folder / "kept.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    status = main(["report", str(path), *options])
    return status, *capfd.readouterr()


def test_the_record_comes_back_as_it_was():
    snapshot = sample()
    assert read_document(b"".join(json_of(snapshot)), "x") == build(snapshot)
    one = build_map(snapshot, snapshot.detail(snapshot.maps[0].address))
    assert read_document(to_json(one), "x") == one


def test_every_kind_has_text():
    assert set(TEXT) == set(KINDS)
    assert set(SARIF) < set(KINDS)
    assert all(set(kinds) <= set(KINDS) for kinds in FORMATS.values())


def test_text_is_that_of_the_command(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    from mapscope.report import text
    from mapscope.report.maps_view import choose

    snapshot = sample()
    document = build(snapshot, choose(snapshot.maps, "bytes")[: text.SHOWN_MAPS])
    status, out, err = run(capfd, tmp_path, b"".join(json_of(snapshot)))
    assert (status, err) == (0, "")
    assert out.splitlines() == list(text.render(document))


def test_fields_of_a_later_version_are_passed_over_and_a_kind_may_be_missing(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    document = whole()
    later = {**document, "news": [1], "tool": {"name": "mapscope", "version": "7.1.0", "more": 1}}
    del later["kind"]
    status, out, _ = run(capfd, tmp_path, later)
    assert status == 0
    assert "mapscope 7.1.0: core" in out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema=3, tool={"name": "mapscope", "version": "9.2.0"}), "mapscope 9.2.0 wrote"),
        (lambda d: d.update(schema=0), "in schema 0; this is mapscope"),
        (lambda d: d.update(kind="dreams"), "a document of kind 'dreams'"),
        (lambda d: d.update(kind=["analyze"]), "a document of kind"),
        (lambda d: d.update(schema=True), "no document of mapscope"),
        (lambda d: d.update(schema="1"), "no document of mapscope"),
        (lambda d: d.pop("tool"), "no document of mapscope"),
        (lambda d: d.update(tool={"name": "other", "version": "1"}), "no document of mapscope"),
        (lambda d: d.update(tool=[1]), "no document of mapscope"),
        (lambda d: d.pop("verdict"), "Object missing required field `verdict`"),
        (lambda d: d.update(findings={}), "Expected `array`, got `object` - at `$.findings`"),
        (lambda d: d["maps"][0].update(address="\x1b[31m"), "at `$.maps[0].address`"),
        (lambda d: d["heap"].update(live_bytes=1e300), "`$.heap.live_bytes`"),
        (lambda d: d["heap"].update(live_bytes=-5), "`$.heap.live_bytes`"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_who_made_it(
    change: Any, words: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    document = whole()
    change(document)
    status, out, err = run(capfd, tmp_path, document)
    line, hint = err.splitlines()
    assert (status, out) == (2, "")
    assert words in line
    assert hint.startswith("  hint: ")
    assert err.isprintable() or err.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{", "truncated"),
        (b"\xff\xfe{}", "no UTF-8 at byte 0"),
        (b'{"kind": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"schema": ' + b"9" * 10_000 + b"}", "no document of mapscope"),
        (b"\x7fELF" + b"\0" * 100, "no document of mapscope"),
    ],
    ids=["empty", "list", "cut", "bytes", "deep", "giant", "core"],
)
def test_what_is_no_document_is_one_line(
    data: bytes, words: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
):  # fmt: skip
    status, out, err = run(capfd, tmp_path, data)
    assert (status, out, len(err.splitlines())) == (2, "", 2)
    assert words in err


def test_a_giant_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mapscope.report.reading.MAX_BYTES", 10)
    with pytest.raises(FormatError, match="larger than 10 bytes"):
        read_document(b" " * 11, "x")


def test_a_chain_that_is_nested_without_end_is_said(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    head = {name: whole()[name] for name in ("schema", "tool", "evidence", "process")}
    step = {"kind": "object", "address": "0xc0", "type": "T", "field": None, "name": None, "goroutine": None}
    node = {"step": step, "chains": 1, "objects": 1, "bytes": 1, "children": []}
    text = json.dumps({**node, "children": ["DEEP", node]})
    deep = json.dumps(node)
    for _ in range(400):
        deep = text.replace('"DEEP"', deep)
    document = {**head, "kind": "chain", "address": "0xc0", "type": "T", "chain": [step], "retained_bytes": 1,
                "dominator": None, "chains": 1, "more": 0}  # fmt: skip
    data = json.dumps(document)[:-1] + ', "all": [' + deep + "]}"
    status, _, err = run(capfd, tmp_path, data.encode())
    assert status in (0, 2)
    assert "bug of ours" not in err


ESCAPES = "\x1b[31m\x07\r\b\u202e\u200b\x9b\x7f"


def test_nothing_that_a_terminal_obeys_comes_out(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    def spoiled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: spoiled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [spoiled(one) for one in value]
        kept = isinstance(value, str) and not value.startswith("0x") and value not in ("analyze", "mapscope", "classic")
        return value + ESCAPES if kept else value

    document = spoiled(whole())
    for raw in (True, False):
        data = json.dumps(document, ensure_ascii=not raw).encode()
        for form in ("text", "csv"):
            status, out, err = run(capfd, tmp_path, data, "-f", form)
            assert (status, err) == (0, "")
            assert not set(out) & set(ESCAPES.replace("[31m", "")) - {"\r"}
            assert "\\u001b" in out
            assert "\r" not in out.replace("\r\n", "")


JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_document_with_one_wrong_value_is_shown_or_refused(
    data: st.DataObject, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    document = whole()
    at: Any = document
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(JUNK)
    status, _, err = run(capfd, tmp_path, document, "-f", data.draw(st.sampled_from(["text", "csv", "sarif"])))
    assert status in (0, 2), err
    if status:
        assert len(err.splitlines()) == 2


def test_a_format_that_a_kind_lacks_is_said(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    snapshot = sample()
    data = to_json(build_map(snapshot, snapshot.detail(snapshot.maps[0].address)))
    status, _, err = run(capfd, tmp_path, data, "-f", "sarif")
    assert status == 2
    assert "a document of map has no sarif" in err
    assert "text, json" in err


def test_a_kept_difference_of_profiles_has_its_page(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    sums = {"inuse_bytes": 1, "inuse_objects": 1, "alloc_bytes": 1, "alloc_objects": 1}
    side = {"origin": "a<script>.pb.gz", "form": "protobuf", "kind": "heap", "samples": 1, "period": 1, "time_nanos": 1}
    document = {
        "kind": "profile diff", "schema": 1, "tool": {"name": "mapscope", "version": "0.1.0"}, "old": side, "new": side,
        "executable": None, "hours": None, "old_heap": sums, "new_heap": sums, "old_maps": sums, "new_maps": sums,
        "sites": [], "unchanged_sites": 0, "new_suspects": [], "gone_suspects": [], "same_suspects": [], "notes": [],
        "next": [],
    }  # fmt: skip
    status, _, err = run(capfd, tmp_path, document, "-f", "html")
    assert status == 2
    assert "name it: -o report.html" in err
    target = tmp_path / "page.html"
    status, _, err = run(capfd, tmp_path, document, "-o", str(target))
    assert status == 0, err
    page = target.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "a<script>" not in page


def test_json_is_the_document_again(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    status, out, _ = run(capfd, tmp_path, whole(), "-f", "json")
    assert status == 0
    assert json.loads(out) == whole()
    assert msgspec.json.decode(out)["kind"] == "analyze"
