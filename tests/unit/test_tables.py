"""SQL over tables made by the test: exact, locked down, bounded. Real heaps: groundtruth/test_query.py."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mapscope import table as table_module
from mapscope.cli import main
from mapscope.errors import UsageError
from mapscope.report import query_view
from mapscope.sql import run_sql
from mapscope.table import TEXT_LIMIT, Coded, Table
from mapscope.tables import NAMES
from tests.unit.report.fakes import sample

BIG = (1 << 64) - 1
EVIL = "\x1b]0;owned\x07map[\u202estring]int"
TYPES = ["map[string]int", None, EVIL, "=1+1", "map[string]int"]


class Few:
    """Two small tables; any other is asked for in vain."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> Table:
        self.asked.append(name)
        if name == "maps":
            return Table(
                "maps",
                {
                    "address": np.array([0xC000010000, 0xC000010040, BIG, 7, 8], dtype=np.uint64),
                    "type": Coded.of(TYPES),
                    "waste": np.array([BIG, BIG, 3, 0, 1], dtype=np.uint64),
                    "wait_seconds": np.array([0.5, np.nan, 1, 2, 3]),
                    "live": np.array([True, False, True, True, True]),
                },
            )
        assert name == "findings", f"{name} was not in the statement"
        return Table("findings", {"rule": Coded.of([]), "bytes": np.zeros(0, dtype=np.uint64)})


def ask(text: str, seconds: float = 60) -> Table:
    return run_sql(Few(), text, seconds)  # type: ignore[arg-type]


# --- results ---------------------------------------------------------------------------------------------------------


def test_sums_are_exact():
    result = ask("select type, sum(waste) from maps group by all order by 2 desc")
    sums = Counter()
    for name, waste in zip(TYPES, [BIG, BIG, 3, 0, 1], strict=True):
        sums[name] += waste
    assert dict(result.rows()) == dict(sums)
    assert [total for _, total in result.rows()] == sorted(sums.values(), reverse=True)


def test_values_come_back_as_they_went_in():
    result = ask("select * from maps order by waste desc, address desc")
    rows = dict(zip(result["address"].tolist(), result.rows(), strict=True))
    assert rows[BIG] == (BIG, EVIL, 3, 1.0, True)
    assert rows[0xC000010040] == (0xC000010040, None, BIG, None, False)  # NaN is no number: null
    assert result["address"].dtype == np.uint64
    assert np.ma.getmaskarray(result["type"]).tolist() == [row[1] is None for row in result.rows()]


@pytest.mark.parametrize(
    ("text", "dtype", "values"),
    [
        ("select sum(waste) from maps where waste < 10", np.int64, [4]),
        ("select max(waste)::hugeint from maps", np.uint64, [BIG]),
        ("select sum(waste) from maps", object, [2 * BIG + 4]),
        ("select sum(waste) from maps where waste = 99", np.int64, [None]),
        ("select waste from maps where waste = 99", np.uint64, []),
        ("select sum(waste) from maps where waste = 99 group by type", np.int64, []),
        ("select rule from findings", object, []),
    ],
)
def test_numbers_keep_their_width(text, dtype, values):
    result = ask(text)
    (name,) = result.columns
    assert [value for (value,) in result.rows()] == values
    if values:
        assert result[name].dtype == dtype


def test_columns_with_one_name_are_kept_apart():
    result = ask("select waste, address, waste from maps where address = 7")
    assert result.columns == ("waste", "address", "waste_1")
    assert list(result.rows()) == [(0, 7, 0)]


def test_only_tables_that_the_statement_names_are_built():
    few = Few()
    run_sql(few, "select count(*) from Findings", 60)  # type: ignore[arg-type]
    assert few.asked == ["findings"]


# --- locked down -----------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.csv"
    path.write_text("a,b\n1,2\n")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_csv('{}')",
        "select * from read_text('{}')",
        "select * from '{}'",
        "select * from glob('{}')",
        "select * from parquet_scan('{}')",
        "select * from 'https://example.com/x.csv'",
        "copy (select 1) to '{}.out'",
        "attach '{}.out'",
        "export database '{}.out'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set python_enable_replacements = true",
        "pragma enable_external_access",
        "create table t as select 1",
        "select 1; copy (select 1) to '{}.out'",
        "select * from local_rows",
        "select getenv('PATH')",
    ],
)
def test_a_statement_reaches_nothing_but_the_tables(text, secret):
    local_rows = {"a": np.arange(3)}
    with pytest.raises(UsageError) as caught:
        ask(text.format(secret))
    assert local_rows
    assert "\n" not in str(caught.value)
    assert list(secret.parent.iterdir()) == [secret]


def test_the_file_can_be_read_without_the_lock(secret):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(":memory:") as connection:
        assert connection.execute(f"select * from read_csv('{secret}')").fetchall() == [(1, 2)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("select nothing from maps", "nothing"),
        ("select * from objets", "objets"),
        ("selct 1", "selct"),
        ("", "one SELECT"),
        ("select 1; select 2", "one SELECT"),
    ],
)
def test_refusals_are_one_line_with_a_hint_of_the_tables(text, word):
    with pytest.raises(UsageError) as caught:
        ask(text)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    for name in NAMES:
        assert name in caught.value.hint


