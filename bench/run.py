"""``make bench``: what ``mapscope analyze`` costs, each figure a ratio to something measured in the same run.

For each Go release and size: a program fills its heap, collects it (gctrace gives the CPU time of marking), a core of
it is taken, and the core is read with ``cat`` and analysed. Sizes are live bytes of the heap in MB.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from bench import gctrace, measure
from mapscope.errors import MapscopeError
from mapscope.evidence.capture import capture
from mapscope.lab import toolchains
from mapscope.units import human_bytes

HERE = Path(__file__).resolve().parent
RELEASES = "1.23.9,1.26.6"
SIZES = (64, 256, 1024)
LARGE = 4096
REFERENCE = 1024
"""The size that the aims are stated for."""
AIM_MARK, AIM_CAT, AIM_MEMORY = 2.0, 15.0, 0.3
FINDINGS = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One release and size."""

    release: str
    size: int
    heap_bytes: int
    objects: int
    core_bytes: int
    pause_seconds: float
    seconds: float
    cpu_seconds: float
    cat_seconds: float
    mark_seconds: float
    anonymous_bytes: int
    live_error: float
    """How far the live bytes of the report are from what the program says, as a share."""

    @property
    def by_cat(self) -> float:
        """Seconds of ``analyze`` for each second of ``cat``."""
        return self.seconds / self.cat_seconds

    @property
    def by_mark(self) -> float:
        """Seconds of ``analyze`` for each CPU second of the collector."""
        return self.seconds / self.mark_seconds

    @property
    def memory(self) -> float:
        """Peak of our own memory for each byte of heap."""
        return self.anonymous_bytes / self.heap_bytes


def bench_one(release: str, size: int, program: Path, folder: Path, runs: int) -> Row:
    """Fills, captures, reads and analyses one heap."""
    core = folder / f"heap-{release}-{size}.core"
    command: list[str | Path] = [program, f"-mb={size}"]
    environment = {**os.environ, "GODEBUG": "gctrace=1"}
    lines: list[str] = []
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        reader = threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            words = process.stdout.readline().split()
            if words[:1] != ["ready"]:
                raise SystemExit(f"{program} did not get ready")
            taken = capture(process.pid, core, overwrite=True)
        finally:
            process.kill()
        reader.join()
    heap, objects = int(words[2]), int(words[3])
    try:
        document = folder / "report.json"
        analyze: list[str | Path] = [sys.executable, "-m", "mapscope", "analyze", core, program, "-f", "json"]
        done = [measure.run(analyze, document) for _ in range(runs)]
        bad = [one for one in done if one.status not in (0, FINDINGS)]
        if bad:
            raise SystemExit(f"analyze ended with status {bad[0].status}: {bad[0].error.strip()}")
        live = json.loads(document.read_bytes())["heap"]["live_bytes"]
        return Row(
            release,
            size,
            heap,
            objects,
            core.stat().st_size,
            taken.pause_seconds,
            min(one.seconds for one in done),
            min(one.cpu_seconds for one in done),
            measure.cat_seconds(core),
            gctrace.mark_seconds(lines),
            max(one.anonymous_bytes for one in done),
            live / heap - 1,
        )
    finally:
        core.unlink()


def exponent(rows: list[Row]) -> float:
    """Slope of log(seconds) over log(heap bytes), by least squares: 1 is linear growth."""
    points = [(math.log(row.heap_bytes), math.log(row.seconds)) for row in rows]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else math.nan


def table(rows: list[Row]) -> str:
    """All rows as a Markdown table."""
    columns = (
        *("Go", "heap", "objects", "analyze", "× cat", "× GC mark", "own memory / heap"),
        *("analyze (CPU)", "cat", "GC mark (CPU)", "pause of capture"),
    )
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = (
            *(row.release, human_bytes(row.heap_bytes), f"{row.objects / 1e6:.2f} M", f"{row.seconds:.2f} s"),
            *(f"{row.by_cat:.1f}", f"{row.by_mark:.2f}", f"{row.memory:.3f}"),
            *(
                f"{row.cpu_seconds:.2f} s",
                f"{row.cat_seconds:.3f} s",
                f"{row.mark_seconds:.2f} s",
                f"{row.pause_seconds:.2f} s",
            ),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(rows: list[Row]) -> str:
    """The aims, and whether this run met them."""
    lines = []
    for row in rows:
        if row.size == REFERENCE:
            for name, value, aim in (
                ("seconds by CPU seconds of the Go collector", row.by_mark, AIM_MARK),
                ("seconds by seconds of cat", row.by_cat, AIM_CAT),
                ("own memory by heap", row.memory, AIM_MEMORY),
            ):
                met = "met" if value <= aim else "MISSED"
                lines.append(
                    f"- Go {row.release}, {human_bytes(row.heap_bytes)}: {name} {value:.2f} (aim {aim:g}): {met}"
                )
    for release in dict.fromkeys(row.release for row in rows):
        mine = [row for row in rows if row.release == release]
        if len(mine) > 1:
            sizes = f"{human_bytes(mine[0].heap_bytes)} to {human_bytes(mine[-1].heap_bytes)}"
            lines.append(f"- Go {release}: time grows as heap^{exponent(mine):.2f} from {sizes} (1 is linear)")
    lines += [
        f"- Go {row.release}, {human_bytes(row.heap_bytes)}: live bytes of the report are {row.live_error:+.2%} off"
        for row in rows
        if abs(row.live_error) > 0.01
    ]
    return "\n".join(lines)


def machine() -> str:
    """What it ran on, one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    linux = platform.release().partition("-")[0]
    return f"{model}, {os.cpu_count()} CPUs, Linux {linux}, Python {platform.python_version()}"


def available_bytes() -> int:
    """``MemAvailable``."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--go", default=RELEASES, help=f"Go releases, by comma (default {RELEASES})")
    parser.add_argument("--sizes", help=f"live heap in MB, by comma (default {','.join(map(str, SIZES))})")
    parser.add_argument("--large", action="store_true", help=f"{LARGE} MB too")
    parser.add_argument("--runs", type=int, default=3, help="runs of analyze for each figure; the fastest counts")
    parser.add_argument("--folder", type=Path, help="where cores are written (default: the system's temporary folder)")
    parser.add_argument("--markdown", type=Path, help="write the result there as a Markdown fragment too")
    options = parser.parse_args()
    sizes = (
        [int(size) for size in options.sizes.split(",")]
        if options.sizes
        else [*SIZES, *([LARGE] if options.large else [])]
    )
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory(prefix="mapscope-bench-", dir=options.folder) as name:
            for release in options.go.split(","):
                toolchain = toolchains.install(release, progress=lambda line: print(line, file=sys.stderr))
                program = toolchain.build(HERE / "heap", Path(name) / f"heap-{release}")
                for size in sizes:
                    if size * 3 << 20 > available_bytes():
                        print(f"Go {release}, {size} MB: left out, too little memory is free", file=sys.stderr)
                        continue
                    print(f"Go {release}, {size} MB …", file=sys.stderr, flush=True)
                    rows.append(bench_one(release, size, program, Path(name), options.runs))
    except MapscopeError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_status
    text = f"{machine()}\n\n{table(rows)}\n\n{verdict(rows)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
