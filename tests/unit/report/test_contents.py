"""Keys and values on a screen: hostile bytes are escaped, strings are cut, and none is there that nobody asked for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mapscope.maps.contents import Content
from mapscope.report.map_view import build_map, render
from tests.unit.report.fakes import FakeSnapshot, sample


def document_of(source: FakeSnapshot, *contents: tuple[Content, Content] | None):
    detail = source.detail(int(source.maps.columns["address"][0]))
    given = None if contents == (None,) else tuple(pair for pair in contents if pair)
    return build_map(source, replace(detail, contents=given))


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (Content("42"), "42"),
        (Content("plain", quoted=True), '"plain"'),
        (Content('say "\\x00"', quoted=True), '"say \\"\\\\x00\\""'),
        (Content("\x1b[2J\n\u202e", quoted=True), '"\\x1b[2J\\x0a\\u202e"'),
        (Content("long", quoted=True, more=1000), '"long"... and 1,000 bytes'),
        (Content("main.T\x07, 8 bytes"), "main.T\\x07, 8 bytes"),
    ],
)
def test_hostile_bytes_are_escaped(content: Content, shown: str):
    document = document_of(sample(), (content, Content("1")))
    assert document.contents is not None
    assert [(row.key, row.value) for row in document.contents] == [(shown, "1")]
    lines = list(render(document))
    assert f"  {shown}: 1" in lines
    assert all(line.isprintable() for line in lines)
    assert any("CONTENTS" in line and "--show-contents" in line for line in lines)


def test_nothing_unless_asked():
    document = document_of(sample(), None)
    assert document.contents is None
    assert not any("CONTENTS" in line for line in render(document))


def test_a_map_without_a_type_says_so():
    assert "  none that can be read by type" in list(render(document_of(sample())))
