"""The source tree of ``--source``: where a line of the executable lies in it, where a field or variable is declared.

Declarations are read as text, not compiled: struct types and package variables of each file, by the name of the
package. What two files declare under one name is not told apart, so nothing is said of it.
"""

from __future__ import annotations

import os
import re
from bisect import bisect
from collections.abc import Iterator
from functools import cached_property

from mapscope.profiles.statements import Sources
from mapscope.report.document import StepRow
from mapscope.report.sarif_places import Place

_MAX_BYTES = 256 << 20
_MAX_FIELDS = 2_000_000
_BLANKED = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|\'(?:[^\'\\\n]|\\.)+\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
_PACKAGE = re.compile(r"^package[ \t]+(\w+)", re.MULTILINE)
_STRUCT = re.compile(r"^[ \t]*(?:type[ \t]+)?(\w+)(?:\[[^\]\n]*\])?[ \t]+struct[ \t]*\{", re.MULTILINE)
_VARIABLES = re.compile(r"^var[ \t]+(\(|[\w, \t]+)", re.MULTILINE)
_NAMES = re.compile(r"^[ \t]*(\w+(?:[ \t]*,[ \t]*\w+)*)[ \t]*(?=[^\s,]|$)")
_FIRST = re.compile(r"^(?:\[[^\]]*\])?\.(\w+)")

Key = tuple[str, str, str]


class SourceTree:
    """The Go files below a folder. UsageError where it is no folder or holds too many files."""

    def __init__(self, folder: str) -> None:
        """Files are read when they are asked for."""
        self._folder = folder
        self._sources = Sources(folder)

    def find(self, file: str, line: int, below: str | None) -> Place | None:
        """As ``Tree.find``: the same path below the folder, else the file that shares two of its last parts."""
        if below is None:
            return None
        path = os.path.join(self._folder, below)
        if ".." in below.split("/") or not os.path.isfile(path):
            path = self._sources.path_of(file) or ""
            shared = os.path.relpath(path, self._folder).split(os.sep)[-2:] if path else []
            if len(shared) < 2 or file.split("/")[-2:] != shared:
                return None
        lines = self._sources.lines(path)
        if lines is None or not 0 < line <= len(lines):
            return None
        text = lines[line - 1].rstrip()
        start = len(text) - len(text.lstrip())
        return self._place(path, line, (start + 1, max(len(text), start + 1) + 1))

    def declared(self, step: StepRow) -> Place | None:
        """As ``Tree.declared``."""
        if step.kind == "global":
            package, _, name = (step.name or "").rpartition(".")
            return self._only((package.rpartition("/")[2], "", name))
        field = _FIRST.match(step.field or "")
        package, _, name = (step.type or "").lstrip("*").removeprefix("[]").lstrip("*").partition(".")
        if field is None or not package.isidentifier():
            return None
        return self._only((package, name.partition("[")[0], field[1]))

    def _only(self, key: Key) -> Place | None:
        found = self._declarations.get(key, [])
        return self._place(*found[0]) if len(found) == 1 else None

    def _place(self, path: str, line: int, columns: tuple[int, int]) -> Place:
        return Place(os.path.relpath(path, self._folder).replace(os.sep, "/"), line, found=True, columns=columns)

    @cached_property
    def _declarations(self) -> dict[Key, list[tuple[str, int, tuple[int, int]]]]:
        """Fields by package, type and name; variables by package, "" and name."""
        out: dict[Key, list[tuple[str, int, tuple[int, int]]]] = {}
        read = 0
        for path in sorted(self._sources.files()):
            if path.endswith("_test.go") or read > _MAX_BYTES or len(out) > _MAX_FIELDS:
                continue
            text = "\n".join(self._sources.lines(path) or ())
            read += len(text)
            for key, line, columns in _declared(text):
                out.setdefault(key, []).append((path, line, columns))
        return out


def _declared(text: str) -> Iterator[tuple[Key, int, tuple[int, int]]]:
    plain = _BLANKED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    package = _PACKAGE.search(plain)
    if package is None:
        return
    breaks = [found.start() for found in re.finditer("\n", plain)]
    for struct in _STRUCT.finditer(plain):
        for name, at in _names(plain, struct.end(), "{", "}"):
            yield (package[1], struct[1], name), *_where(breaks, at, name)
    for variables in _VARIABLES.finditer(plain):
        if variables[1] == "(":
            for name, at in _names(plain, variables.end(), "(", ")"):
                yield (package[1], "", name), *_where(breaks, at, name)
        else:
            words = _NAMES.match(variables[1] + " _")
            for name in re.findall(r"\w+", words[1] if words and "," in words[1] else variables[1].split()[0]):
                yield (package[1], "", name), *_where(breaks, plain.index(name, variables.start(1)), name)


def _names(text: str, start: int, opening: str, closing: str) -> Iterator[tuple[str, int]]:
    """Names that begin the lines of a block, with their offsets; blocks inside it are passed over."""
    depth, at = 1, start
    while depth > 0 and at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        if depth == 1 and not line.lstrip().startswith(closing):
            found = _NAMES.match(line)
            if found is not None:
                for name in re.finditer(r"\w+", found[1]):
                    yield name[0], at + found.start(1) + name.start()
        depth += sum(line.count(one) for one in "{(") - sum(line.count(one) for one in "})")
        at = end + 1


def _where(breaks: list[int], at: int, name: str) -> tuple[int, tuple[int, int]]:
    """Line and columns of a name at an offset; ``breaks``: offsets of the line feeds."""
    before = bisect(breaks, at)
    column = at - (breaks[before - 1] if before else -1)
    return before + 1, (column, column + len(name))
