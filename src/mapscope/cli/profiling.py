"""What the commands about profiles share: options of URLs, reading, classifying."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from mapscope.errors import UsageError

if TYPE_CHECKING:
    from mapscope.binary.executable import Executable
    from mapscope.heap.progress import Progress
    from mapscope.profiles.classify import Classified
    from mapscope.profiles.fetch import Request
    from mapscope.profiles.model import Profile
    from mapscope.profiles.statements import Sources
    from mapscope.profiles.symbols import Symbols
    from mapscope.report.profile_document import ProfileDocument

F = TypeVar("F", bound=Callable[..., object])


def url_options(command: F) -> F:
    """``--timeout``, ``--header``, ``--ca``, ``--insecure``: how URLs are asked."""
    for option in (
        click.option("--insecure", is_flag=True, help="Take any certificate."),
        click.option("--ca", metavar="FILE", help="Certificates to trust besides the system's."),
        click.option("--header", multiple=True, metavar="NAME:VALUE", help="A header for URLs; may be repeated."),
        click.option(
            "--timeout", type=click.FloatRange(min=0.1, max=3600), default=30.0, show_default=True, metavar="S",
            help="Give up on a URL that sends nothing for S seconds.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


executable_option = click.option(
    "-e", "--executable", metavar="FILE", help="The program that made them; it needs no symbols."
)
source_option = click.option(
    "--source",
    metavar="FOLDER",
    help="Without -e: the source tree; the statement at a line says what it makes. For sarif: files are named as they "
    "lie in it.",
)


def open_sources(folder: str | None) -> Sources | None:
    """The source tree under ``folder``. Raises UsageError."""
    if folder is None:
        return None
    from mapscope.profiles.statements import Sources

    return Sources(folder)


def open_executable(path: str | None) -> Executable | None:
    """The program at ``path``. Raises ExecutableError."""
    if path is None:
        return None
    from mapscope.binary.executable import Executable

    return Executable.open(path)


def new_folder(given: str) -> Path:
    """The folder, made where it is missing; UsageError where it is not empty, or cannot be used."""
    folder = Path(given)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"the folder {folder} is not empty", "give --keep a new folder")
    except OSError as error:
        raise UsageError(f"cannot use {folder}: {error.strerror or error}", "give --keep another folder") from error
    return folder


def parse_headers(given: Iterable[str]) -> dict[str, str]:
    """``Name: value`` pairs. UsageError for anything else."""
    found = {}
    for one in given:
        name, colon, value = one.partition(":")
        if not colon or not name.strip() or any(c in one for c in "\r\n"):
            raise UsageError("--header wants NAME:VALUE", "for example --header 'Authorization: Bearer TOKEN'")
        found[name.strip()] = value.strip()
    return found


def read_all(origins: Iterable[str], request: Request, progress: Progress | None) -> list[Profile]:
    """Every profile, in the order given."""
    from mapscope.profiles.fetch import expand, read_profile

    names = expand(list(origins))
    if names.count("-") > 1:
        raise UsageError("stdin can be read only once", "give - once")
    found = []
    for number, name in enumerate(names):
        if progress is not None:
            progress("reading", number, len(names))
        stream = sys.stdin.buffer if name == "-" else None
        found.append(read_profile(name, stream=stream, request=request))
    return found


def classify_all(
    found: list[Profile], executable: Executable | None, progress: Progress | None, sources: Sources | None = None
) -> tuple[list[Classified], list[Profile]]:
    """Heap profiles by time (in the order given where one does not say), classified; and the others, as given."""
    from mapscope.profiles.classify import classify
    from mapscope.profiles.model import HEAP

    heaps = [one for one in found if one.kind == HEAP]
    if all(one.time_nanos for one in heaps):
        heaps.sort(key=lambda one: one.time_nanos)
    made = []
    for number, one in enumerate(heaps):
        if progress is not None:
            progress("classifying", number, len(heaps))
        made.append(classify(one, None if executable is None else _symbols(executable, one), sources))
    return made, [one for one in found if one.kind != HEAP]


def _symbols(executable: Executable, profile: Profile) -> Symbols:
    from mapscope.profiles.loading import open_symbols  # reading executables takes longer to import than small profiles

    return open_symbols(executable, profile)


def page(document: ProfileDocument, heaps: Sequence[Classified]) -> list[bytes]:
    """The page of ``document`` for a browser; ``heaps`` as they were given to ``build_profile``."""
    from mapscope.report.page.html import render
    from mapscope.report.page.profile import profile_pack, title

    return [render(profile_pack(document, heaps), title(document)).encode()]
