"""``python -m bench.serving``: what ``mapscope serve`` costs, as ratios to ``mapscope analyze`` of the same core.

Time and memory to the first page, and the time of each kind of question, the fastest and the slowest of several, each
the best of all runs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import measure
from bench.run import HERE, best
from mapscope.evidence.capture import capture
from mapscope.lab import toolchains
from mapscope.units import human_bytes

_KINDS = 8


class Client:
    """Asks one server; ``asked`` has seconds and bytes of each kind of question."""

    def __init__(self, url: str) -> None:
        """``url``: as ``mapscope serve`` prints it."""
        parts = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=600)
        self._root = parts.path
        self.asked: dict[str, list[tuple[float, int]]] = {}

    def get(self, kind: str, path: str) -> bytes:
        """The answer; its time counts for ``kind``."""
        began = time.perf_counter()
        self._connection.request("GET", self._root + path)
        response = self._connection.getresponse()
        body = response.read()
        self.asked.setdefault(kind, []).append((time.perf_counter() - began, len(body)))
        if response.status != 200:
            raise SystemExit(f"{path}: status {response.status}: {body[:200]!r}")
        return body

    def json(self, kind: str, path: str) -> Any:
        """The same as a document."""
        return json.loads(self.get(kind, path))


@contextmanager
def serving(core: Path, program: Path) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """A server: its process, its URL, and seconds until it said that."""
    began = time.perf_counter()
    command: list[str | Path] = [sys.executable, "-m", "mapscope", "serve", core, program]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            yield process, url, time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGINT)


def memory(pid: int, name: str) -> int:
    """A line of /proc/PID/status in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def questions(client: Client) -> None:
    """Some of each kind, on the largest maps and on what lies in them."""
    largest = client.json("maps, the largest", f"api/maps?sort=bytes&limit={_KINDS}")["maps"]
    for way in ("sort=waste", "sort=type", "search=record", "state=growing", "sort=count&offset=30000"):
        client.get("maps, sorted and filtered otherwise", f"api/maps?limit=50&{way}")
    for row in largest:
        place = row["header"].get("dirPtr") or row["header"]["buckets"]
        client.get("a map's page", f"api/pack/map/{row['address']}")
        client.get("an address: header of a map", f"api/address/{row['address']}")
        client.get("an address: array of a map", f"api/address/{place}")
        client.get("an address: any", f"api/address/{int(place, 16) + 100_000_000:#x}")
        client.get("every way to it", f"api/chains/{row['address']}")
    node = 0
    for _ in range(_KINDS):
        branch = client.json("one floor of the dominator tree", f"api/dominators?node={node}")
        node = next((row["node"] for row in branch["rows"] if row["below"]), 0)
    client.get("types, first", "api/types?limit=50")
    client.get("types, again", "api/types?limit=50&search=main")


def bench(core: Path, program: Path, runs: int, say: Callable[[str], None]) -> None:
    """Measures and prints."""
    analyze: list[str | Path] = [sys.executable, "-m", "mapscope", "analyze", core, program, "-f", "json"]
    [whole] = best([analyze], core.with_name("report.json"), runs, lambda: None)
    firsts, ready, peaks, cpu = [], [], [], []
    every: list[dict[str, list[tuple[float, int]]]] = []
    for _ in range(runs):
        with serving(core, program) as (process, url, seconds):
            client = Client(url)
            began = time.perf_counter()
            page = len(client.get("page", ""))
            pack = len(client.get("pack", "api/pack"))
            firsts.append(seconds + time.perf_counter() - began)
            ready.append(seconds)
            cpu.append(cpu_seconds(process.pid))
            before = memory(process.pid, "RssAnon")
            client.asked.clear()
            questions(client)
            peaks.append((before, memory(process.pid, "RssAnon")))
            every.append(client.asked)
    own = human_bytes(whole.anonymous_bytes)
    say(f"analyze -f json: {whole.seconds:.2f} s, {whole.cpu_seconds:.2f} s of CPU, {own} of its own")
    say(f"first page: {min(firsts):.2f} s, {min(firsts) / whole.seconds:.2f} × analyze ({min(ready):.2f} s to the URL)")
    say(f"CPU to the first page: {min(cpu):.2f} s, {min(cpu) / whole.cpu_seconds:.2f} × analyze")
    say(f"page {human_bytes(page)}, data {human_bytes(pack)}")
    for name, at in (("at the first page", 0), ("after all questions", 1)):
        most = max(peak[at] for peak in peaks)
        say(f"own memory {name}: {human_bytes(most)}, {most / whole.anonymous_bytes:.2f} × the peak of analyze")
    say("| question | asked | fastest | slowest | slowest ÷ CPU of analyze | largest answer |\n" + "|---" * 6 + "|")
    for kind in every[0]:
        asked = [min(same) for same in zip(*(one[kind] for one in every), strict=True)]  # of each question its best
        low, high = min(asked)[0], max(asked)[0]
        largest = human_bytes(max(size for _, size in asked))
        share = high / whole.cpu_seconds
        say(f"| {kind} | {len(asked)} | {low * 1000:.1f} ms | {high * 1000:.1f} ms | {share:.4f} | {largest} |")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--go", default="1.26.6", help="Go release (default 1.26.6)")
    parser.add_argument("--size", type=int, default=1024, help="live heap in MB (default 1024)")
    parser.add_argument("--runs", type=int, default=2, help="runs; the fastest counts (default 2)")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="mapscope-bench-") as name:
        folder = Path(name)
        program = toolchains.install(options.go).build(HERE / "heap", folder / "heap")
        command: list[str | Path] = [program, f"-mb={options.size}"]
        with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            capture(process.pid, folder / "core")
            process.kill()
        print(f"Go {options.go}, {human_bytes(int(words[2]))}, {int(words[3]):,} objects")
        print(f"cat: {measure.cat_seconds(folder / 'core'):.3f} s")
        bench(folder / "core", program, options.runs, print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
