"""What ``mapscope profile`` costs next to ``go tool pprof -top``, on the same files in the same run.

``bench/profiled`` writes a real heap profile; ``bench.largeprofile`` makes a large one of the same program. Each
command is run a few times, turn by turn, and the fastest run and the smallest peak of each count.

``python -m bench.profiles`` runs this part of ``make bench`` alone.
"""

from __future__ import annotations

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import largeprofile, measure
from mapscope.errors import MapscopeError
from mapscope.lab import toolchains
from mapscope.lab.toolchains import Toolchain
from mapscope.units import human_bytes

HERE = Path(__file__).resolve().parent
RELEASES = "1.23.9,1.26.6"
"""The tool pprof of the first lies ready in its GOROOT; from Go 1.25 on the go command builds and looks it up first."""
MIDDLE_BYTES, LARGE_BYTES = 1_000_000, 50_000_000
AIM_LARGE, AIM_SMALL = 1 / 3, 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One file read by pprof and by mapscope, both without and with the executable."""

    release: str
    what: str
    file_bytes: int
    large: bool
    plain: tuple[measure.Measured, measure.Measured]
    """pprof, mapscope: without the executable."""
    full: tuple[measure.Measured, measure.Measured]
    """The same with it."""


def bench(release: str, toolchain: Toolchain, folder: Path, runs: int) -> list[Row]:
    """All files of one release."""
    program = toolchain.build(HERE / "profiled", folder / f"profiled-{release}")
    real = folder / f"real-{release}.pb.gz"
    subprocess.run([program, f"-o={real}"], env=toolchain.environment(), check=True, stdout=subprocess.DEVNULL)
    files = [("real", real, False)]
    for size in (MIDDLE_BYTES, LARGE_BYTES):
        plain = folder / f"made-{release}-{size}.pb"
        samples, places = largeprofile.write(program, plain, size)
        files.append((f"made, {samples:,} samples, {places:,} places", plain, size == LARGE_BYTES))
    packed = plain.with_suffix(".pb.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1, mtime=0))
    files.append(("the same, gzip", packed, True))
    try:
        return [_row(release, toolchain, program, *one, runs) for one in files]
    finally:
        for _, path, _ in files:
            path.unlink()


def _row(release: str, toolchain: Toolchain, program: Path, what: str, path: Path, large: bool, runs: int) -> Row:
    pprof: Sequence[str | Path] = (toolchain.go, "tool", "pprof", "-top")
    ours: Sequence[str | Path] = (sys.executable, "-m", "mapscope", "profile", path)
    commands = ((*pprof, path), ours, (*pprof, program, path), (*ours, "-e", program))
    found: list[list[measure.Measured]] = [[] for _ in commands]
    for number in range(runs + 1):
        for command, done in zip(commands, found, strict=True):
            one = measure.run(command, environment=toolchain.environment())
            if one.status:
                raise SystemExit(f"{command} ended with {one.status}: {one.error}")
            if number or large:  # the first of a small one may build pprof, and brings all files into the cache
                done.append(one)
    best = [_best(done) for done in found]
    return Row(release, what, path.stat().st_size, large, (best[0], best[1]), (best[2], best[3]))


def _best(runs: Sequence[measure.Measured]) -> measure.Measured:
    """The fastest, with the smallest peak of all."""
    fastest = min(runs, key=lambda one: one.seconds)
    return measure.Measured(
        fastest.seconds, min(one.cpu_seconds for one in runs), min(one.anonymous_bytes for one in runs),
        min(one.peak_bytes for one in runs), 0, "",
    )  # fmt: skip


def report(rows: Iterable[Row]) -> str:
    """Table and verdict as Markdown."""
    head = (
        *("Go", "file", "size", "executable", "pprof", "mapscope", "÷ pprof"),
        *("CPU pprof", "CPU mapscope", "÷ pprof", "peak pprof", "peak mapscope", "÷ pprof"),
    )
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    verdicts = []
    for row in rows:
        for given, (theirs, ours) in (("no", row.plain), ("yes", row.full)):
            seconds = ours.seconds / theirs.seconds
            memory = ours.peak_bytes / theirs.peak_bytes
            cells = (
                *(row.release, row.what, human_bytes(row.file_bytes), given),
                *(f"{theirs.seconds:.2f} s", f"{ours.seconds:.2f} s", f"{seconds:.2f}"),
                *(f"{theirs.cpu_seconds:.2f} s", f"{ours.cpu_seconds:.2f} s"),
                f"{ours.cpu_seconds / max(theirs.cpu_seconds, 1e-3):.2f}",
                *(human_bytes(theirs.peak_bytes), human_bytes(ours.peak_bytes), f"{memory:.2f}"),
            )
            lines.append(f"| {' | '.join(cells)} |")
            name = f"- Go {row.release}, {row.what}, {'with' if given == 'yes' else 'without'} the executable"
            for part, value, aim in (
                ("seconds", seconds, AIM_LARGE if row.large else AIM_SMALL),
                ("peak memory", memory, 1.0),
            ):
                verdict = "met" if value <= aim else "MISSED"
                verdicts.append(f"{name}: {part} by those of pprof {value:.3f} (aim {aim:.2f}): {verdict}")
    return "\n".join([*lines, "", *verdicts])


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.profiles", description=__doc__)
    parser.add_argument("--go", default=RELEASES, help=f"Go releases, by comma (default {RELEASES})")
    parser.add_argument("--runs", type=int, default=3, help="runs of each command; the fastest counts")
    parser.add_argument("--folder", type=Path, help="where files are written (default: the system's temporary folder)")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows = []
    try:
        with tempfile.TemporaryDirectory(prefix="mapscope-bench-", dir=options.folder) as name:
            for release in options.go.split(","):
                toolchain = toolchains.install(release, progress=lambda line: print(line, file=sys.stderr))
                rows += bench(release, toolchain, Path(name), options.runs)
    except MapscopeError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_status
    print(report(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
