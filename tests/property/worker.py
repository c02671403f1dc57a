"""Runs command lines of mapscope one after another, for tests that need thousands of them.

Reads one JSON list of arguments a line and answers with one JSON object a line. Address space is limited, so that
memory taken by the word of a hostile file is an error here and not a problem of the machine.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
import time

from mapscope.cli.main import main

ADDRESS_SPACE = 6 << 30


def anonymous_bytes() -> int:
    """Memory of this process that is no mapped file. Read as bytes: another user may not even import a codec."""
    with open("/proc/self/status", "rb") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"RssAnon:"))


class Bytes(io.TextIOWrapper):
    """A text stream with a buffer, as sys.stdout has."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def bytes(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined]


def serve() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    uid = int(os.environ.get("WORKER_UID", "0"))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    if uid:
        main(["analyze", os.devnull])  # imports what it needs while it still may
        os.setresuid(uid, uid, uid)
    for line in sys.stdin:
        out, err = Bytes(), Bytes()
        began = time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(json.loads(line))
        answer = {
            "status": status,
            "out": out.bytes().decode("utf-8", "replace"),
            "err": err.bytes().decode("utf-8", "replace"),
            "seconds": time.monotonic() - began,
            "anonymous": anonymous_bytes(),
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
