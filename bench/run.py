"""``make bench``: what ``mapscope analyze`` costs, each figure a ratio to something measured in the same run.

For each Go release and size: a program fills its heap, collects it (gctrace gives the CPU time of marking), a core of
it is taken, and the core is read with ``cat`` and analysed. Sizes are live bytes of the heap in MB. Of each size there
are two heaps: one whose records are chained in the order of their allocation, and one whose records only maps lead to.
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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import gctrace, growth, measure, pause, profiles
from mapscope.errors import MapscopeError
from mapscope.evidence.capture import capture
from mapscope.lab import toolchains
from mapscope.units import human_bytes

HERE = Path(__file__).resolve().parent
RELEASES = "1.23.9,1.26.6"
SIZES = (64, 256, 1024)
LARGE = 4096
SHAPES = ("chained", "scattered")
REFERENCE = 1024
"""The size that the aims are stated for."""
AIM_MARK, AIM_CAT, AIM_MEMORY = 2.0, 15.0, 0.3
"""For the maps alone; who holds what may take as much time again."""
FINDINGS = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One release, size and shape."""

    release: str
    size: int
    shape: str
    heap_bytes: int
    objects: int
    core_bytes: int
    pause_seconds: float
    maps: measure.Measured
    """``analyze --no-chains``."""
    whole: measure.Measured
    """``analyze``."""
    cat_seconds: float
    mark_seconds: float
    holding: dict[str, float]
    """What ``bench.holding`` prints."""
    live_error: float
    """How far the live bytes of the report are from what the program says, as a share."""

    def ratios(self, done: measure.Measured) -> tuple[float, float, float]:
        """Of a run: seconds by CPU seconds of the collector, seconds by those of ``cat``, own bytes by heap bytes."""
        return done.seconds / self.mark_seconds, done.seconds / self.cat_seconds, done.anonymous_bytes / self.heap_bytes


def bench_one(release: str, size: int, shape: str, program: Path, folder: Path, runs: int) -> Row:
    """Fills, captures, reads and analyses one heap."""
    core = folder / f"heap-{release}-{size}.core"
    command: list[str | Path] = [program, f"-mb={size}", f"-scattered={'true' if shape == 'scattered' else 'false'}"]
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
        with open(core, "rb") as stream:
            os.fsync(stream.fileno())  # the disk is not to take time of what is measured next
        reader.join()
    heap, objects = int(words[2]), int(words[3])
    try:
        document = folder / "report.json"
        analyze: list[str | Path] = [sys.executable, "-m", "mapscope", "analyze", core, program, "-f", "json"]
        apart: list[str | Path] = [sys.executable, "-m", "bench.holding", core, program]
        told = []

        def holding() -> None:
            told.append(json.loads(subprocess.run(apart, check=True, stdout=subprocess.PIPE).stdout))

        maps, whole = best([[*analyze, "--no-chains"], analyze], document, runs, holding)
        live = json.loads(document.read_bytes())["heap"]["live_bytes"]
        return Row(
            release,
            size,
            shape,
            heap,
            objects,
            core.stat().st_size,
            taken.pause_seconds,
            maps,
            whole,
            measure.cat_seconds(core),
            gctrace.mark_seconds(lines),
            {name: min(one[name] for one in told) for name in told[0]},
            live / heap - 1,
        )
    finally:
        core.unlink()


def best(
    commands: list[list[str | Path]], document: Path, runs: int, between: Callable[[], None]
) -> list[measure.Measured]:
    """Of each command the least time of several runs that nobody watches, and the memory of one more.

    Turn by turn, with ``between`` behind each turn: other work on the machine comes and goes, and should not meet all
    runs of one command.
    """
    done: list[list[measure.Measured]] = [[] for _ in commands]
    for _ in range(runs):
        for command, mine in zip(commands, done, strict=True):
            mine.append(measure.run(command, document, watched=False))
        between()
    seen = [measure.run(command, document) for command in commands]
    bad = [one for one in (*(one for mine in done for one in mine), *seen) if one.status not in (0, FINDINGS)]
    if bad:
        raise SystemExit(f"analyze ended with status {bad[0].status}: {bad[0].error.strip()}")
    return [
        replace(
            mine[0],
            seconds=min(one.seconds for one in mine),
            cpu_seconds=min(one.cpu_seconds for one in mine),
            anonymous_bytes=watched.anonymous_bytes,
        )
        for mine, watched in zip(done, seen, strict=True)
    ]


def part_seconds(name: str) -> Callable[[Row], float]:
    """Seconds of one of ``PARTS``."""
    return lambda row: row.holding[name]


def exponent(rows: list[Row], seconds: Callable[[Row], float]) -> float:
    """Slope of log(seconds) over log(heap bytes), by least squares: 1 is linear growth."""
    points = [(math.log(row.heap_bytes), math.log(seconds(row))) for row in rows]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else math.nan


