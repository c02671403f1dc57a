"""Where the data goes: stdout, or a file that is complete or not there at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from mapscope.errors import MapscopeError, UsageError

if TYPE_CHECKING:
    from mapscope.report.style import Style

_WIDEST = 240


class OutputError(MapscopeError):
    """The output could not be written."""


class OutputClosed(Exception):  # noqa: N818  # not an error: `mapscope … | head`
    """The reader of stdout went away."""


def check_target(path: str | None, force: bool) -> None:
    """Before the long work: raises UsageError where ``path`` could not be written afterwards."""
    if path is None or path == "-":
        return
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        mode = os.stat(target).st_mode
    except OSError:
        if not os.path.isdir(folder):
            raise UsageError(f"the folder of {path} does not exist", f"mkdir -p {folder}") from None
    else:
        if stat.S_ISDIR(mode):
            raise UsageError(f"{path} is a folder", "give -o the name of a file")
        if not stat.S_ISREG(mode):
            return
        if not force:
            raise UsageError(f"{path} exists already", "give another -o, or --force to replace it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"no permission to write in {folder}", "give -o a file in a folder of yours")


def named_page(chosen: str, output: str | None) -> None:
    """Raises UsageError where a page for a browser would go to a terminal or a pipe that nobody named."""
    if chosen == "html" and output is None:
        raise UsageError("-f html writes a page for a browser", "name it: -o report.html (or -o - for stdout)")


def write(pieces: Iterable[bytes | memoryview], path: str | None, force: bool) -> None:
    """Writes ``pieces`` to stdout (None or ``-``) or to ``path``.

    A file is written beside its place with mode 0600 and renamed, so that it is complete or absent; an existing one
    is replaced only with ``force``. Devices and pipes are written as they are. Raises OutputError, UsageError,
    OutputClosed.
    """
    if path is None or path == "-":
        _to_stdout(pieces)
        return
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        with _naming(path), open(target, "wb", buffering=0) as stream:
            _copy(pieces, stream)
        return
    _to_file(pieces, path, target, force)
    report_line(f"mapscope: wrote {path}")


def text_pieces(lines: Iterable[str], path: str | None) -> Iterator[bytes]:
    """Lines as bytes: UTF-8 for files; for stdout its own encoding, with escapes for what that cannot hold."""
    encoding = "utf-8"
    if path is None or path == "-":
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    from mapscope.report.escape import plain

    for line in lines:
        yield (plain(line, encoding) + "\n").encode(encoding, "backslashreplace")


def report_line(text: str) -> None:
    """One line on stderr, whatever it holds; a closed stderr is no reason to fail."""
    from mapscope.report.escape import clean

    with contextlib.suppress(OSError, ValueError):
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        sys.stderr.write(clean(text, 2000).encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stderr.flush()


def style_for(path: str | None) -> Style:
    """How the text for ``path`` looks: 80 columns; on a terminal its own width from 80 on, and colour."""
    from mapscope.report.style import WIDTH, Style

    if path not in (None, "-") or not sys.stdout.isatty():
        return Style()
    import shutil

    return Style(wants_colour(path), min(max(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH), _WIDEST))


def wants_colour(path: str | None) -> bool:
    """Colour only for a terminal that can show it, and that did not ask for none (https://no-color.org)."""
    if path not in (None, "-") or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()


def _to_stdout(pieces: Iterable[bytes | memoryview]) -> None:
    stream = sys.stdout.buffer
    try:
        for piece in pieces:
            stream.write(piece)
        stream.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout once more at its end; let that go nowhere.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputClosed from None
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _named(error, "stdout") from error


def _to_file(pieces: Iterable[bytes | memoryview], path: str, target: str, force: bool) -> None:
    import tempfile

    folder, name = os.path.split(target)
    with _naming(path):
        handle, beside = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".tmp", dir=folder)  # mode 0600
    try:
        with _naming(path):
            with open(handle, "wb") as stream:
                _copy(pieces, stream)
            _put_in_place(beside, target, path, force)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def _put_in_place(beside: str, target: str, path: str, force: bool) -> None:
    if force:
        os.replace(beside, target)
        return
    try:
        os.link(beside, target)  # unlike a rename, fails where someone else was faster
    except FileExistsError:
        raise UsageError(f"{path} exists already", "give another -o, or --force to replace it") from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES):
            raise
        if os.path.lexists(target):  # a file system without hard links
            raise UsageError(f"{path} exists already", "give another -o, or --force to replace it") from None
        os.replace(beside, target)
    else:
        os.unlink(beside)


def _copy(pieces: Iterable[bytes | memoryview], stream: BinaryIO) -> None:
    for piece in pieces:
        stream.write(piece)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Errors of the file system get the name that the user gave."""
    try:
        yield
    except OSError as error:
        raise _named(error, path) from error


def _named(error: OSError, path: str) -> OutputError:
    hint = "give -o another file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space, or give -o a file on another disk; nothing was left behind"
    return OutputError(f"cannot write {path}: {error.strerror or error}", hint)
