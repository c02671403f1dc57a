"""Where in the program a sample was made: the first frame outside of the packages that work for their callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels.reference import pprof as wire
from mapscope.profiles.frames import distinct, first_frame, first_line, functions_beginning, line_begins
from mapscope.profiles.model import Column, Profile, Rows

if TYPE_CHECKING:
    from mapscope.profiles.symbols import Symbols

THROUGH = ("reflect.", "maps.", "sync.", "internal/sync.", "internal/runtime/", "runtime.", "encoding/json.")
"""Packages that make maps on behalf of their callers: a site is the first frame outside of them."""


class Site(Struct, frozen=True):
    """A place in the program that makes maps or fills them."""

    function: str
    file: str
    line: int


class Sites:
    """Sites of samples; ``table`` has those that were asked for, by row.

    Frames come from the profile; those that it does not name (the runtime's own in text) from ``symbols``, where they
    are asked for.
    """

    def __init__(self, profile: Profile, symbols: Symbols | None, pcs: npt.NDArray[np.uint64]) -> None:
        """``pcs``: the return address of each location."""
        self.table: dict[Site, int] = {}
        self._profile, self._symbols, self._pcs = profile, symbols, pcs
        self._line = first_line(profile, functions_beginning(profile, THROUGH))
        self._good = self._line >= 0
        self._named = np.full(len(self._line), -1, np.int64)
        """Site of locations that ``symbols`` named, the innermost function, whatever it is; -1: not asked for."""
        self._bare = (line_begins(profile) == profile.locations[:, 3]) & (symbols is not None)

    def rows(self, samples: Column) -> Column:
        """Row in ``table`` of the site of each of ``samples``; that of the leaf where all frames work for others."""
        frame = first_frame(self._profile, samples, self._good, self._learn)
        leaf = self._profile.leaves()[samples]
        lines = np.where(frame >= 0, self._line[frame], line_begins(self._profile)[leaf])
        frame = np.where(frame >= 0, frame, leaf)
        found = self._named[frame]
        rest = np.flatnonzero(found < 0)
        found[rest] = self._of_lines(np.where(self._empty(frame[rest]), -1, lines[rest]))
        return found

    def _empty(self, locations: Column) -> Column:
        empty: Column = line_begins(self._profile)[locations] == self._profile.locations[locations, 3]
        return empty

    def _of_lines(self, lines: Column) -> Column:
        """Sites of rows of the table of lines; -1 is a location without any."""
        known = distinct(lines)
        sites = np.zeros(len(known), np.int64)
        numbers = self._profile.tables[wire.LINES]
        for row, line in enumerate(known.tolist()):
            site = Site("?", "", 0)
            if line >= 0:
                function = int(self._profile.function_of[line])
                name, file = self._profile.function(function) if function >= 0 else ("", "")
                site = Site(name or "?", file, int(numbers[line, 1]))
            sites[row] = self._row(site)
        return sites[np.searchsorted(known, lines)]

    def _learn(self, locations: Rows) -> None:
        """Names those of ``locations`` that the profile does not name."""
        if self._symbols is None:
            return
        for row in distinct(locations[self._bare[locations]]).tolist():
            self._bare[row] = False
            name, file, line = self._symbols.line(int(self._pcs[row]))
            self._named[row] = self._row(Site(name or "?", file, line))
            self._good[row] = not name.startswith(THROUGH)

    def _row(self, site: Site) -> int:
        return self.table.setdefault(site, len(self.table))
