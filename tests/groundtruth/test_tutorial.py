"""The tutorial is true: its commands run, print what it shows, and the graph does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mapscope.binary.executable import Executable
from mapscope.binary.inline import unfold
from mapscope.profiles.symbols import Symbols
from tests.groundtruth import harness
from tools import tutorial

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_page_says_what_its_commands_print(tmp_path: Path):
    page = tutorial.PAGE.read_text(encoding="utf-8")
    now = tutorial.render(page, tmp_path / "presence")
    assert tutorial.differences(page, now) == []
    first, second = (
        [int(megabytes) for megabytes in re.findall(r"^day \d .* (\d+) MB resident$", graph, re.MULTILINE)]
        for graph in now.split("## The mend")
    )
    assert len(first) == len(second) == 6
    assert first[-1] > 2 * first[0]
    assert second[-1] < first[-1] / 2
    line = int(re.search(r'"startLine": (\d+),', now)[1])  # type: ignore[index]
    source = (tutorial.PROGRAM / "server.go").read_text(encoding="utf-8").splitlines()
    assert source[line - 1].split()[:2] == ["online", "map[uint64]visit"]


def test_words_that_differ_are_found():
    page = tutorial.PAGE.read_text(encoding="utf-8")
    assert tutorial.differences(page, page.replace("33", "34")) == []
    assert tutorial.differences(page, page.replace("R9", "R10", 1).replace("sparse map", "green map", 1)) != []


def test_a_wrapper_of_a_go_statement_agrees_with_what_is_inlined_in_it(tmp_path: Path):
    target = tmp_path / "presence"
    harness.toolchain(tutorial.GO).build(tutorial.PROGRAM, target)
    symbols = Symbols(Executable.open(target), 0)
    table = symbols.table
    index = table.index_of("main.main.gowrap1")
    inlined = {
        pc: [frame.name for frame in unfold(table, symbols.executable.image, index, pc)]
        for pc in range(int(table.entry[index]), table.end_of(index))
    }
    calls = [pc for pc, names in inlined.items() if "net/http.Serve" in names]
    assert calls
    assert all(symbols.agrees(pc, "net/http.Serve", "protobuf") for pc in calls)
    assert not any(symbols.agrees(pc, "net/http.ServeTLS", "protobuf") for pc in calls)
