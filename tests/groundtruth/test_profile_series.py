"""``mapscope profile diff`` and ``watch``: against ``go tool pprof -diff_base``, and a server of recorded profiles."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mapscope.report.schema import json_schema
from tests.groundtruth import harness
from tests.groundtruth.test_profile_command import pprof, run
from tests.groundtruth.test_profiles import take
from tests.groundtruth.test_standing import GROWING, waited
from tests.groundtruth.variants import Variant
from tests.unit.report.schema_check import problems

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]
__all__ = ["take"]

FLAT = re.compile(r"^ *(-?\d+)B? +-?[\d.]+% +-?[\d.]+% +-?\d+B? +-?[\d.]+% +(.*?)(?: \(inline\))?$", re.MULTILINE)


@pytest.mark.parametrize("variant", [Variant("1.21"), Variant("1.23", "pie-stripped"), Variant("1.26")], ids=str)
def test_diff_moves_what_pprof_moves(variant: Variant, take: Any):
    taken = take(variant, "standing-rising")
    old, new = taken.folder / "heap-1.pb.gz", taken.folder / "heap-3.pb.gz"
    document = json.loads(run("diff", old, new, "-e", taken.executable, "-f", "json"))
    schema = json_schema()
    assert not problems(document, schema["$defs"]["ProfileDiffDocument"], schema)
    flags = ("-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", "-sample_index=inuse_space", "-unit=B")
    text = pprof(taken, variant, *flags, f"-diff_base={old}", new)
    theirs = {name: int(size) for size, name in FLAT.findall(text)}
    ours: dict[str, int] = defaultdict(int)
    for row in document["sites"]:
        ours[row["function"]] += row["new_bytes"] - row["old_bytes"]
    assert ours["main.fillMore"] > 1_000_000
    # a collection that begins in it allocates a few hundred bytes there, which are no part of the map
    assert 0 <= theirs["main.fillMore"] - ours["main.fillMore"] < 1024
    assert document["new_maps"]["inuse_bytes"] - document["old_maps"]["inuse_bytes"] == sum(ours.values())
    assert document["sites"][0]["type"] == GROWING
    assert document["hours"] > 0
    table = list(csv.DictReader(io.StringIO(run("diff", old, new, "-e", taken.executable, "-f", "csv").decode())))
    assert [int(row["change_bytes"]) for row in table] == [r["new_bytes"] - r["old_bytes"] for r in document["sites"]]
    grew, shrank = (run("diff", *pair, "-e", taken.executable).decode() for pair in ((old, new), (new, old)))
    assert "GREW" in grew
    assert "SHRANK" not in grew
    assert "SHRANK" in shrank
    assert "main.fillMore  standing.go:" in shrank


def test_suspects_come_and_go(take: Any):
    variant = Variant("1.23")
    still, grown = take(variant, "presized"), take(variant, "stalled")
    files = [one.folder / "heap.pb.gz" for one in (still, grown)]
    there, back, same = (
        json.loads(run("diff", *pair, "-e", still.executable, "-f", "json"))
        for pair in (files, files[::-1], [files[1]] * 2)
    )
    names = ("new_suspects", "gone_suspects", "same_suspects")
    assert [len(there[name]) for name in names] == [1, 0, 0]
    assert [len(back[name]) for name in names] == [0, 1, 0]
    assert [len(same[name]) for name in names] == [0, 0, 1]
    assert not same["sites"]
    assert same["unchanged_sites"] > 0


class Recorded(ThreadingHTTPServer):
    """Serves recorded heap profiles, one after the other, and one goroutine profile. ``None`` is an answer of 503."""

    def __init__(self, heaps: list[bytes | None], routines: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heaps, self.routines = heaps, routines
        self.asked = 0
        self.third = threading.Event()

    @property
    def url(self) -> str:
        """Of the service."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers of ``Recorded``."""

    server: Recorded

    def do_GET(self) -> None:
        body: bytes | None = self.server.routines
        if self.path == "/debug/pprof/heap":
            body = self.server.heaps[min(self.server.asked, len(self.server.heaps) - 1)]
            self.server.asked += 1
        elif self.path != "/debug/pprof/goroutine?debug=2":
            body = None
        self.send_response(503 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"not now")
        if self.server.asked >= 3:
            self.server.third.set()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[[list[bytes | None], bytes], Recorded]]:
    """Starts servers."""
    made: list[Recorded] = []

    def start(heaps: list[bytes | None], routines: bytes) -> Recorded:
        server = Recorded(heaps, routines)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.append(server)
        return server

    yield start
    for server in made:
        server.shutdown()
        server.server_close()


