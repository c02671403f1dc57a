"""The ledger: every claim of the article, what is true of it in which releases, and what settles that.

The data are ``claims/*.toml``. An entry has

    id, section, claim    number, section of the article, and what it says, in English
    left_out              true where the article does not say it: a fact that it misses
    classic, swiss        the verdict for classic maps (up to Go 1.23) and Swiss maps (1.24 on): see ``VERDICTS``
    except                verdicts of single releases that differ
    why, why_swiss        what is true instead; ``why`` serves both where the other is missing
    source                places of Go's source: "FILE FUNCTION FIRST-LAST", releases as 1.19-1.23, or 1.24- for ever
    settled               "scenario NAME" (mapscope lab run), or "source": no experiment can
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from mapscope.errors import FormatError
from mapscope.lab.toolchains import Toolchain

VERDICTS: Final = ("true", "partly", "false", "moot")
"""``moot``: it speaks of something that this family of maps does not have."""
KINDS: Final = ("scenario", "source")
SWISS_SINCE: Final = (1, 24)
"""The first release whose maps are Swiss (internal/goexperiment, src/internal/runtime/maps)."""
_FOLDER: Final = Path(__file__).parent / "claims"
_SOURCE: Final = re.compile(r"(\S+) (.+) (\d+\.\d+)-(\d+\.\d+)?")
_MAX_FILE: Final = 4 << 20
_FOR_EVER: Final = (1, 1 << 20)

Release = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """A function or type of Go's source: ``file`` under ``src``; ``name`` like ``(*hmap).growing`` or ``type hmap``."""

    file: str
    name: str
    first: Release
    last: Release

    def of(self, release: Release) -> bool:
        """Whether the place is meant for a release."""
        return self.first <= release <= self.last

    def declared_in(self, goroot: Path) -> bool:
        """Whether the file below a GOROOT declares the name."""
        path = goroot / "src" / self.file
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read(_MAX_FILE)
        except OSError:
            return False
        return re.search(_declaration(self.name), text, re.MULTILINE) is not None

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. ``kind`` and ``by``: what settles it, ``("scenario", "stalled")``."""

    id: int
    section: str
    text: str
    left_out: bool
    classic: str
    swiss: str
    exceptions: dict[str, str]
    why: str
    why_swiss: str
    sources: tuple[Source, ...]
    kind: str
    by: str

    def verdict(self, release: Release) -> str:
        """One of ``VERDICTS`` for a release."""
        family = self.swiss if release >= SWISS_SINCE else self.classic
        return self.exceptions.get(f"{release[0]}.{release[1]}", family)

    def reason(self, release: Release) -> str:
        """What is true instead, or why it is."""
        return self.why_swiss if release >= SWISS_SINCE and self.why_swiss else self.why

    def missing_sources(self, toolchain: Toolchain) -> list[Source]:
        """The cited places that the sources of a toolchain do not have."""
        cited = [one for one in self.sources if one.of(toolchain.release)]
        return [one for one in cited if not one.declared_in(toolchain.goroot)]


@lru_cache(maxsize=1)
def claims() -> tuple[Claim, ...]:
    """All claims by number. Raises FormatError where a data file is not as described above."""
    found: list[Claim] = []
    for path in sorted(_FOLDER.glob("*.toml")):
        with open(path, "rb") as stream:
            entries = tomllib.load(stream).get("claim", [])
        found += [_claim(path.name, entry) for entry in entries]
    return tuple(sorted(found, key=lambda one: one.id))


def in_section(section: str) -> tuple[Claim, ...]:
    """The claims of a section of the article: ``2.1``, or of a whole chapter: ``2``."""
    return tuple(one for one in claims() if one.section == section or one.section.startswith(section + "."))


def _claim(name: str, entry: dict[str, Any]) -> Claim:
    try:
        kind, _, by = entry["settled"].partition(" ")
        claim = Claim(
            id=int(entry["id"]),
            section=entry["section"],
            text=entry["claim"],
            left_out=bool(entry.get("left_out", False)),
            classic=entry["classic"],
            swiss=entry["swiss"],
            exceptions=dict(entry.get("except", {})),
            why=entry["why"],
            why_swiss=entry.get("why_swiss", ""),
            sources=tuple(_source(text) for text in entry["source"]),
            kind=kind,
            by=by,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{name}: entry {entry.get('id', '?')} is not a claim: {error!r}", "reinstall") from None
    verdicts = {claim.classic, claim.swiss, *claim.exceptions.values()}
    if not verdicts <= set(VERDICTS) or kind not in KINDS or bool(by) == (kind == "source"):
        raise FormatError(f"{name}: claim {claim.id} has an unknown verdict or settlement", "reinstall mapscope")
    return claim


def _source(text: str) -> Source:
    found = _SOURCE.fullmatch(text)
    if found is None:
        raise ValueError(f"source {text!r}")
    return Source(found[1], found[2], _release(found[3]), _release(found[4]) if found[4] else _FOR_EVER)


def _release(text: str) -> Release:
    major, minor = text.split(".")
    return int(major), int(minor)


def _declaration(name: str) -> str:
    """What declares a name, as a regular expression for whole lines."""
    if name.startswith("type "):
        return rf"^(?:type\s+|\t){re.escape(name[5:])}\b.*\b(?:struct|interface)\b"
    receiver, _, method = name.rpartition(").")
    if not receiver:
        return rf"^func {re.escape(name)}[\[(]"
    return rf"^func \(\w+ {re.escape(receiver.removeprefix('('))}\) {re.escape(method)}\("
