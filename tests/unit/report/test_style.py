"""Lines that fit: columns against wcwidth, wrapping against textwrap, cuts that keep both ends."""

from __future__ import annotations

import shlex
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from mapscope.report.escape import clean, plain
from mapscope.report.style import PROSE, Style, columns, fitted, listed, next_commands, shorten, sparkline, wrap

WORDS = st.text("abc[]*.世界éñ", min_size=1, max_size=30)
WIDE = "map[世界.用户标识符]*包.很长很长很长的类型名称"


SCRIPTS = st.sampled_from(
    [chr(code) for first, last in ((0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0xFF), (0x100, 0x17F), (0x391, 0x3A1),
                                   (0x410, 0x44F), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x4E80),
                                   (0xAC00, 0xAC80), (0xFF01, 0xFF5E), (0x2500, 0x2590), (0x1F400, 0x1F43E))
     for code in range(first, last + 1)]
)  # fmt: skip
"""Letters whose width no release of Unicode has changed."""


@given(st.text(SCRIPTS, max_size=60))
def test_columns_are_those_of_a_terminal(text: str):
    shown = clean(text)
    assert columns(shown) == wcswidth(shown)
    assert columns(f"\x1b[1;31m{shown}\x1b[0m") == wcswidth(shown)


@given(st.lists(st.text("abcdefg,.", min_size=1, max_size=25), max_size=30), st.integers(30, 90))
def test_ascii_is_wrapped_as_the_standard_library_does(words: list[str], width: int):
    text = " ".join(words)
    expected = textwrap.wrap(
        text, width, initial_indent="- ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )
    assert list(wrap(text, "    ", "- ", width)) == expected


@given(st.lists(WORDS, min_size=1, max_size=20), st.integers(20, 120), st.booleans())
def test_nothing_is_lost_and_nothing_is_too_wide(words: list[str], width: int, coloured: bool):
    text = " ".join(words)
    if coloured:
        text = f"\x1b[31m{text}\x1b[0m"
    lines = list(wrap(text, "  ", None, width))
    assert all(columns(line) <= min(width, PROSE) for line in lines)
    assert "".join("".join(line.split()) for line in lines) == "".join(text.split())


def test_a_number_stays_with_its_unit():
    assert list(wrap("it is 40.1 MB and 12 %", "", None, 11)) == ["it is", "40.1 MB and", "12 %"]


@given(st.text("ab/世界", min_size=1, max_size=80), st.integers(8, 60))
def test_a_cut_keeps_both_ends(text: str, width: int):
    cut = shorten(text, width)
    assert columns(cut) <= width
    if cut != text:
        head, tail = cut.split("...")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert min(columns(head), columns(tail)) >= 1


def test_a_cut_keeps_the_line_of_a_path():
    assert shorten("/very/long/" + "folder/" * 20 + "main.go:94", 40).endswith("main.go:94")


@pytest.mark.parametrize("width", [80, 132])
def test_tables_are_as_wide_as_there_is_room(width: int):
    rows = [("0xc000012345", "1,234", WIDE * 5), ("0xc000012399", "5", "map[int]int")]
    lines = list(fitted(("address", "entries", "type"), rows, "<><", Style(width=width)))
    assert max(map(columns, lines)) == width or columns(lines[1]) >= width - 1  # half a letter may be left
    assert all("0xc000012345" in line or "..." not in line for line in lines)
    assert lines[2].split() == ["0xc000012399", "5", "map[int]int"]


def test_facts_are_not_parted_but_giants_are():
    facts = {"count": "1,234,567", "loop": "/src/" + "x" * 200, "of": "12 %"}
    lines = list(listed(facts, "   "))
    assert all(columns(line) <= 80 for line in lines)
    assert "count 1,234,567," in lines[0]
    assert lines[-1].endswith("of 12 %")


def test_a_long_command_can_be_copied():
    command = (
        "mapscope query 'a core with blanks' \"select type, sum(waste) from maps group by all order by 2\" -e ./svc"
    )
    head, *lines = [line for line in next_commands([command, "mapscope x"], Style()) if line]
    assert head == "NEXT"
    assert all(columns(line) <= 80 for line in lines)
    assert lines[-1] == "  mapscope x"
    assert shlex.split("\n".join(lines[:-1]).replace("\\\n", "")) == shlex.split(command)
    assert len(lines) == 3


def test_our_signs_have_plain_ones_of_the_same_width():
    line = "a → b  " + sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) + " §2.1"
    shown = plain(line, "ascii")
    assert shown.isascii()
    assert len(shown) == columns(line)
    assert len(set(shown[7:15])) == 8
    assert plain(line, "utf-8") == line
