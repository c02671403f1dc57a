"""Runs the commands of docs/tutorial.md and writes what they print into it: ``python tools/tutorial.py``.

A comment before a block says what to do with it: ``run`` (options ``status: 1``, ``show: HEAD, HEAD`` for the sections
of a report that stand in the page), ``service: PID PORT`` (starts it; its process and port stand in the page as these),
and ``edit: FILE`` (a diff that is applied). ``--check`` writes nothing and fails where the page says something else:
numbers, addresses and the breaks of lines may differ.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from mapscope.lab import toolchains

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tutorial.md"
PROGRAM = ROOT / "examples" / "presence"
GO = "1.26"
SECONDS = 120
_BLOCK = re.compile(r"<!-- (run|service|edit)(.*?) -->\n```(\w+)\n(.*?)```\n", re.DOTALL)
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
_SUBJECT = re.compile(r"^ {3}map\[.* at (0x[0-9a-f]{6,})$", re.MULTILINE)
"""The map of a finding: what later commands ask about."""
_HEAD = re.compile(r"^([A-Z][A-Z' ]+[A-Z])(?=$|  | )")
_LOOSE = re.compile(r"0x[0-9a-f]+|\d[\d,.]*|#+|<(?=N)|\s+")


class Tutorial:
    """One run, in a folder of its own that is a copy of the program's."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """``stack`` ends the services."""
        self._folder, self._stack = folder, stack
        shutil.copytree(PROGRAM, folder, dirs_exist_ok=True)
        toolchain = toolchains.install(GO)
        tools = folder / ".tools"
        tools.mkdir()
        (tools / "mapscope").write_text(f'#!/bin/sh\nexec {sys.executable} -m mapscope "$@"\n', encoding="utf-8")
        (tools / "mapscope").chmod(0o755)
        path = os.pathsep.join([str(tools), str(Path(toolchain.goroot) / "bin"), os.environ.get("PATH", "")])
        self._environment = {
            **os.environ, **toolchain.environment(), "PATH": path, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        self._real: dict[str, str] = {}
        """What stands in the page, and what it is in this run."""
        self._address = ""

    def block(self, what: str, options: str, text: str) -> str:
        """Runs one block; gives it as it should stand in the page."""
        given = dict(re.findall(r"(\w+): ([^;]+)", options))
        if what == "edit":
            self._edit(options.lstrip(": "), text)
            return text
        command = text.split("\n", 1)[0].removeprefix("$ ")
        if what == "service":
            return f"$ {command}\n" + "".join(f"{line}\n" for line in self._serve(command, options))
        if _ADDRESS.search(command) and self._address:
            command = _ADDRESS.sub(self._address, command)
        said = self._run(command, int(given.get("status", "0")))
        found = _SUBJECT.search(said)
        self._address = found[1] if found else self._address
        return f"$ {command}\n" + "".join(f"{line}\n" for line in shown(said, given.get("show", "")))

    def _run(self, command: str, status: int) -> str:
        for word, real in self._real.items():
            command = re.sub(rf"\b{word}\b", real, command)
        done = subprocess.run(
            ["sh", "-c", command], cwd=self._folder, env=self._environment, capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
        if done.returncode != status:
            raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return self._as_in_the_page(done.stderr + done.stdout)

    def _as_in_the_page(self, text: str) -> str:
        for word, real in self._real.items():
            text = re.sub(rf"\b{real}\b", word, text)
        return text.replace(str(self._folder) + "/", "")

    def _serve(self, command: str, options: str) -> Iterator[str]:
        pid, port = options.split()[1:3]
        program, *arguments = command.removesuffix(" &").split()
        if "-addr" in arguments:
            del arguments[arguments.index("-addr") : arguments.index("-addr") + 2]
        process = subprocess.Popen(
            [self._folder / program, *arguments, "-addr", "127.0.0.1:0"], cwd=self._folder, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=self._environment,
        )  # fmt: skip
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        last = f"day {arguments[arguments.index('-days') + 1]} "
        for line in process.stdout:
            if line.startswith("process "):
                self._real |= {pid: str(process.pid), port: line.rpartition(":")[2].strip()}
            yield self._as_in_the_page(line.rstrip("\n"))
            if line.startswith(last):
                return
        raise SystemExit(f"{command} ended before its last day")

    def _edit(self, name: str, diff: str) -> None:
        lines = diff.splitlines()
        before = "\n".join(line[1:] for line in lines if line[:1] in (" ", "-"))
        after = "\n".join(line[1:] for line in lines if line[:1] in (" ", "+"))
        path = self._folder / name
        text = path.read_text(encoding="utf-8")
        if text.count(before) != 1:
            raise SystemExit(f"the diff does not fit {name}")
        path.write_text(text.replace(before, after), encoding="utf-8")


def shown(text: str, heads: str) -> Iterator[str]:
    """The lines of a report that stand in the page: all, or the sections of these heads with ``...`` for the others."""
    wanted = {one.strip() for one in heads.split(",") if one.strip()}
    keep, gap = not wanted, False
    for line in text.rstrip("\n").split("\n") if text.strip() else ():
        head = _HEAD.match(line)
        if head is not None and wanted:
            keep = head[1].strip() in wanted
        if keep and gap:
            yield "..."
        if keep:
            yield line
        gap = not keep
    if gap:
        yield "..."


def render(page: str, folder: Path) -> str:
    """The page with what its commands print now."""
    with ExitStack() as stack:
        tutorial = Tutorial(folder, stack)

        def block(found: re.Match[str]) -> str:
            what, options, language, text = found.groups()
            return f"<!-- {what}{options} -->\n```{language}\n{tutorial.block(what, options, text)}```\n"

        return _BLOCK.sub(block, page)


def loose(text: str) -> list[str]:
    """Words without numbers, addresses and bars, which differ from run to run."""
    return _LOOSE.sub(lambda found: " " if found[0].isspace() else "N", text).split()


def differences(page: str, now: str) -> list[str]:
    """Words in which the page and a run differ."""
    return list(difflib.unified_diff(loose(page), loose(now), "page", "run", lineterm="", n=4))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="tutorial-") as folder:
        now = render(page, Path(folder))
    if not options.check:
        PAGE.write_text(now, encoding="utf-8")
        return 0
    found = differences(page, now)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