def test_a_statement_without_end_is_stopped():
    start = time.monotonic()
    with pytest.raises(UsageError, match=r"longer than 0\.5 seconds"):
        ask("select count(*) from range(1000000000) a, range(1000000000) b where a.range * b.range % 7 = 3", 0.5)
    assert time.monotonic() - start < 60


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("mapscope.sql._memory", lambda: 64 << 20)
    with pytest.raises(UsageError) as caught:
        ask("select list(range) from range(100000000)")
    assert "memory" in str(caught.value).lower()


@pytest.mark.parametrize(("module", "extra"), [("duckdb", "query"), ("pyarrow", "arrow")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=f"{module} is not installed") as caught:
        table_module.optional(module, extra)
    assert f"mapscope[{extra}]" in caught.value.hint


# --- tables ----------------------------------------------------------------------------------------------------------


def test_arrow_has_the_same_values():
    pytest.importorskip("pyarrow")
    made = Few()["maps"].to_arrow()
    assert made.column("type").to_pylist() == TYPES
    assert made.column("address").to_pylist() == [0xC000010000, 0xC000010040, BIG, 7, 8]
    nulls = ask("select type, sum(waste) filter (where waste < 9) as s from maps group by all order by s, type")
    assert nulls.to_arrow().to_pylist() == [dict(zip(("type", "s"), row, strict=True)) for row in nulls.rows()]
    with pytest.raises(UsageError, match="does not fit"):
        ask("select sum(waste) from maps").to_arrow()


def test_texts_are_bounded_and_valid():
    column = Coded.of(["x" * 10_000, "a\udc80b", None])
    long, broken, none = column.decode()
    assert len(long) == TEXT_LIMIT
    broken.encode("utf-8")
    assert none is None


# --- what people see -------------------------------------------------------------------------------------------------


def test_text_shows_addresses_in_hex_and_nothing_hostile():
    lines = list(query_view.render_text(ask("select * from maps order by address"), 3))
    assert any("0xc000010000" in line for line in lines)
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)
    assert lines[-1].strip().startswith("and 2 more")
    assert any("\\x1b]0;owned" in line for line in query_view.render_text(ask("select type from maps"), 0))
    assert "no rows" in list(query_view.render_text(ask("from findings"), 0))[-1]


def test_csv_is_safe_and_whole():
    text = b"".join(query_view.csv_pieces(ask("select address, type, waste from maps order by address"))).decode()
    head, *rows = list(csv.reader(io.StringIO(text)))
    assert head == ["address", "type", "waste"]
    assert rows[0] == ["0x7", "'=1+1", "0"]
    assert len(rows) == 5
    assert "\x1b" not in text


@pytest.mark.parametrize("condition", ["true", "false"])
def test_json_is_one_document(condition):
    result = ask(f"select *, [type] as l, 'inf'::double as f from maps where {condition} order by address")
    data = b"".join(query_view.json_pieces(sample(), result))
    assert all(32 <= byte < 127 or byte == 10 for byte in data)
    document = json.loads(data)
    assert document["columns"] == list(result.columns)
    assert len(document["rows"]) == (5 if condition == "true" else 0)
    for row in document["rows"]:
        assert row["address"].startswith("0x")
        assert row["f"] is None
    assert [row["waste"] for row in document["rows"]] == ([0, 1, BIG, BIG, 3] if condition == "true" else [])


@pytest.fixture
def opened(monkeypatch):
    snapshot = sample()
    monkeypatch.setattr(type(snapshot), "sql", lambda self, text, seconds: ask(text, seconds), raising=False)
    monkeypatch.setattr("mapscope.cli.query.open_evidence", lambda *_: snapshot)


@pytest.mark.usefixtures("opened")
def test_the_command_writes_where_it_is_told(capfd, tmp_path):
    target = tmp_path / "waste.csv"
    assert main.main(["query", "core", "select address, waste from maps", "-o", str(target)]) == 0
    assert target.read_text().splitlines()[0] == "address,waste"
    assert main.main(["query", "core", "select 1", "-o", str(target)]) == 2
    assert "exists already" in capfd.readouterr().err
    assert main.main(["query", "core", "select 1 as one", "-o", str(target), "--force"]) == 0
    assert target.read_text() == "one\n1\n"
    capfd.readouterr()
    assert main.main(["query", "core", "select range from range(500)"]) == 0
    assert "and 400 more" in capfd.readouterr().out
    assert main.main(["query", "core", "select range from range(500)", "--top", "0"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 501
    assert main.main(["query", "core", "select x from maps"]) == 2
    err = capfd.readouterr().err
    assert re.search(r"error: .*\"x\"", err)
    assert "the tables are maps" in err
