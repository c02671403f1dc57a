"""What moving a shard costs, phase by phase, and what a client that never stops notices of it.

Two PostgreSQL servers of this machine, with ``fsync`` on, and one shard that goes back and forth between them while one
client writes to it and one reads. The article's table (section 2.2) has three of the phases; what it leaves out is the
longest wait of a write.

``python -m bench.growth`` runs this part of ``make bench`` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from mapscope.growth import controller, figures
from mapscope.growth.protocol import State
from mapscope.growth.state import Move
from mapscope.units import human_bytes
from tests.services import growing, postgres
from tests.services.growing import Growing

MOVES, ROWS, ROW_BYTES = 20, 20_000, 1000
_TABLES = """
create schema template;
create table template.entries (service text not null, number bigint not null, body text, primary key (service, number));
create index entries_of_number on template.entries (number);
"""


@dataclass(frozen=True, slots=True)
class Result:
    """All moves of one run. Waits are seconds of single calls of a client; ``copy_seconds`` is a plain COPY."""

    moves: int
    copied_bytes: int
    copy_seconds: float
    phases: list[figures.Taken]
    quiet_write: float
    writes: list[float]
    reads: list[float]


def _insert(link: Connection[TupleRow], schema: str, number: int) -> None:
    statement = f"insert into {schema}.entries values ('client', %s, 'x')"  # noqa: S608
    link.execute(statement.encode(), (number,))


def _client(made: Growing, end: threading.Event, waits: list[float], *, reading: bool) -> Callable[[], None]:
    def run() -> None:
        number = 0
        with made.router() as client:
            while not end.is_set():
                number += 1
                began = time.monotonic()
                if reading:
                    client.read(
                        "svc", lambda link, schema: link.execute(f"table {schema}.entries limit 1".encode()).fetchall()
                    )
                else:
                    client.write("svc", partial(_insert, number=number))
                waits.append(time.monotonic() - began)
                end.wait(0.001)

    return run


def bench(folder: Path, moves: int = MOVES, rows: int = ROWS) -> Result:
    """Moves one shard of ``rows`` rows ``moves`` times."""
    with (
        postgres.clusters(
            2, {**growing.SETTINGS, "fsync": "on", "autovacuum": "on", "shared_buffers": "64MB"}
        ) as servers,
        growing.store(folder, servers, shards=1, first=1, template=_TABLES) as made,
    ):
        made.ask(
            "a",
            "insert into shard_0000.entries select 'svc-' || n %% 100, n, repeat(md5(n::text), %s::int) "
            "from generate_series(1, %s::int) n",
            ROW_BYTES // 32,
            rows,
        )
        copy_seconds = _plain_copy(made)
        steps: list[figures.Step] = []
        copied: list[float] = []

        def report(move: Move, state: State, seconds: float, measured: dict[str, float]) -> None:
            steps.append((move.id, state, seconds, measured))
            copied.extend([measured["bytes"]] if "bytes" in measured else [])

        end = threading.Event()
        writes: list[float] = []
        reads: list[float] = []
        clients = [
            threading.Thread(target=_client(made, end, waits, reading=reading))
            for waits, reading in ((writes, False), (reads, True))
        ]
        for one in clients:
            one.start()
        try:
            while len(writes) < 200:
                time.sleep(0.01)
            quiet = statistics.median(writes)
            writes.clear()
            reads.clear()
            for number in range(moves):
                wanted = (0, "ab"[number % 2], "ba"[number % 2])
                outcome = asyncio.run(controller.carry_out(made.store, [wanted], report))
                if [move.state for move in outcome.ended] != [State.CLEANED]:
                    raise SystemExit(f"a move did not end: {outcome}")
        finally:
            end.set()
            for one in clients:
                one.join()
        return Result(moves, int(statistics.median(copied)), copy_seconds, figures.taken(steps), quiet, writes, reads)


def _plain_copy(made: Growing) -> float:
    """Seconds of one binary COPY from node to node into a table without indexes, and of nothing else."""
    with made.node("a") as source, made.node("b") as target:
        target.execute("create table public.plain (service text, number bigint, body text)")
        began = time.monotonic()
        with (
            source.cursor().copy("copy shard_0000.entries to stdout (format binary)") as out,
            target.cursor().copy("copy public.plain from stdin (format binary)") as into,
        ):
            for chunk in out:
                into.write(chunk)
        took = time.monotonic() - began
        target.execute("drop table public.plain")
    return took


def report(result: Result) -> str:
    """As Markdown."""
    lines = [
        f"{result.moves} moves of a shard of {human_bytes(result.copied_bytes)}; a client writes and another reads.",
        "",
        "| phase | median | longest | reads | writes | the article |",
        "|---|---|---|---|---|---|",
    ]
    for row in result.phases:
        article = "" if row.phase.article is None else f"{row.phase.article * 1000:g} ms"
        waits = ("wait" if who else "go on" for who in (row.phase.reads_wait, row.phase.writes_wait))
        times = (f"{row.median * 1000:.1f} ms", f"{row.longest * 1000:.1f} ms")
        lines.append(f"| {' | '.join((row.phase.name, *times, *waits, article))} |")
    base = next(row for row in result.phases if row.phase.name == "base copy")
    longest, size = max(result.writes), human_bytes(result.copied_bytes)
    writes = f"median {statistics.median(result.writes) * 1000:.1f} ms, longest {longest * 1000:.0f} ms"
    reads = f"median {statistics.median(result.reads) * 1000:.1f} ms, longest {max(result.reads) * 1000:.0f} ms"
    quiet = f"median {result.quiet_write * 1000:.1f} ms; the longest is {longest / result.quiet_write:.0f} times that"
    lines.append("")
    lines.append(f"- A client's write during the moves: {writes} of {len(result.writes):,} (without moves: {quiet}).")
    lines.append(f"- A client's read during the moves: {reads} of {len(result.reads):,}.")
    lines.append(
        f"- The base copy takes {base.median / result.copy_seconds:.2f} times a plain binary COPY of the same {size} "
        f"({result.copy_seconds * 1000:.0f} ms)."
    )
    return "\n".join(lines)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--moves", type=int, default=MOVES, help=f"moves (default {MOVES})")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of about {ROW_BYTES} bytes (default {ROWS})")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mapscope-bench-") as name:
        print(report(bench(Path(name), options.moves, options.rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