def watch(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """The command, running."""
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "mapscope", "profile", "watch", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def recorded(taken: Any) -> list[bytes | None]:
    """The three heap profiles of the run."""
    return [(taken.folder / f"heap-{number}.pb.gz").read_bytes() for number in (1, 2, 3)]


def test_watch_keeps_shows_and_joins(take: Any, serve: Any, tmp_path: Path):
    taken = take(Variant("1.23"), "standing-rising")
    heaps = recorded(taken)
    server = serve(heaps, waited(taken, tmp_path).read_bytes())
    kept = tmp_path / "kept"
    process = watch(server.url, "-e", taken.executable, "--every", "5s", "--for", "10s", "--keep", kept, "-f", "json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert server.asked == 3
    files = sorted(kept.iterdir())
    assert [one.name for one in files] == ["goroutines.txt", "heap-0001.pb.gz", "heap-0002.pb.gz", "heap-0003.pb.gz"]
    assert [one.read_bytes() for one in files[1:]] == heaps
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    document = json.loads(out)
    (course,) = [row for row in document["series"] if row["function"] == "main.fillMore"]
    again = json.loads(run(*files[1:], files[0], "-e", taken.executable, "-f", "json"))
    assert {row["function"] for row in document["suspects"]} >= {"main.insideLoop", "main.inSelect"}
    assert (document["series"], document["suspects"]) == (again["series"], again["suspects"])
    lines = [line for line in err.decode().splitlines() if "heap-000" in line]
    assert len(lines) == 3
    assert course["inuse_bytes"] == sorted(course["inuse_bytes"])


def test_watch_ends_early_with_a_report(take: Any, serve: Any, tmp_path: Path):
    taken = take(Variant("1.23"), "standing-rising")
    heaps = recorded(taken)
    server = serve([heaps[0], None, heaps[1], heaps[2]], b"goroutine 1 [running]:\nmain.main()\n\t/x.go:1 +0x1\n")
    process = watch(server.url, "--every", "1s", "--for", "1h", "--keep", tmp_path / "kept")
    assert server.third.wait(60)
    assert process.stderr is not None
    seen = b""
    while b"heap-0003" not in seen:  # the third answer has been taken
        line = process.stderr.readline()
        assert line, seen
        seen += line
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert b"503" in seen
    assert b"ended early" in err
    assert b"OVER TIME" not in out  # without the executable no place of maps is known
    assert b"give it with -e" in b" ".join(out.split())


@pytest.mark.parametrize(("heaps", "status"), [(1, 0), (0, 2)])
def test_a_service_that_goes(heaps: int, status: int, take: Any, serve: Any, tmp_path: Path):
    taken = take(Variant("1.23"), "standing-rising")
    server = serve([*recorded(taken)[:heaps], None], b"")
    process = watch(server.url, "-e", taken.executable, "--every", "1s", "--for", "1h", "--keep", tmp_path / "kept")
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    assert server.asked == heaps + 3
    assert (b"MAPS" in out) == (status == 0)
    assert b"503" in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("watch", "here.pb.gz"), "is no URL"),
        (("watch", "http://localhost:1", "--every", "0.5s"), "--every 1s or more"),
        (("watch", "http://localhost:1", "--every", "soon"), "is no time"),
        (("watch", "http://localhost:1", "--keep", "FULL"), "is not empty"),
        (("diff", "TEXT", "TEXT"), "is not one heap profile"),
        (("diff", "TEXT"), "Missing argument 'NEW'"),
    ],
)
def test_usage(arguments: tuple[str, ...], word: str, tmp_path: Path):
    full = tmp_path / "full"
    full.mkdir()
    text = full / "goroutines.txt"
    text.write_bytes(b"goroutine 1 [running]:\nmain.main()\n\t/x.go:1 +0x1\n")
    names = {"FULL": str(full), "TEXT": str(text)}
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE)}
    command = [sys.executable, "-m", "mapscope", "profile", *(names.get(one, one) for one in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 2
    assert word in done.stderr
    assert len(done.stderr.splitlines()) <= 2
