"""SQL over the tables of a snapshot, through DuckDB (extra ``query``), which can reach nothing else.

No file, no network, no extension, no Python variable: the connection is locked before the statement is seen. Memory
and time are bounded.
"""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from mapscope.errors import UsageError
from mapscope.table import Array, Coded, Table, optional
from mapscope.tables import NAMES, Tables

if TYPE_CHECKING:
    import duckdb

SECONDS = 300.0
"""How long a statement may take."""
_LEAST_MEMORY = 1 << 30
_WHOLE = ("HUGEINT", "UHUGEINT")
_HINT = f"the tables are {', '.join(NAMES)}; describe maps lists the columns of one"
_CONFIG = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
_LOCK = ("SET temp_directory = ''", "SET enable_external_access = false", "SET lock_configuration = true")


def run_sql(tables: Tables, text: str, seconds: float = SECONDS) -> Table:
    """The result of one SELECT (or DESCRIBE, SUMMARIZE) over ``tables``.

    A table is built only when its name stands in ``text``. Sums of whole numbers stay whole: int64, uint64, or Python
    ints where those are too small.

    Raises:
        UsageError: DuckDB is not installed or refuses the statement, or it takes longer than ``seconds`` or more than
            a quarter of the machine's memory.
    """
    db = optional("duckdb", "query")
    config = {**_CONFIG, "memory_limit": f"{_memory() >> 20}MiB"}
    with db.connect(":memory:", config=config) as connection:
        statement = _checked(db, connection, text)
        for name in NAMES:
            if re.search(rf"\b{name}\b", text, re.IGNORECASE):
                _register(connection, tables[name])
        for line in _LOCK:
            connection.execute(line)
        return _run(db, connection, statement, seconds)


def _memory() -> int:
    """A quarter of the machine's memory in bytes."""
    return max(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4, _LEAST_MEMORY)


def _checked(db: Any, connection: duckdb.DuckDBPyConnection, text: str) -> duckdb.Statement:
    """The one statement in ``text``."""
    try:
        statements = connection.extract_statements(text)
    except db.Error as error:
        raise _refused(error) from None
    if len(statements) != 1 or statements[0].type != db.StatementType.SELECT:
        raise UsageError("a query is one SELECT statement", _HINT)
    return statements[0]


def _register(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """A view of ``table``: plain columns where they lie, codes joined with their words."""
    plain, picks, joins = {}, [], []
    for number, (name, column) in enumerate(table.stored.items()):
        if isinstance(column, Coded):
            words = f"_{table.name}_{number}"
            codes = np.arange(len(column.words), dtype=np.int32)
            connection.register(words, {"code": codes, "word": np.array(column.words, dtype=object)})
            joins.append(f'LEFT JOIN "{words}" ON "{words}".code = base."{name}"')
            picks.append(f'"{words}".word::VARCHAR AS "{name}"')
            plain[name] = column.codes
        else:
            picks.append(f'base."{name}"')
            plain[name] = column
    connection.register(f"_{table.name}", plain)
    connection.execute(
        f'CREATE VIEW "{table.name}" AS SELECT {", ".join(picks)} FROM "_{table.name}" base {" ".join(joins)}'  # noqa: S608  # our own names
    )


def _run(db: Any, connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, seconds: float) -> Table:
    late = threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        connection.execute(statement)
        return _result(connection)
    except db.InterruptException:
        if not late.is_set():
            raise KeyboardInterrupt from None
        raise UsageError(
            f"the query took longer than {seconds:g} seconds", "ask for less, or allow more time"
        ) from None
    except db.OutOfMemoryException as error:
        raise UsageError(_first_line(error), "ask for less at once: fewer columns, a where clause") from None
    except db.Error as error:
        raise _refused(error) from None
    finally:
        timer.cancel()
        timer.join()


def _result(connection: duckdb.DuckDBPyConnection) -> Table:
    heads: list[tuple[str, str]] = []
    for name, kind, *_ in connection.description or []:
        base, number = str(name), 1
        while any(name == other for other, _ in heads):  # select a, a
            name, number = f"{base}_{number}", number + 1
        heads.append((str(name), str(kind)))
    if len({str(name) for name, *_ in connection.description or []}) == len(heads) and not any(
        kind in _WHOLE for _, kind in heads
    ):
        fetched: dict[str, Array] = connection.fetchnumpy()
        return Table("result", {name: fetched[name] for name, _ in heads})
    rows = connection.fetchall()  # fetchnumpy makes floats of HUGEINT
    columns = zip(*rows, strict=True) if rows else [()] * len(heads)
    return Table("result", {name: _array(list(values)) for (name, _), values in zip(heads, columns, strict=True)})


def _array(values: list[Any]) -> Array:
    """A column of Python values: int64, else uint64, for whole numbers that fit, masked where there are nulls."""
    missing = np.array([value is None for value in values], dtype=np.bool_)
    there = [value for value in values if value is not None]
    for dtype, low, high in ((np.int64, -(1 << 63), 1 << 63), (np.uint64, 0, 1 << 64)):
        if all(type(value) is int and low <= value < high for value in there):
            data: Array = np.array([0 if value is None else value for value in values], dtype=dtype)
            return np.ma.masked_array(data, missing) if missing.any() else data
    if all(type(value) is float for value in there):
        data = np.array([np.nan if value is None else value for value in values])
        return np.ma.masked_array(data, missing) if missing.any() else data
    out: Array = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _refused(error: Exception) -> UsageError:
    return UsageError(_first_line(error), _HINT)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
