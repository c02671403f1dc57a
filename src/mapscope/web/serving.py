"""From a snapshot to a server that answers until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable

from mapscope.snapshot import Snapshot
from mapscope.web.app import guarded
from mapscope.web.guard import new_token
from mapscope.web.listening import bind, run, url_of
from mapscope.web.questions import Questions

__all__ = ["bind", "serve"]


def serve(
    host: str,
    port: int,
    opened: Callable[[], Snapshot],
    listening: Callable[[str], None],
    *,
    show_contents: bool = False,
) -> None:
    """Serves the snapshot that ``opened`` gives on ``host`` and ``port`` (0: a free one), until Ctrl-C.

    The port is taken first, so that a wrong one is said at once. ``listening`` is called with the URL when questions
    are answered. UsageError where the address is not of loopback, or the port cannot be had; errors of ``opened``.
    """
    with bind(host, port) as listener:
        questions = Questions(opened(), show_contents=show_contents)
        questions.prepare()
        token = new_token()
        listening(url_of(listener, token))
        run(guarded(questions, token, listener.getsockname()[1]), listener)
