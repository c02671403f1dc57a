"""The entry point: which command, and what each kind of failure looks like.

Exit status: 0 nothing found, 1 findings, 2 usage or unusable input, 101 a bug of ours, 130 interrupted, 141 the
reader of the output went away. Commands are imported when they are asked for, so ``mapscope --help`` loads no heavy
module.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from mapscope import __version__
from mapscope.cli.output import OutputClosed, report_line
from mapscope.commands import EXIT_USAGE, LazyGroup, helped
from mapscope.errors import MapscopeError

EXIT_BUG = 101
EXIT_INTERRUPTED = 130
EXIT_CLOSED = 141
_MAX_CAUSES = 8
_GARBAGE = 250_000
"""New objects before Python looks for cycles among them. Its default (700 in Python 3.11) has it look through
modules that have just been imported, again and again, and then through types and functions that stay to the end."""
_SWITCH_SECONDS = 0.0001
"""How long a thread that waits for Python's lock lets the other have it. The one that reads spans has the lock for
moments between kernels; with Python's default of 5 ms it waits longer for it than it works."""
_STACK_WORDS = 1 << 15
"""Python keeps the frames of calls in chunks of 16 kB (Python/pystate.c: push_chunk). What calls and returns across the
border of one maps and unmaps memory each time: importing NumPy did so 1,600 times where it began near one. A frame that
does not fit gets a chunk of the next power of two, in the other half of which all that a command calls finds room."""

_COMMANDS = {
    "analyze": "mapscope.cli.analyze",
    "maps": "mapscope.cli.maps",
    "map": "mapscope.cli.map",
    "chain": "mapscope.cli.chain",
    "dominators": "mapscope.cli.dominators",
    "iterators": "mapscope.cli.iterators",
    "goroutines": "mapscope.cli.goroutines",
    "query": "mapscope.cli.query",
    "diff": "mapscope.cli.diff",
    "capture": "mapscope.cli.capture",
    "profile": "mapscope.cli.profile",
    "watch": "mapscope.fleet.watch_command",
    "history": "mapscope.cli.history",
    "redact": "mapscope.cli.redact",
    "report": "mapscope.cli.report",
    "serve": "mapscope.cli.serve",
    "lab": "mapscope.lab.command",
    "growth": "mapscope.growth.command",
}
_EPILOG = """\b
Examples:
  mapscope analyze --pid 4242
  mapscope capture 4242 -o svc.core && mapscope analyze svc.core
  mapscope maps svc.4242 --sort waste --type 'map[string]*'
  mapscope map svc.4242 0xc000012345
  mapscope chain svc.4242 0xc000012345 --all
  mapscope dominators svc.4242 --top 50
  mapscope redact svc.4242 mailable.core
  mapscope serve svc.4242 --open

\b
Exit status: 0 nothing found, 1 findings, 2 usage or unusable input,
101 a bug of ours."""


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


@click.group(cls=LazyGroup, modules=_COMMANDS, epilog=_EPILOG, context_settings=_CONTEXT)
@click.version_option(__version__, "--version", prog_name="mapscope", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> int | None:
    """Finds every Go map in a process's memory and says which hold memory that they should not.

    Give it a core dump of a Go process, or the process itself; the executable
    is found from there.
    """
    return helped(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and gives its exit status. Failures become one line, with a hint where there is one."""
    try:
        given = None if arguments is None else list(arguments)
        result = cli.main(args=given, prog_name="mapscope", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        path = "mapscope" if error.ctx is None else error.ctx.command_path
        return _failed(error.format_message(), f"{path} --help shows the usage")
    except click.ClickException as error:
        return _failed(error.format_message(), "")
    except (KeyboardInterrupt, click.Abort):
        report_line("mapscope: interrupted")
        return EXIT_INTERRUPTED
    except OutputClosed:
        return EXIT_CLOSED
    except MapscopeError as error:
        return _failed(str(error), error.hint, error.exit_status)
    except MemoryError:
        return _failed("not enough memory", "mapscope takes about a third of the heap's size; use a larger machine")
    except OSError as error:
        return _os_error(error)
    except Exception as error:  # noqa: BLE001  # the last net
        return _bug(error)


def run() -> NoReturn:
    """The console script."""
    # no command multiplies matrices: without this, importing NumPy waits for a thread of OpenBLAS on each CPU
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(_GARBAGE)
    sys.setswitchinterval(_SWITCH_SECONDS)
    ended: list[int] = []
    atexit.register(_leave, ended)
    status = _with_room(main)
    if status == EXIT_INTERRUPTED:
        sys.stderr.flush()
        os._exit(status)  # what the other thread has begun may take seconds more, and nobody wants it
    ended.append(status)
    sys.exit(status)


def _with_room(call: Callable[[], int]) -> int:
    return call()


_with_room.__code__ = _with_room.__code__.replace(co_stacksize=_STACK_WORDS)


def _leave(ended: list[int]) -> None:
    """Ends the process once all other handlers have run: after a large heap it takes a while to take Python apart.

    Where a command did not come to its end, or a last flush fails, Python goes on with its own way to end and says so.
    """
    if ended:
        with contextlib.suppress(OSError, ValueError):
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:  # Python has none for a descriptor that was closed before it began
                    stream.flush()
            os._exit(ended[0])


def _failed(message: str, hint: str, status: int = EXIT_USAGE) -> int:
    _traceback_if_asked()
    report_line(f"mapscope: error: {message}")
    if hint:
        report_line(f"  hint: {hint}")
    return status


def _os_error(error: OSError) -> int:
    where = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    hint = "free some space, or write elsewhere" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return _failed(f"{error.strerror or error}{where}", hint)


def _bug(error: Exception) -> int:
    """An error that no part of mapscope expected: one line, and how to tell us.

    Its own words are left out: they may hold what lay in the evidence (a key that was looked up, a text that is no
    number).
    """
    _traceback_if_asked(words=False)
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f" at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    report_line(f"mapscope: this is a bug of ours: {type(error).__name__}{place}")
    report_line(
        f"  hint: run it again with MAPSCOPE_DEBUG=1 and send us the traceback (mapscope {__version__}, "
        f"Python {sys.version.split()[0]}); it holds no contents of the heap"
    )
    return EXIT_BUG


def _traceback_if_asked(words: bool = True) -> None:
    """The traceback of the error that is being handled; ``words``: with what the errors themselves say."""
    if os.environ.get("MAPSCOPE_DEBUG", "0") in ("", "0"):
        return
    import traceback

    if words:
        traceback.print_exc()
        return
    error = sys.exc_info()[1]
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        sys.stderr.write("Traceback (most recent call last):\n" + "".join(traceback.format_tb(error.__traceback__)))
        sys.stderr.write(f"{type(error).__module__}.{type(error).__qualname__}\n")
        error = error.__cause__ or error.__context__
