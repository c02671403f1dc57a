"""A profile with the hidden frames put back and what was found as labels, for every viewer of pprof files.

Labels: ``map part``, ``map type``, ``told`` (exact, inferred, possible). ``go tool pprof -tagleaf='map type'`` makes
frames of them. ``system_name`` of what is added differs from ``name``: pprof would else take names with ``*`` and ``[``
for C++ and cut them (pprof internal/symbolizer: demangleSingleFunction).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from mapscope._kernels.reference import pprof as wire
from mapscope.profiles.classify import Classified, return_addresses
from mapscope.profiles.frames import begins
from mapscope.profiles.model import Column, Profile, Rows
from mapscope.profiles.parts import NOT_A_PART, is_entry

_PAGE = 4096
_MARK = " (named by mapscope)"


def restored(classified: Classified) -> Profile:
    """The profile with its hidden frames. Values, addresses and names that were there stay as they are.

    Locations and functions have their rows + 1 as ids.
    """
    work = _Work(classified)
    work.mappings()
    if classified.profile.form == "text":
        work.from_text()
    work.name_locations()
    callees = [work.callee(name) for name in classified.callees]
    stacks = work.stacks(np.array(callees, np.int64))
    work.labels()
    return work.done(stacks)


class _Work:
    """The tables as they become; ``classified`` stays as it is."""

    def __init__(self, classified: Classified) -> None:
        self.classified = classified
        self.profile = profile = classified.profile
        self.tables = list(profile.tables)
        self.pcs = return_addresses(profile, classified.symbols)
        self.strings: dict[str, int] = {}
        self.functions: dict[tuple[int, int, int], int] = {}
        self.new_functions: list[list[int]] = []
        self.new_lines: list[list[int]] = []
        kept = profile.function_of >= 0
        lines = profile.tables[wire.LINES][kept]
        lines[:, 0] = profile.function_of[kept] + 1
        ends = np.append(0, np.cumsum(kept))
        self.tables[wire.LINES] = lines
        self.tables[wire.LOCATIONS] = locations = profile.locations.copy()
        locations[:, 0] = np.arange(1, len(locations) + 1)
        locations[:, 3] = ends[locations[:, 3]]
        self.tables[wire.FUNCTIONS] = functions = profile.tables[wire.FUNCTIONS].copy()
        functions[:, 0] = np.arange(1, len(functions) + 1)

    def string(self, text: str) -> int:
        """Number of a string, a new one where it was not asked for before."""
        return self.strings.setdefault(text, len(self.profile.tables[wire.STRINGS]) + len(self.strings)) if text else 0

    def function(self, name: str, file: str) -> int:
        """Id of a function that mapscope names."""
        key = self.string(name), self.string(name + _MARK), self.string(file)
        if key not in self.functions:
            self.functions[key] = len(self.tables[wire.FUNCTIONS]) + len(self.functions) + 1
            self.new_functions.append([self.functions[key], *key, 0])
        return self.functions[key]

    def mappings(self) -> None:
        """All of them hold functions, files, lines and inlined calls now; the program's own where there was none."""
        rows = self.tables[wire.MAPPINGS].copy()
        rows[:, 6:10] = 1
        symbols = self.classified.symbols
        if not len(rows) and symbols is not None:
            first = int(symbols.table.entry[0]) // _PAGE * _PAGE
            offset = max(first - symbols.bias - symbols.executable.elf.segments[0].vaddr, 0)
            path = self.string(str(symbols.executable.path))
            rows = np.array([[1, first, symbols.table.end, offset, path, 0, 1, 1, 1, 1]], np.int64)
        self.tables[wire.MAPPINGS] = rows

    def from_text(self) -> None:
        """Text has return addresses, a protocol buffer of Go the address before; and no mappings or system names."""
        locations, symbols = self.tables[wire.LOCATIONS], self.classified.symbols
        locations[:, 2] -= locations[:, 2] != 0
        if symbols is not None:
            locations[symbols.table.find_many(self.pcs - np.uint64(1)) >= 0, 1] = 1
        functions = self.tables[wire.FUNCTIONS]
        for row, system in enumerate(functions[:, 2].tolist()):
            functions[row, 2] = self.string(self.profile.string(system) + _MARK)

    def name_locations(self) -> None:
        """Locations without a line get that of the executable."""
        symbols, locations, lines = self.classified.symbols, self.tables[wire.LOCATIONS], self.tables[wire.LINES]
        if symbols is None:
            return
        made: list[list[int]] = []
        at: list[int] = []
        for row in np.flatnonzero(begins(locations[:, 3]) == locations[:, 3]).tolist():
            name, file, line = symbols.line(int(self.pcs[row]))
            if name:
                made.append([self.function(name, file), line, 0])
                at.append(row)
        where = np.array(at, np.int64)
        self.tables[wire.LINES] = np.insert(
            lines, locations[where, 3], np.array(made, np.int64).reshape(-1, 3), axis=0
        )  # fmt: skip
        more = np.zeros(len(locations), np.int64)
        more[where] = 1
        locations[:, 3] += np.cumsum(more)

    def callee(self, name: str) -> int:
        """Row of a new location of the hidden function ``name``."""
        symbols = self.classified.symbols
        file, line = symbols.place(name) if symbols is not None else ("", 0)
        self.new_lines.append([self.function(name, file), line, 0])
        return len(self.tables[wire.LOCATIONS]) + len(self.new_lines) - 1

    def stacks(self, callees: Column) -> Rows:
        """The stacks with what was hidden at their leaves."""
        hidden = self.classified.hidden
        some = np.flatnonzero(hidden >= 0)
        rows = np.insert(self.profile.stacks, self.profile.starts()[some], callees[hidden[some]])
        samples = self.tables[wire.SAMPLES] = self.tables[wire.SAMPLES].copy()
        samples[:, 0] += np.cumsum(hidden >= 0)
        return rows

    def labels(self) -> None:
        """Part, how it was told and type of each sample that a map made; that it made none of it, below its entries."""
        found = self.classified
        key, none = self.string("map part"), self.string(NOT_A_PART)
        entry = np.array([is_entry(name) for name in found.callees] + [False], np.bool_)
        samples = self.tables[wire.SAMPLES]
        made = [np.flatnonzero((found.part_of < 0) & entry[found.hidden])]
        rows = [np.tile(np.array([[key, none, 0, 0]], np.int64), (len(made[0]), 1))]
        known = np.flatnonzero(found.part_of >= 0)
        for name in ("part", "how", "type"):
            texts = [getattr(part, name) or "" for part in found.parts]
            numbers = np.array([self.string(text) if text else 0 for text in texts], np.int64)[found.part_of[known]]
            where = known[numbers > 0]
            label = np.zeros((len(where), 4), np.int64)
            label[:, 0] = self.string({"part": "map part", "how": "told", "type": "map type"}[name])
            label[:, 1] = numbers[numbers > 0]
            made.append(where)
            rows.append(label)
        of, labels = np.concatenate(made), np.concatenate(rows)
        order = np.argsort(of, kind="stable")  # samples without labels of their own end at the same place
        self.tables[wire.LABELS] = np.insert(self.tables[wire.LABELS], samples[of[order], 2], labels[order], axis=0)
        samples[:, 2] += np.cumsum(np.bincount(of, minlength=len(samples)))

    def done(self, stacks: Rows) -> Profile:
        """Everything put together."""
        tables, profile = self.tables, self.profile
        lines = np.array(self.new_lines, np.int64).reshape(-1, 3)
        ends = len(tables[wire.LINES]) + np.arange(1, len(lines) + 1)
        locations = np.zeros((len(lines), 5), np.int64)
        locations[:, 0] = len(tables[wire.LOCATIONS]) + np.arange(1, len(lines) + 1)
        locations[:, 3] = ends
        tables[wire.LOCATIONS] = np.concatenate([tables[wire.LOCATIONS], locations])
        tables[wire.LINES] = np.concatenate([tables[wire.LINES], lines])
        functions = np.array(self.new_functions, np.int64).reshape(-1, 5)
        tables[wire.FUNCTIONS] = np.concatenate([tables[wire.FUNCTIONS], functions])
        text, tables[wire.STRINGS] = _more_strings(profile, list(self.strings))
        return replace(
            profile, form="protobuf", text=text, tables=tuple(tables), stacks=stacks,
            function_of=tables[wire.LINES][:, 0] - 1, statistics={},
        )  # fmt: skip


def _more_strings(profile: Profile, texts: Sequence[str]) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], Column]:
    """The bytes of the strings of ``profile`` and ``texts``, and the table of both."""
    raw = [text.encode("utf-8", "replace") for text in texts]
    ends = len(profile.text) + np.cumsum([len(one) for one in raw], dtype=np.int64)
    first = np.append(len(profile.text), ends)[: len(ends)]
    table = np.concatenate([profile.tables[wire.STRINGS], np.stack([first, ends], axis=1)])
    return np.concatenate([profile.text, np.frombuffer(b"".join(raw), np.uint8)]), table
