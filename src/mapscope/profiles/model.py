"""One profile as columns, whichever format it came in, and a builder for those that come in others than protobuf.

The tables are those of ``_kernels/reference/pprof.py``; here ids have become rows and every index has been checked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope._kernels.reference import pprof as wire
from mapscope.errors import EvidenceError

Column = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

HEAP = "heap"
_MAX_ROWS = 1 << 31
_CHUNK = 1 << 20
DAMAGED = "fetch or copy it again; it is damaged"


class Profile(Struct, frozen=True):
    """One profile. Tables have a row a record; samples come with the leaf first.

    ``origin``: file or URL, as given. ``form``: ``"protobuf"``, ``"text"`` (debug=1) or ``"stacks"`` (debug=2).
    ``kind``: ``"heap"``, ``"goroutine"``, ``"goroutineleak"``, or the name of the first sample type. ``values``: a row
    a sample, a column a sample type, in the units of ``types``. ``stack_ends``, ``stacks``: rows of locations, flat;
    the table LOCATIONS_OF, which would hold their ids, is empty.
    ``function_of``: row of the function of each line, -1 for none. ``statistics``: runtime.MemStats of debug=1.
    """

    origin: str
    form: str
    kind: str
    text: Bytes
    tables: tuple[Column, ...]
    types: tuple[tuple[str, str], ...]
    values: Column
    stacks: Rows
    function_of: Column
    statistics: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many samples."""
        return len(self.tables[wire.SAMPLES])

    @property
    def locations(self) -> Column:
        """Table of locations: id, mapping, address, end of its lines, is_folded.

        The address is that of the call (protobuf), after the call (text), or the offset of the latter in its function
        (stacks).
        """
        return self.tables[wire.LOCATIONS]

    @property
    def stack_ends(self) -> Column:
        """Where the stack of each sample ends in ``stacks``."""
        return self.tables[wire.SAMPLES][:, 0]

    @property
    def time_nanos(self) -> int:
        """When it was taken, nanoseconds since 1970; 0 where the profile does not say."""
        return int(self.tables[wire.SCALARS][0, 9])

    @property
    def period(self) -> int:
        """runtime.MemProfileRate of a heap profile; 0 where it is not known."""
        return int(self.tables[wire.SCALARS][0, 12])

    def string(self, number: int) -> str:
        """String ``number`` of the profile; what is no UTF-8 is replaced."""
        low, high = self.tables[wire.STRINGS][number].tolist()
        return self.text[low:high].tobytes().decode("utf-8", "replace")

    def value(self, name: str) -> Column:
        """The column of sample type ``name``; zeros where the profile has no such type."""
        names = [one for one, _ in self.types]
        return self.values[:, names.index(name)] if name in names else np.zeros(len(self), np.int64)

    def starts(self) -> Column:
        """Where the stack of each sample begins in ``stacks``."""
        return np.concatenate([np.zeros(1, np.int64), self.stack_ends])[:-1]

    def leaves(self) -> Column:
        """Location row of the leaf of each sample; -1 where the stack is empty."""
        begin, end = self.starts(), self.stack_ends
        leaf = np.full(len(self), -1, np.int64)
        some = begin < end
        leaf[some] = self.stacks[begin[some]]
        return leaf

    def stack(self, sample: int) -> list[int]:
        """Location rows of one sample, the leaf first."""
        begin = int(self.stack_ends[sample - 1]) if sample else 0
        return list(map(int, self.stacks[begin : int(self.stack_ends[sample])]))

    def lines(self, location: int) -> list[tuple[str, str, int]]:
        """Function, file and line of everything that a location stands for, the innermost first."""
        table = self.tables[wire.LINES]
        begin = int(self.locations[location - 1, 3]) if location else 0
        found = []
        for row in range(begin, int(self.locations[location, 3])):
            function = int(self.function_of[row])
            name, file = ("", "") if function < 0 else self.function(function)
            found.append((name, file, int(table[row, 1])))
        return found

    def function(self, row: int) -> tuple[str, str]:
        """Name and file of a function."""
        record = self.tables[wire.FUNCTIONS][row]
        return self.string(int(record[1])), self.string(int(record[3]))

    def number_label(self, key: str) -> Column:
        """The numeric label ``key`` of each sample; 0 where it has none."""
        labels, found = self.tables[wire.LABELS], np.zeros(len(self), np.int64)
        number = self._find_string(key)
        rows = np.flatnonzero(labels[:, 0] == number) if number >= 0 else np.zeros(0, np.int64)
        found[np.searchsorted(self.tables[wire.SAMPLES][:, 2], rows, "right")] = labels[rows, 2]
        return found

    def text_label(self, sample: int, key: str) -> str:
        """The text label ``key`` of one sample; empty where it has none."""
        ends = self.tables[wire.SAMPLES][:, 2]
        begin = int(ends[sample - 1]) if sample else 0
        for row in self.tables[wire.LABELS][begin : int(ends[sample])].tolist():
            if row[1] and self.string(row[0]) == key:
                return self.string(row[1])
        return ""

    def _find_string(self, wanted: str) -> int:
        raw, table = wanted.encode(), self.tables[wire.STRINGS]
        for row in np.flatnonzero(table[:, 1] - table[:, 0] == len(raw)).tolist():
            if self.text[int(table[row, 0]) : int(table[row, 1])].tobytes() == raw:
                return int(row)
        return -1


