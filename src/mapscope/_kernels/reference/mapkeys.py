"""What the string keys of maps lie in: the plain version of _mapkeys.pyx. Rows as in reference/maps.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference.mapcells import (
    EVACUATED,
    ClassicMap,
    SwissMap,
    array_fits,
    chain_budget,
    distinct_tables,
    full_cells,
    live_cells,
    read_table,
)
from mapscope._kernels.reference.memory import Slots


def string_keys(
    h: Any,
    rows: npt.NDArray[np.uint64],
    is_swiss: bool,
    lay: npt.NDArray[np.uint64],
    seen: npt.NDArray[np.uint8],
    touched: npt.NDArray[np.int64],
    rounded: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint64],
) -> None:
    """What the string keys of each map lie in: five sums a map are added to the rows of ``out``.

    Keys whose bytes lie in one heap object; bytes of those keys; bytes of the distinct objects; how many those are;
    bytes that a copy of each key would take. ``rounded[k]`` is the size class of 8 × k bytes, k to 4096. ``seen`` is
    zero by object id and is left so; ``touched`` bounds how many objects of one map are told apart.
    """
    memory = Slots(h)
    for row, sums in zip(rows.tolist(), out, strict=True):
        walk = (
            _swiss_cells(memory, SwissMap(*row[:10]), lay.tolist())
            if is_swiss
            else _classic_cells(memory, ClassicMap(*row))
        )
        _add_strings(memory, walk, len(touched), rounded, sums)


def _add_strings(
    memory: Slots, walk: Iterator[int], most: int, rounded: npt.NDArray[np.uint32], sums: npt.NDArray[np.uint64]
) -> None:
    objects: set[int] = set()
    for key in walk:
        pointer, length = memory.word(key), memory.word(key + 8)
        place = memory.place(pointer) if pointer is not None and length else None
        if pointer is None or not length or place is None:
            continue
        s, slot = place
        if length > memory.base[s] + (slot + 1) * memory.elemsize[s] - pointer:
            continue
        copy = int(rounded[length + 7 >> 3]) if length <= 32768 else length + 8191 & ~8191
        new = memory.first[s] + slot not in objects and len(objects) < most
        if new:
            objects.add(memory.first[s] + slot)
        sums += np.array((1, length, memory.elemsize[s] * new, new, copy), dtype=np.uint64)


def _classic_cells(memory: Slots, row: ClassicMap) -> Iterator[int]:
    """Addresses of the keys of all entries, in buckets that are not evacuated."""
    if not row.sane:
        return
    for old, array, number in row.arrays():
        if not array or not array_fits(memory, array, number, row.bucket_size):
            continue
        budget = chain_budget(memory, number, row.entries)
        for bucket in range(array, array + number * row.bucket_size, row.bucket_size):
            at = bucket
            while at and budget:
                budget -= 1
                top = memory.word(at)
                if top is None or (old and top & 255 in EVACUATED):
                    break
                for cell in live_cells(top):
                    yield at + row.keys + cell * row.key_stride
                at = memory.word(at + row.bucket_size - 8) or 0


def _swiss_cells(memory: Slots, row: SwissMap, lay: list[int]) -> Iterator[int]:
    """Addresses of the keys of all entries."""
    arrays: Iterator[tuple[int, int]] = iter([(row.directory, 1)])
    if row.length:
        found = (read_table(memory, lay, address) for address in distinct_tables(memory, row) if address is not None)
        arrays = ((table.groups, table.capacity >> 3) for table in found if table is not None)
    for data, number in arrays:
        for group in range(data, data + number * row.group_size, row.group_size):
            control = memory.word(group)
            if control is None:
                break
            for cell in full_cells(control):
                yield group + row.keys + cell * row.key_stride