def table(rows: list[Row]) -> str:
    """What ``analyze`` takes, as a Markdown table."""
    columns = (
        *("Go", "heap", "objects", "records", "what", "seconds", "× GC mark", "× cat", "own memory / heap", "CPU"),
        *("GC mark (CPU)", "cat"),
    )
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        for what, done in (("maps alone", row.maps), ("with chains", row.whole)):
            by_mark, by_cat, memory = row.ratios(done)
            cells = (
                *(
                    row.release,
                    human_bytes(row.heap_bytes),
                    f"{row.objects / 1e6:.2f} M",
                    row.shape,
                    what,
                    f"{done.seconds:.2f} s",
                ),
                *(f"{by_mark:.2f}", f"{by_cat:.1f}", f"{memory:.3f}", f"{done.cpu_seconds:.2f} s"),
                *(f"{row.mark_seconds:.2f} s", f"{row.cat_seconds:.3f} s"),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


PARTS = ("graph", "dominators", "chains")


def parts(rows: list[Row]) -> str:
    """What the parts of "with chains" take, one behind the other, as a Markdown table."""
    columns = (
        *("Go", "heap", "records", "nodes", "edges", "maps", *(f"{name} (× GC mark)" for name in PARTS)),
        "pause of capture",
    )
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        told = row.holding
        cells = (
            *(row.release, human_bytes(row.heap_bytes), row.shape, f"{told['nodes'] / 1e6:.2f} M"),
            *(f"{told['edges'] / 1e6:.2f} M", f"{told['maps']:,.0f}"),
            *(f"{told[name]:.2f} s ({told[name] / row.mark_seconds:.2f})" for name in PARTS),
            f"{row.pause_seconds:.2f} s",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(rows: list[Row]) -> str:
    """The aims, and whether this run met them."""
    lines = []
    for row in rows:
        if row.size < REFERENCE:
            continue
        by_mark, by_cat, memory = row.ratios(row.maps)
        for name, value, aim in (
            ("maps alone, seconds by CPU seconds of the Go collector", by_mark, AIM_MARK),
            ("maps alone, seconds by seconds of cat", by_cat, AIM_CAT),
            ("maps alone, own memory by heap", memory, AIM_MEMORY),
            ("with chains, seconds by CPU seconds of the Go collector", row.ratios(row.whole)[0], 2 * AIM_MARK),
            ("with chains, seconds by seconds of cat", row.ratios(row.whole)[1], 2 * AIM_CAT),
            ("with chains, seconds by those of the maps alone", row.whole.seconds / row.maps.seconds, 2.0),
        ):
            met = "met" if value <= aim else "MISSED"
            lines.append(f"- {named(row)}: {name} {value:.2f} (aim {aim:g}): {met}")
    for release, shape in dict.fromkeys((row.release, row.shape) for row in rows):
        mine = [row for row in rows if (row.release, row.shape) == (release, shape)]
        if len(mine) > 1:
            sizes = f"{human_bytes(mine[0].heap_bytes)} to {human_bytes(mine[-1].heap_bytes)}"
            grown = [
                ("maps alone", exponent(mine, lambda row: row.maps.seconds)),
                ("with chains", exponent(mine, lambda row: row.whole.seconds)),
                *((name, exponent(mine, part_seconds(name))) for name in PARTS),
            ]
            said = ", ".join(f"{name} {slope:.2f}" for name, slope in grown)
            lines.append(f"- Go {release}, {sizes}, {shape}: time grows as heap^x (1 is linear), x: {said}")
    lines += [
        f"- {named(row)}: live bytes of the report are {row.live_error:+.2%} off"
        for row in rows
        if abs(row.live_error) > 0.01
    ]
    return "\n".join(lines)


def named(row: Row) -> str:
    """How a line of the verdict begins."""
    return f"Go {row.release}, {human_bytes(row.heap_bytes)}, {row.shape}"


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
    parser.add_argument("--shapes", default=",".join(SHAPES), help="by comma: chained, scattered (default both)")
    parser.add_argument("--heaps", action="store_true", help="heaps alone: no pauses, profiles and moves of shards")
    parser.add_argument("--runs", type=int, default=3, help="runs of analyze for each figure; the fastest counts")
    parser.add_argument("--folder", type=Path, help="where cores are written (default: the system's temporary folder)")
    parser.add_argument("--markdown", type=Path, help="write the result there as a Markdown fragment too")
    options = parser.parse_args()
    sizes = (
        [int(size) for size in options.sizes.split(",")]
        if options.sizes
        else [*SIZES, *([LARGE] if options.large else [])]
    )
    shapes = options.shapes.split(",")
    if not set(shapes) <= set(SHAPES):
        parser.error(f"--shapes {options.shapes}: they are {' and '.join(SHAPES)}")
    rows: list[Row] = []
    pauses: list[pause.Row | None] = []
    read: list[profiles.Row] = []
    moved = None
    # an installed package is byte-compiled; a checkout is where the environment does not forbid it
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
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
                    rows += [bench_one(release, size, shape, program, Path(name), options.runs) for shape in shapes]
                    if options.heaps:
                        continue
                    pauses += [pause.bench(release, size, program, Path(name))] if size in pause.SIZES else []
                if options.heaps:
                    continue
                print(f"Go {release}, profiles …", file=sys.stderr, flush=True)
                read += profiles.bench(release, toolchain, Path(name), options.runs)
            if not options.heaps:
                print("moves of shards …", file=sys.stderr, flush=True)
                moved = growth.bench(Path(name))
    except MapscopeError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_status
    found = [machine(), table(rows), parts(rows), verdict(rows)]
    if moved is not None:
        found += [pause.report(pauses), profiles.report(read), growth.report(moved)]
    text = "\n\n".join(found) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
