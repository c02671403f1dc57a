"""The page of a snapshot: what ``mapscope analyze -f html`` shows."""

from __future__ import annotations

import os
from dataclasses import asdict

import numpy as np

from mapscope.report.build import PAGE, build
from mapscope.report.document import Document
from mapscope.report.page.cells import cell_sections, looked_at
from mapscope.report.page.findings import finding_values, goroutines_named, iterator_values, suspect_values
from mapscope.report.page.goroutines import group_of, groups
from mapscope.report.page.heap import tree_section, type_section
from mapscope.report.page.maps import chosen_rows, map_columns, rest_of
from mapscope.report.page.owners import owner_tree, paths
from mapscope.report.page.pack import Pack
from mapscope.report.page.parts import heap_parts
from mapscope.report.source import Source

KIND = "snapshot"
_SAME = ("evidence", "process", "heap", "verdict", "notes", "thresholds")


def snapshot_pack(source: Source) -> Pack:
    """All that the page of a snapshot shows."""
    document = build(source, np.zeros(0, np.int64), goroutines=False)
    pack = Pack(KIND)
    pack.values |= {name: getattr(document, name) for name in _SAME}
    pack.values["next"] = [one for one in document.next if not one.endswith(PAGE)]
    pack.values["parts"] = [asdict(part) for part in heap_parts(source)]
    _add_people(pack, source, document)
    _add_maps(pack, source)
    _add_heap(pack, source)
    return pack


def _add_people(pack: Pack, source: Source, document: Document) -> None:
    """Findings, iterators, goroutines, suspects."""
    stacks = groups(source)
    numbers = group_of(stacks, goroutines_named(source))
    for group in stacks["groups"] if isinstance(stacks["groups"], list) else []:
        del group["all"]
    pack.values |= finding_values(source, document.findings, numbers) | iterator_values(document.iterators, numbers)
    pack.values["suspects"] = suspect_values(document.suspects)
    pack.values["goroutines"] = stacks


def _add_maps(pack: Pack, source: Source) -> None:
    rows = chosen_rows(source)
    maps = source.maps
    held = source.holders(np.asarray(maps.columns["address"])[rows].astype(np.uint64))
    ways = paths(held)
    pack.sections |= map_columns(source, rows, held, ways)
    pack.values["maps_rest"] = rest = rest_of(maps, rows)
    known = [kind.name for kind in maps.types]
    labels = [known[at] if 0 <= at < len(known) else "map of unknown type" for at in maps.columns["type_index"][rows]]
    size, waste = (np.asarray(maps.columns[name])[rows] for name in ("total_bytes", "waste_bytes"))
    pack.sections["owners"] = owner_tree(ways, size, waste, labels, rest)
    chosen = looked_at(source, rows)
    pack.sections |= cell_sections(source, rows, chosen)
    pack.values["looked_at"] = len(chosen)


def _add_heap(pack: Pack, source: Source) -> None:
    tree, left = tree_section(source)
    if tree is not None:
        pack.sections["dominators"] = tree
    pack.values["dominators_rest"] = left
    heap = source.heap
    pack.sections["types"], pack.values["types_rest"] = type_section(
        source.type_sums(), heap.live_objects, heap.live_bytes
    )


def title(source: Source) -> str:
    """What the browser's tab says."""
    return f"mapscope: {os.path.basename(source.evidence.path) or source.evidence.kind}"