def checked(
    origin: str, form: str, text: Bytes, tables: Sequence[Column], statistics: dict[str, int] | None = None
) -> Profile:
    """The profile of these tables. EvidenceError where an index or an id leads nowhere."""

    def wrong(what: str) -> EvidenceError:
        return EvidenceError(f"{origin} is no sound profile: {what}", DAMAGED)

    strings, samples, labels = tables[wire.STRINGS], tables[wire.SAMPLES], tables[wire.LABELS]
    scalars = tables[wire.SCALARS][:, [7, 8, 14]]
    named = (
        tables[wire.SAMPLE_TYPES], labels[:, [0, 1, 3]], tables[wire.MAPPINGS][:, 4:6],
        tables[wire.FUNCTIONS][:, 1:4], tables[wire.COMMENTS], tables[wire.TYPE_OF_PERIOD], scalars,
    )  # fmt: skip
    if any(part.size and (part.min() < 0 or part.max() >= max(len(strings), 1)) for part in named):
        raise wrong("a name is not in its table of strings")
    if not len(strings) or strings[0, 0] != strings[0, 1]:
        raise wrong("its table of strings does not begin with the empty one")
    columns = len(tables[wire.SAMPLE_TYPES])
    if not columns:
        raise wrong("it has no sample type")
    if not np.array_equal(samples[:, 1], np.arange(1, len(samples) + 1) * columns):
        raise wrong("a sample has more or fewer values than there are types")
    if len(tables[wire.LOCATIONS]) >= _MAX_ROWS:
        raise wrong(f"it has {len(tables[wire.LOCATIONS]):,} locations")
    stacks = _stacks(tables[wire.LOCATIONS_OF][:, 0], tables[wire.LOCATIONS][:, 0])
    functions = _rows(tables[wire.LINES][:, 0], tables[wire.FUNCTIONS][:, 0])
    if stacks is None:
        raise wrong("a sample names a location that is not there")
    if (functions[tables[wire.LINES][:, 0] != 0] < 0).any():
        raise wrong("a line names a function that is not there")
    tables = [*tables]
    tables[wire.LOCATIONS_OF] = np.zeros((0, 1), np.int64)
    made = Profile(
        origin, form, "", text, tuple(tables), (), tables[wire.VALUES].reshape(-1, columns), stacks, functions,
        statistics or {},
    )  # fmt: skip
    types = tuple((made.string(kind), made.string(unit)) for kind, unit in tables[wire.SAMPLE_TYPES].tolist())
    names = [name for name, _ in types]
    kind = HEAP if "inuse_space" in names or "alloc_space" in names else names[0]
    return Profile(
        origin, form, kind, text, tuple(tables), types, made.values, stacks, functions, made.statistics
    )  # fmt: skip


def _stacks(wanted: Column, ids: Column) -> Rows | None:
    """Rows of the locations of all stacks, a part after the other: there are many. None where one is not there."""
    found = np.empty(len(wanted), np.int32)
    for begin in range(0, len(wanted), _CHUNK):
        part = _rows(wanted[begin : begin + _CHUNK], ids)
        if part.min() < 0:
            return None
        found[begin : begin + _CHUNK] = part
    return found


