"""What a request may say."""

from __future__ import annotations

import pytest

from mapscope.web.parameters import MAX_TEXT, BadRequestError, Parameters, address_of


@pytest.mark.parametrize(
    ("text", "address"), [("0xc000012345", 0xC000012345), ("c0", 0xC0), ("0xFFFFFFFFFFFFFFFF", 2**64 - 1), ("0", 0)]
)
def test_addresses(text: str, address: int):
    assert address_of(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "0x", "0x1ffffffffffffffff", "-1", "0x-1", "zz", "1_0", " 1", "1\n", "0x1.0", "٣", "..", "0x0x1", "1" * 1000],
)
def test_what_is_no_address(text: str):
    with pytest.raises(BadRequestError) as refused:
        address_of(text)
    assert not text.strip(".") or text not in str(refused.value)


@pytest.mark.parametrize("text", ["-1", "101", "1e1", "", "x", "1.0", "9" * 5000, "٣", "0x1", " 1", "1\n"])
def test_numbers_are_bounded(text: str):
    with pytest.raises(BadRequestError):
        Parameters([("limit", text)], ("limit",)).number("limit", 5, 100)


def test_what_is_given_counts():
    query = Parameters([("limit", "100"), ("sort", "b"), ("search", "x*")], ("limit", "sort", "search", "offset"))
    assert query.number("limit", 5, 100) == 100
    assert query.number("offset", 5, 100) == 5
    assert query.word("sort", ("a", "b"), "a") == "b"
    assert query.text("search") == "x*"


@pytest.mark.parametrize(
    "given",
    [[("other", "1")], [("limit", "1"), ("limit", "1")], [("", "")], [("Limit", "1")]],
)
def test_unknown_and_double_ones_are_refused(given: list[tuple[str, str]]):
    with pytest.raises(BadRequestError):
        Parameters(given, ("limit", "search", "sort"))


def test_words_and_texts_are_bounded():
    with pytest.raises(BadRequestError):
        Parameters([("sort", "c")], ("sort",)).word("sort", ("a", "b"), "a")
    with pytest.raises(BadRequestError):
        Parameters([("search", "x" * (MAX_TEXT + 1))], ("search",)).text("search")
