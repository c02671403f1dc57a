"""Without the executable: what the statement of the source at a line makes, where that leaves no other way to allocate.

A statement is looked at as text. ``m[k] = v`` may be a slice or a map, and what it allocates may be a boxed value: so
everything told in this way is ``possible``. Statements that call, convert or build something besides are not judged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from msgspec import Struct, field

from mapscope.errors import UsageError
from mapscope.profiles.parts import CREATION, POSSIBLE, SOME, Part

ENTRY = "(by the statement)"
"""Stands for the runtime's function, which is not known."""
_MAX_FILES = 200_000
_MAX_SOURCE = 8 << 20
_MAX_LINES = 20
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|\'(?:[^\'\\\n]|\\.)+\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
_MAKE = re.compile(r"\bmake\s*\(\s*map\s*\[")
_LITERAL = re.compile(r"(?:^|[^\w.)\]*])map\s*\[")
_ASSIGNED = re.compile(r"^[\w.\[\]* ,\t]*\]\s*(?:\+\+|--|(?:[-+*/%&|^]|<<|>>|&\^)?=(?!=))")
_OTHERS = re.compile(r"[({&]|<-|\bfunc\b")
_SKIPPED = frozenset((".git", "node_modules"))


class Sources(Struct):
    """The Go files under ``folder``. UsageError where it is no folder or holds too many files."""

    folder: str
    _files: dict[str, list[str]] = field(default_factory=dict)
    _lines: dict[str, list[str] | None] = field(default_factory=dict)
    _found: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not os.path.isdir(self.folder):
            raise UsageError(f"{self.folder} is no folder", "give --source the root of the source tree")
        count = 0
        for root, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if name not in _SKIPPED]
            for name in files:
                if name.endswith(".go"):
                    self._files.setdefault(name, []).append(os.path.join(root, name))
                    count += 1
            if count > _MAX_FILES:
                raise UsageError(
                    f"{self.folder} has more than {_MAX_FILES:,} Go files", "give --source a smaller tree"
                )  # fmt: skip

    def part(self, file: str, line: int) -> Part | None:
        """What the statement at ``line`` of ``file``, as the profile names it, makes of a map; None: not to be told."""
        statement = self.statement(file, line)
        if statement is None:
            return None
        made = bool(_MAKE.search(statement) or (_LITERAL.search(statement) and "{" in statement))
        if made and not _ASSIGNED.match(statement):
            return Part(CREATION, POSSIBLE, ENTRY)
        if _ASSIGNED.match(statement) and not _OTHERS.search(statement):
            return Part(SOME, POSSIBLE, ENTRY)
        return None

    def statement(self, file: str, line: int) -> str | None:
        """The text from ``line`` on until its brackets are closed, without strings and comments; None: not found."""
        path = self.path_of(file)
        lines = None if path is None else self.lines(path)
        if lines is None or not 1 <= line <= len(lines):
            return None
        text = ""
        for one in lines[line - 1 : line - 1 + _MAX_LINES]:
            text += one + "\n"
            plain = _QUOTED.sub("_", text)
            if all(plain.count(a) <= plain.count(b) for a, b in ("()", "[]")):
                return plain.strip()
        return None

    def files(self) -> Iterator[str]:
        """The path of every file, in no order."""
        for paths in self._files.values():
            yield from paths

    def path_of(self, file: str) -> str | None:
        """The file of the tree that shares most of the last parts of its path; None where several do."""
        if file not in self._found:
            wanted = file.split("/")
            ranked = sorted(
                ((_common(wanted, path.split("/")), path) for path in self._files.get(wanted[-1], ())), reverse=True
            )
            alone = len(ranked) == 1 or (len(ranked) > 1 and ranked[0][0] > ranked[1][0])
            self._found[file] = ranked[0][1] if alone else None
        return self._found[file]

    def lines(self, path: str) -> list[str] | None:
        """The lines of one of ``files``; None where it cannot be read or is too large."""
        if path not in self._lines:
            try:
                with open(path, "rb") as stream:
                    data = stream.read(_MAX_SOURCE + 1)
            except OSError:
                data = b""  # a file that cannot be read tells nothing
            usable = 0 < len(data) <= _MAX_SOURCE
            self._lines[path] = data.decode("utf-8", "replace").split("\n") if usable else None
        return self._lines[path]


def _common(a: list[str], b: list[str]) -> int:
    count = 0
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one != other:
            break
        count += 1
    return count
