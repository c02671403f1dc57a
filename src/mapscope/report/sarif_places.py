"""Source lines as SARIF locations: a file of the program becomes a URI, relative where the root is known.

SARIF 2.1.0, 3.4 (artifactLocation), 3.28 (location), 3.30 (region). A path of the machine that reads the evidence is
never written: only what the executable names, and what lies below the source tree that was given.
"""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import quote

from msgspec import Struct

from mapscope.report.document import StepRow
from mapscope.report.escape import clean

ROOT = "SRCROOT"
"""The ``uriBaseId`` of files of the program's own source tree."""
GOROOT = "GOROOT"
"""The ``uriBaseId`` of files of the standard library."""
_AT = re.compile(r"^(?P<function>.+) \((?P<file>.+):(?P<line>\d{1,9})\)$", re.DOTALL)
_MAX_LINE = (1 << 31) - 1


class Place(Struct, frozen=True):
    """A line of the source. ``file`` as the executable has it, or relative to the source tree where ``found``.

    ``columns``: of the first character of the text that is meant, and behind its last, from 1; where the source
    is not there, the line's first character stands for it.
    """

    file: str
    line: int
    function: str = ""
    found: bool = False
    columns: tuple[int, int] = (1, 2)


class Tree(Protocol):
    """A source tree that was given with ``--source``."""

    def find(self, file: str, line: int, below: str | None) -> Place | None:
        """The line in the tree; None where no file of it, or several, can be meant.

        ``below``: the path below the root of the program's module, None where ``file`` is not of that module.
        """

    def declared(self, step: StepRow) -> Place | None:
        """Where the field or variable of a step of a chain is declared; None where that is not clear."""


def parse(text: object) -> Place | None:
    """``main.work (/src/main.go:94)`` as a place; None where it is something else."""
    found = _AT.match(text) if isinstance(text, str) else None
    if found is None or not 0 < int(found["line"]) <= _MAX_LINE or found["file"] in ("?", ""):
        return None
    return Place(found["file"], int(found["line"]), found["function"])


class Places:
    """Makes locations. ``root``: folder of the program's source where it was built; empty where not known."""

    def __init__(self, root: str = "", tree: Tree | None = None) -> None:
        """``tree`` is the source tree that was given."""
        self._root = root.rstrip("/")
        self._tree = tree

    def declared(self, step: StepRow) -> Place | None:
        """As ``Tree.declared``; None without a tree."""
        return None if self._tree is None else self._tree.declared(step)

    def own(self, file: str) -> bool:
        """Whether a file is of the program's own module; true for any where the root is not known."""
        return not self._root or self._below(file) is not None

    def artifact(self, place: Place) -> dict[str, object]:
        """The ``artifactLocation`` of a place."""
        file, below = place.file, self._below(place.file)
        if place.found:
            return {"uri": _relative(file), "uriBaseId": ROOT}
        if below is not None:
            return {"uri": _relative(below), "uriBaseId": ROOT}
        standard = _standard(place)
        if standard:
            return {"uri": _relative(standard), "uriBaseId": GOROOT}
        if file.startswith("/"):
            return {"uri": "file://" + _quoted(file)}
        return {"uri": _relative(file)}

    def words(self, text: object) -> object:
        """A place in words with its file below the root of the module, where it lies there; else ``text`` as it is."""
        place = parse(text)
        below = None if place is None else self._below(place.file)
        return text if place is None or below is None else f"{place.function} ({below}:{place.line})"

    def _below(self, file: str) -> str | None:
        """The path below the root of the module; None where it does not lie there."""
        if not self._root or not file.startswith(self._root + "/") or ".." in file.split("/"):
            return None
        return file[len(self._root) + 1 :].lstrip("/") or None

    def physical(self, place: Place) -> dict[str, object]:
        """The ``physicalLocation``: file and line; with a tree the text of that line."""
        better = None
        if self._tree is not None and not place.found:
            better = self._tree.find(place.file, place.line, self._below(place.file) if self._root else place.file)
        place = better or place
        start, end = place.columns
        region = {"startLine": place.line, "startColumn": start, "endLine": place.line, "endColumn": end}
        return {"artifactLocation": self.artifact(place), "region": region}

    def location(self, place: Place, message: str = "") -> dict[str, object]:
        """The ``location``, with the function as a logical one."""
        out: dict[str, object] = {"physicalLocation": self.physical(place)}
        if place.function:
            name = clean(place.function)
            out["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "function"}]
        if message:
            out["message"] = {"text": message}
        return out


def _standard(place: Place) -> str:
    """``src/net/http/server.go`` for a function of the standard library, whose package has no host in its path."""
    head, slash, tail = place.function.rpartition("/")
    package = head + slash + tail.partition(".")[0]
    folder, _, name = place.file.rpartition("/")
    if not package or "." in package.partition("/")[0] or package == "main" or not folder.endswith("/src/" + package):
        return ""
    return f"src/{package}/{name}"


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "replace"), safe="/@+~!$&'()*,;=")


def _relative(path: str) -> str:
    """A relative reference; a colon, which would end a scheme, is quoted."""
    return _quoted(path.lstrip("/"))