def _rows(wanted: Column, ids: Column) -> Column:
    """Row of each wanted id, -1 where there is none."""
    if not len(ids):
        return np.full(len(wanted), -1, np.int64)
    if np.array_equal(ids, np.arange(1, len(ids) + 1)):
        return np.where((wanted >= 1) & (wanted <= len(ids)), wanted - 1, -1)
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
    return np.where(ids[order[at]] == wanted, order[at], -1)


class Builder:
    """Makes the tables of a profile row by row. Ids are rows + 1; what is there already is used again."""

    def __init__(self) -> None:
        self._strings: dict[str, int] = {"": 0}
        self._functions: dict[tuple[int, int, int], int] = {}
        self._locations: dict[tuple[int, int, tuple[tuple[int, int], ...]], int] = {}
        self.rows: list[list[list[int]]] = [[] for _ in wire.WIDTHS]
        self.rows[wire.SCALARS] = [[0] * 16]
        self.rows[wire.TYPE_OF_PERIOD] = [[0, 0]]

    def string(self, text: str) -> int:
        """Number of a string."""
        return self._strings.setdefault(text, len(self._strings))

    def function(self, name: str, system_name: str, file: str, start_line: int = 0) -> int:
        """Id of a function."""
        key = self.string(name), self.string(system_name), self.string(file)
        if key not in self._functions:
            self._functions[key] = len(self._functions) + 1
            self.rows[wire.FUNCTIONS].append([self._functions[key], *key, start_line])
        return self._functions[key]

    def location(self, address: int, mapping: int, lines: Sequence[tuple[int, int]]) -> int:
        """Id of a location; ``lines``: (id of function, line), the innermost first."""
        key = address, mapping, tuple(lines)
        if key not in self._locations:
            self._locations[key] = len(self._locations) + 1
            self.rows[wire.LINES].extend([function, line, 0] for function, line in lines)
            signed = address - (1 << 64) if address >> 63 else address
            self.rows[wire.LOCATIONS].append([self._locations[key], mapping, signed, len(self.rows[wire.LINES]), 0])
        return self._locations[key]

    def sample(
        self,
        locations: Sequence[int],
        values: Sequence[int],
        numbers: Sequence[tuple[str, int, str]] = (),
        texts: Sequence[tuple[str, str]] = (),
    ) -> None:
        """One sample, leaf first. ``numbers``: key, value, unit. ``texts``: key, text."""
        rows = self.rows
        rows[wire.LOCATIONS_OF].extend([one] for one in locations)
        rows[wire.VALUES].extend([one] for one in values)
        rows[wire.LABELS].extend([self.string(key), 0, number, self.string(unit)] for key, number, unit in numbers)
        rows[wire.LABELS].extend([self.string(key), self.string(text), 0, 0] for key, text in texts)
        rows[wire.SAMPLES].append([len(rows[kind]) for kind in (wire.LOCATIONS_OF, wire.VALUES, wire.LABELS)])

    def types(self, *names: tuple[str, str]) -> None:
        """The sample types: name and unit."""
        self.rows[wire.SAMPLE_TYPES] = [[self.string(name), self.string(unit)] for name, unit in names]

    def period(self, name: str, unit: str, value: int) -> None:
        """Type and value of the period."""
        self.rows[wire.TYPE_OF_PERIOD] = [[self.string(name), self.string(unit)]]
        self.rows[wire.SCALARS][0][12] = value

    def build(self, origin: str, form: str, statistics: dict[str, int] | None = None) -> Profile:
        """The profile. EvidenceError as :func:`checked`."""
        raw = [text.encode("utf-8", "replace") for text in self._strings]
        ends = np.cumsum([len(one) for one in raw], dtype=np.int64)
        tables = [np.array(rows, np.int64).reshape(-1, wide) for rows, wide in zip(self.rows, wire.WIDTHS, strict=True)]
        tables[wire.STRINGS] = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1).astype(np.int64)
        return checked(origin, form, np.frombuffer(b"".join(raw), np.uint8), tables, statistics)
