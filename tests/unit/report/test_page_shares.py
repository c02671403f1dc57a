"""How the rows of the page of two snapshots are shared among what grew, shrank, came and went."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mapscope.report.page.diff import shown


def found(lengths: tuple[int, ...]) -> Any:
    """A diff with so many matches of each fate."""
    lists = dict(zip(("grown", "shrunk", "new", "gone"), (range(many) for many in lengths), strict=True))
    return cast("Any", SimpleNamespace(matches=SimpleNamespace(lists=lambda: lists)))


@pytest.mark.parametrize("lengths", list(itertools.product((0, 1, 3, 12, 40), repeat=4)))
def test_as_many_as_fit_and_no_fate_is_left_out(lengths: tuple[int, ...]):
    most = 40
    each = shown(found(lengths), most)
    listed = sum(min(many, each) for many in lengths)
    assert each >= 1
    assert listed <= most
    if sum(lengths) <= most:
        assert listed == sum(lengths)
    else:
        assert sum(min(many, each + 1) for many in lengths) > most
