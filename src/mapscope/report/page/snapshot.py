"""The page of a snapshot: what ``mapscope analyze -f html`` shows."""

from __future__ import annotations

import os

import msgspec
import numpy as np
from msgspec.structs import asdict

from mapscope.report.build import PAGE, build
from mapscope.report.document import Document
from mapscope.report.page.caps import MOST_BYTES, Caps
from mapscope.report.page.cells import cell_sections, looked_at
from mapscope.report.page.findings import finding_values, goroutines_named, iterator_values, suspect_values
from mapscope.report.page.goroutines import group_of, groups
from mapscope.report.page.heap import tree_sections, type_section
from mapscope.report.page.html import render
from mapscope.report.page.maps import chosen_rows, map_columns, rest_of
from mapscope.report.page.owners import owner_tree, paths
from mapscope.report.page.pack import Pack
from mapscope.report.page.parts import heap_parts
from mapscope.report.source import Source

KIND = "snapshot"
_SAME = ("process", "heap", "verdict", "thresholds")


def snapshot_page(source: Source) -> str:
    """The page: with as much of the snapshot as fits into ``MOST_BYTES``."""
    caps = Caps()
    while True:
        page = render(snapshot_pack(source, caps), title(source))
        smaller = caps.smaller()
        if len(page) <= MOST_BYTES or smaller == caps:
            return page
        caps = smaller


def snapshot_pack(source: Source, caps: Caps | None = None) -> Pack:
    """All that the page of a snapshot shows."""
    caps = caps or Caps()
    document = build(source, np.zeros(0, np.int64), goroutines=False)
    pack = Pack(KIND)
    pack.values |= {name: getattr(document, name) for name in _SAME}
    pack.values["next"] = [one for one in document.next if not one.endswith(PAGE)]
    pack.values["notes"] = _first(document.notes, caps.remarks)
    pack.values["evidence"] = msgspec.structs.replace(
        document.evidence,
        missing=_first(document.evidence.missing, caps.remarks),
        warnings=_first(document.evidence.warnings, caps.remarks),
    )
    pack.values["parts"] = [asdict(part) for part in heap_parts(source)]
    _add_people(pack, source, document, caps)
    _add_maps(pack, source, caps)
    _add_heap(pack, source, caps)
    return pack


def _first(remarks: list[str], most: int) -> list[str]:
    rest = len(remarks) - most
    return remarks if rest <= 0 else [*remarks[:most], f"and {rest:,} more: -f json has all"]


def _add_people(pack: Pack, source: Source, document: Document, caps: Caps) -> None:
    """Findings, iterators, goroutines, suspects."""
    stacks = groups(source, caps)
    numbers = group_of(stacks, goroutines_named(source, caps))
    for group in stacks["groups"] if isinstance(stacks["groups"], list) else []:
        del group["all"]
    pack.values |= finding_values(source, document.findings, numbers, caps.findings)
    pack.values |= iterator_values(document.iterators, numbers, caps.iterators)
    pack.values["suspects"] = suspect_values(document.suspects)
    pack.values["goroutines"] = stacks


def _add_maps(pack: Pack, source: Source, caps: Caps) -> None:
    rows = chosen_rows(source, caps.maps)
    maps = source.maps
    held = source.holders(np.asarray(maps.columns["address"])[rows].astype(np.uint64))
    ways = paths(held)
    pack.sections |= map_columns(source, rows, held, ways, caps.steps)
    pack.values["maps_rest"] = rest = rest_of(maps, rows)
    known = [kind.name for kind in maps.types]
    labels = [known[at] if 0 <= at < len(known) else "map of unknown type" for at in maps.columns["type_index"][rows]]
    size, waste = (np.asarray(maps.columns[name])[rows] for name in ("total_bytes", "waste_bytes"))
    pack.sections["owners"] = owner_tree(ways, size, waste, labels, rest, caps.children)
    chosen = looked_at(source, rows, caps.arrays)
    pack.sections |= cell_sections(source, rows, chosen, caps.cells)
    pack.values["looked_at"] = len(chosen)


def _add_heap(pack: Pack, source: Source, caps: Caps) -> None:
    sections, left = tree_sections(source, caps.nodes)
    pack.sections |= sections
    pack.values["dominators_rest"] = left
    heap = source.heap
    pack.sections["types"], pack.values["types_rest"] = type_section(
        source.type_sums(), heap.live_objects, heap.live_bytes, caps.types
    )


def title(source: Source) -> str:
    """What the browser's tab says."""
    return f"mapscope: {os.path.basename(source.evidence.path) or source.evidence.kind}"
