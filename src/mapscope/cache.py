"""A cache beside the evidence: what the first command has found out, so that the next one opens in a moment.

Opt-in. It holds types and marks by number and the table of maps, no content of the heap. It is keyed by the content of
core and executable and by the version of mapscope; one that does not fit is ignored and made anew. Only a file that
the user owns and nobody else may write is believed. It is safe to delete.

The file: ``MAGIC``, size of the header (uint64), SHA-256 of the header, header (JSON), then the arrays, each at a
multiple of 64 bytes. What lies in the arrays is looked at for soundness only, as the core itself is.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from mapscope import __version__
from mapscope.binary.textscan import TextFacts
from mapscope.goruntime.process import Process
from mapscope.heap.model import Heap
from mapscope.heap.saved import SavedHeap
from mapscope.maps.find import MapSet
from mapscope.maps.model import COLUMNS, MapTable

MAGIC = b"mapscope cache 4\n"
SUFFIX = ".mapscope-cache"
_ALIGN = 64
_DIGEST = 32
_BEGIN = len(MAGIC) + 8 + _DIGEST
_MAX_HEADER = 1 << 28
_SAMPLES = 256
_SAMPLE = 4096

_HEAP = ("flags", "known", "ptrmask", "uncertain", "journal")


class _Place(msgspec.Struct):
    """An array of the file."""

    dtype: str
    shape: list[int]
    offset: int


class _Facts(msgspec.Struct):
    """TextFacts, but for its arrays."""

    global_maps: tuple[tuple[int, int], ...]
    global_types: tuple[tuple[int, int, str], ...]
    pointer_maps: tuple[tuple[int, int, int], ...]
    closures: tuple[tuple[int, int], ...]
    capture_maps: tuple[tuple[int, int, int], ...]
    capture_boxes: tuple[tuple[int, int, int], ...]
    frame_maps: tuple[tuple[int, int, int], ...]
    functions_decoded: int
    conflicts: int
    notes: tuple[str, ...]


class _Header(msgspec.Struct):
    key: str
    dangling: int
    notes: list[str]
    map_notes: list[str]
    shapes: list[int]
    facts: _Facts | None
    arrays: dict[str, _Place]


class Saved(msgspec.Struct):
    """What a cache holds: ``maps`` are the columns of the table, ``shapes`` addresses of map types."""

    heap: SavedHeap
    maps: dict[str, npt.NDArray[np.generic]]
    shape_of: npt.NDArray[np.int64]
    shapes: list[int]
    notes: list[str]


def path_of(core: Path) -> Path:
    """Where the cache of a core lies."""
    return core.with_name(core.name + SUFFIX)


def load(process: Process) -> Saved | None:
    """What an earlier command has left; None where there is nothing that fits."""
    try:
        with path_of(process.evidence.path).open("rb") as stream:
            if not _own(os.fstat(stream.fileno())):
                return None
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        return _parse(process, data)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None  # none there, cut short, or of another version: as good as none


def store(process: Process, heap: Heap, maps: MapSet) -> None:
    """Leaves what was found out for the next command. OSError where it cannot be written; nothing is left then."""
    target = path_of(process.evidence.path)
    arrays = {name: np.ascontiguousarray(values) for name, values in _arrays(heap, maps)}
    places: dict[str, _Place] = {}
    at = 0
    for name, values in arrays.items():
        places[name] = _Place(values.dtype.str, list(values.shape), at)
        at += -(-values.nbytes // _ALIGN) * _ALIGN
    header = msgspec.json.encode(
        _Header(
            _key(process), heap.state.dangling, list(heap.notes), maps.notes,
            [int(shape.type.address) for shape in maps.shapes], _facts(heap.facts), places,
        )
    )  # fmt: skip
    handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    try:
        with open(handle, "wb") as stream:
            stream.write(MAGIC + len(header).to_bytes(8, "little") + hashlib.sha256(header).digest() + header)
            start = _start(len(header))
            for name, values in arrays.items():
                stream.seek(start + places[name].offset)
                stream.write(values.view(np.uint8).data if values.ndim == 1 else values.tobytes())
            stream.truncate(start + at)
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def _own(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode) and not found.st_mode & 0o022


def _start(header: int) -> int:
    """Where the arrays begin."""
    return -(-(_BEGIN + header) // _ALIGN) * _ALIGN


def _arrays(heap: Heap, maps: MapSet) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    state = heap.state
    yield from (("flags", state.flags), ("known", state.known))
    yield from (("ptrmask", heap.index.ptrmask), ("uncertain", heap.uncertain))
    yield "journal", np.array(heap.types.journal[heap.journal_start :], dtype=np.uint64).astype(np.int64).reshape(-1, 2)
    yield "facts.types", np.zeros(0, np.uint64) if heap.facts is None else heap.facts.types
    yield "shape_of", maps.shape_of.astype(np.int64)
    yield from ((f"maps.{name}", maps.table.columns[name]) for name in COLUMNS)


def _facts(facts: TextFacts | None) -> _Facts | None:
    return None if facts is None else _Facts(**{name: getattr(facts, name) for name in _Facts.__struct_fields__})


def _parse(process: Process, data: mmap.mmap) -> Saved | None:
    size = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 8], "little")
    if data[: len(MAGIC)] != MAGIC or size > min(_MAX_HEADER, len(data)):
        return None
    words = data[_BEGIN : _BEGIN + size]
    if data[_BEGIN - _DIGEST : _BEGIN] != hashlib.sha256(words).digest():
        return None
    header = msgspec.json.decode(words, type=_Header)
    if header.key != _key(process):
        return None
    start = _start(size)

    def array(name: str, dtype: str) -> npt.NDArray[np.generic]:
        place = header.arrays.get(name)
        if place is None or place.dtype != np.dtype(dtype).str:
            raise ValueError(name)
        count = int(np.prod(place.shape, dtype=np.int64))
        return np.frombuffer(data, np.dtype(dtype), count, start + place.offset).reshape(place.shape)

    kinds = dict(zip(_HEAP, ("u1", "u4", "u8", "i8", "i8"), strict=True))
    own = {name: array(name, kind) for name, kind in kinds.items()}
    facts = None
    if header.facts is not None:
        facts = TextFacts(**msgspec.structs.asdict(header.facts), types=array("facts.types", "u8").astype(np.uint64))
    heap = SavedHeap(**own, dangling=header.dangling, notes=tuple(header.notes), facts=facts)  # type: ignore[arg-type]
    shape_of = array("shape_of", "i8").astype(np.int64)
    maps = {name: array(f"maps.{name}", dtype) for name, dtype in COLUMNS.items()}
    saved = Saved(heap, maps, shape_of, header.shapes, header.map_notes)
    return saved if _sound(saved) else None


def _sound(saved: Saved) -> bool:
    """Whether lengths and numbers fit each other: the kernels trust them."""
    heap, rows = saved.heap, len(saved.shape_of)
    objects = len(heap.flags)
    types = saved.maps["type_index"]
    return (
        len(heap.known) == objects
        and heap.journal.ndim == 2
        and all(len(values) == rows and values.ndim == 1 for values in saved.maps.values())
        and (not rows or bool(-1 <= saved.shape_of.min() <= saved.shape_of.max() < len(saved.shapes)))
        and (not rows or bool(-1 <= types.min() <= types.max() < len(saved.shapes)))
        and (not len(heap.uncertain) or bool(0 <= heap.uncertain.min() <= heap.uncertain.max() < objects))
    )


def _key(process: Process) -> str:
    """Content of core, executable and plugins, as far as sizes, times and samples tell it, and mapscope's version."""
    found = hashlib.sha256(f"{__version__} {MAGIC!r}".encode())
    for path in (process.evidence.path, process.executable.path, *(one.elf.path for one in process.plugins)):
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            found.update(f"{size} {os.fstat(stream.fileno()).st_mtime_ns}".encode())
            for sample in range(_SAMPLES):
                stream.seek(size * sample // _SAMPLES // _SAMPLE * _SAMPLE)
                found.update(stream.read(_SAMPLE))
    return found.hexdigest()


def restore_maps(heap: Heap, saved: Saved) -> MapSet | None:
    """The maps as they were found; None where their types are not those of the process."""
    from mapscope.maps.find import decoder_of
    from mapscope.maps.types import map_shape

    shapes = [map_shape(heap.process.types, address) for address in saved.shapes]
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes):
        return None
    table = MapTable(dict(saved.maps), [shape.type for shape in known])
    swiss = heap.process.types.swiss_maps
    return MapSet(table, known, decoder_of(heap), swiss, saved.shape_of, list(saved.notes))
