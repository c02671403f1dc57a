"""Rows of the table of maps as records of the document, column by column: a million maps take seconds, not minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from mapscope.heap.holding import HeldTable
from mapscope.heap.steps import Step, StepTable
from mapscope.maps.model import FLAG_SAME_SIZE_GROW, Confidence, Generation, MapTable, Place
from mapscope.report import document as doc
from mapscope.report.escape import DOCUMENT_LIMIT, ascii_json, valid
from mapscope.report.holding import step_row
from mapscope.report.lines import Part, Words, address, constant, number, render

Rows = npt.NDArray[np.int64]

_CHUNK = 8192
_ENCODER = msgspec.json.Encoder()
_GROUP_SLOTS = 8
STATES = ("steady", "growing-same-size", "growing", "empty", "small")
"""Words for ``state_codes``."""
_PLACES = tuple(place.name.lower() for place in Place)
_CONFIDENCE = tuple(confidence.label for confidence in Confidence)
_CLASSIC_HEADER = ("count", "flags", "B", "noverflow", "hash0", "buckets", "oldbuckets", "nevacuate", "extra")
_SWISS_HEADER = (
    *("count", "seed", "dirPtr", "dirLen", "globalDepth", "globalShift", "writing", "tombstonePossible", "clearSeq"),
)
_CLASSIC_BYTES = (
    *("total_bytes", "header_bytes", "array_bytes", "old_array_bytes", "overflow_bytes", "old_overflow_bytes"),
    *("extra_bytes", "indirect_bytes"),
)
_SWISS_BYTES = ("total_bytes", "header_bytes", "array_bytes", "table_bytes", "directory_bytes", "indirect_bytes")
_ADDRESSES = frozenset({"address", "buckets", "oldbuckets", "extra", "dirPtr"})

AskHeld = Callable[[npt.NDArray[np.uint64]], HeldTable]
"""From addresses of maps to who holds each."""


def map_rows(maps: MapTable, rows: Rows, ask: AskHeld | None = None) -> Iterator[doc.MapRow]:
    """The records of ``rows``, in their order. Without ``ask`` they do not say who holds them."""
    decode = msgspec.json.Decoder(doc.MapRow).decode
    for start in range(0, len(rows), _CHUNK):
        lines = map_lines(maps, rows[start : start + _CHUNK], ask)
        text = lines.text.data
        yield from (decode(text[a:b]) for a, b in zip(lines.ends[:-1].tolist(), lines.ends[1:].tolist(), strict=True))


def map_lines(
    maps: MapTable, rows: Rows, ask: AskHeld | None = None, before: tuple[bytes, bytes] = (b"", b"")
) -> Words:
    """The same as JSON, one text a map, in printable ASCII.

    ``before``: what stands before the first, and before the others.
    """
    swiss = maps.columns["generation"][rows] == Generation.SWISS
    if swiss.all() or not swiss.any():
        return _lines(maps, rows, ask, bool(swiss.any()), before)
    order = np.argsort(swiss, kind="stable")
    parts = (
        _lines(maps, rows[order][which], ask, new) for which, new in ((~swiss[order], False), (swiss[order], True))
    )
    texts = [word for words in parts for word in words]
    back = np.argsort(order)
    return Words.of([before[n > 0] + texts[at] for n, at in enumerate(back.tolist())])


def _lines(
    maps: MapTable, rows: Rows, ask: AskHeld | None, swiss: bool, before: tuple[bytes, bytes] = (b"", b"")
) -> Words:
    columns = _Columns(maps, rows)
    record = doc.SwissMap if swiss else doc.ClassicMap
    fields: dict[str, Part | list[Part]] = {
        name: columns.plain(name) for name in record.__struct_fields__ if name in maps.columns
    }
    fields["type"] = columns.types()
    fields["place"] = columns.coded("place", _PLACES)
    fields["confidence"] = columns.coded("confidence", _CONFIDENCE)
    fields["load_factor"] = columns.loads(1 if swiss else _GROUP_SLOTS)
    fields["state"] = columns.states()
    fields["complete"] = columns.complete()
    fields |= _held(None if ask is None else ask(columns.array("address").astype(np.uint64)), len(rows))
    header, sizes = (doc.SwissHeader, doc.SwissBytes) if swiss else (doc.ClassicHeader, doc.ClassicBytes)
    names = zip(header.__struct_fields__, _SWISS_HEADER if swiss else _CLASSIC_HEADER, strict=True)
    fields["header"] = _object({name: columns.plain(column) for name, column in names})
    names = zip(sizes.__struct_fields__, _SWISS_BYTES if swiss else _CLASSIC_BYTES, strict=True)
    fields["bytes"] = _object({name: columns.plain(column) for name, column in names})
    tag: dict[str, Part | list[Part]] = {"generation": constant(_text("swiss" if swiss else "classic"))}
    lead = Words.of(before).chosen(np.arange(len(rows)).clip(max=1).astype(np.int32))
    return render([lead, *_object(tag | {name: fields[name] for name in record.__struct_fields__})], len(rows))


def _object(fields: dict[str, Part] | dict[str, Part | list[Part]]) -> list[Part]:
    """The parts of a JSON object."""
    out, before = [], b"{"
    for name, value in fields.items():
        out.append(constant(before + _text(name) + b":"))
        out += value if isinstance(value, list) else [value]
        before = b","
    return [*out, constant(b"}")]


def _text(text: str | None) -> bytes:
    """As JSON."""
    return ascii_json(msgspec.json.encode(text if text is None else valid(text)))


def _words(texts: Sequence[str | None]) -> Words:
    return Words.of([_text(text) for text in texts])


class _Columns:
    """Some rows of a table of maps as parts."""

    def __init__(self, maps: MapTable, rows: Rows) -> None:
        self._maps = maps
        self._rows = rows

    def array(self, name: str) -> npt.NDArray[np.generic]:
        return self._maps.columns[name][self._rows]

    def plain(self, name: str) -> Part:
        """A number, or an address."""
        return address(self.array(name)) if name in _ADDRESSES else number(self.array(name))

    def coded(self, name: str, words: tuple[str, ...]) -> Part:
        """Small codes as their words."""
        return _words(words).chosen(self.array(name).astype(np.int32))

    def types(self) -> Part:
        index = self.array("type_index").astype(np.int32)
        used, codes = np.unique(index, return_inverse=True)
        known = len(self._maps.types)
        names = [self._maps.types[at].name if 0 <= at < known else None for at in used.tolist()]
        return _words(names).chosen(codes.reshape(-1).astype(np.int32))

    def loads(self, slots_a_unit: int) -> Part:
        """Entries a unit of the arrays, 0 where there are none."""
        units = (self.array("capacity").astype(np.uint64) // np.uint64(slots_a_unit)).astype(np.float64)
        count = self.array("count").astype(np.float64)
        shares = np.round(np.divide(count, units, out=np.zeros_like(count), where=units > 0), 4)
        values, codes = np.unique(shares, return_inverse=True)
        return Words.of([msgspec.json.encode(v) for v in values.tolist()]).chosen(codes.reshape(-1).astype(np.int32))

    def states(self) -> Part:
        """As ``Map.state``, by column."""
        return _words(STATES).chosen(state_codes(self._maps, self._rows).astype(np.int32))

    def complete(self) -> Part:
        return Words.of([b"false", b"true"]).chosen((self.array("unreadable") == 0).astype(np.int32))


def state_codes(maps: MapTable, rows: Rows | slice = slice(None)) -> Rows:
    """``Map.state`` of some maps, or of all, as codes into ``STATES``."""
    names = ("generation", "oldbuckets", "flags", "count", "dirLen")
    generation, old, flags, count, directory = (maps.columns[name][rows] for name in names)
    swiss = generation == Generation.SWISS
    growing = ~swiss & (old != 0)
    same_size = flags.astype(np.int64) & FLAG_SAME_SIZE_GROW != 0
    return np.select([growing & same_size, growing, count == 0, swiss & (directory == 0)], [1, 2, 3, 4], 0)


def _held(held: HeldTable | None, rows: int) -> dict[str, Part | list[Part]]:
    """Chain, retained bytes and dominator of each."""
    if held is None or not held.live.any():
        return dict.fromkeys(("chain", "retained_bytes", "dominator"), constant(b"null"))
    ranges = np.where(held.live[:, None], held.chains.ranges, -1)
    sizes = render([number(held.retained)], rows)
    return {
        "chain": _steps(held.chains.steps).listed(ranges, held.chains.codes),
        "retained_bytes": sizes.chosen(np.where(held.live, np.arange(rows), -1).astype(np.int32)),
        "dominator": _steps(held.dominators).chosen(np.where(held.live, held.above, -1).astype(np.int32)),
    }


def _steps(table: StepTable) -> Words:
    """Each step as JSON."""
    words = _cut(table.words)
    shown = render([address(table.address)], len(table))
    addresses = np.where(table.address != 0, np.arange(len(table)), -1).astype(np.int32)
    return render(
        [words.chosen(4 * table.word), shown.chosen(addresses), words.chosen(4 * table.word + 2)],
        len(table),
    )


def _cut(steps: Sequence[Step]) -> Words:
    """Four texts a step: what stands before its address, the address of no use, what stands behind it, the line's end.

    Chains through arrays have a step of its own for each element: all are encoded at once, and cut where they lie.
    """
    try:
        text = _ENCODER.encode_lines(steps)
    except UnicodeEncodeError:  # a lone surrogate
        text = b""
    if text.count(b"\n") < len(steps) or np.diff(_line_ends(text), prepend=0).max(initial=0) > DOCUMENT_LIMIT:
        text = _ENCODER.encode_lines([msgspec.structs.replace(step_row(step), address=0) for step in steps])
    text = ascii_json(text)
    end = _line_ends(text)
    start = np.concatenate([np.zeros(1, dtype=np.int64), end])[:-1]
    place = start + len('{"kind":"","address":') + np.fromiter((len(step.kind) for step in steps), np.int64, len(steps))
    borders = np.stack([start, place, place + 1, end - 1], axis=1).reshape(-1)
    return Words(np.frombuffer(text, dtype=np.uint8), np.append(borders, len(text)))


def _line_ends(text: bytes) -> npt.NDArray[np.int64]:
    """Behind each line feed; JSON has none but those between lines."""
    return np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
