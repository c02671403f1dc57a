"""The heap besides its maps: the top of the dominator tree, and live objects by type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mapscope.report.page.pack import Column, Texts
from mapscope.report.page.steps import step_columns
from mapscope.report.source import Source
from mapscope.table import Coded, Table


def tree_sections(source: Source, most: int) -> tuple[dict[str, Mapping[str, Column]], dict[str, int] | None]:
    """The sections ``dominators``, parents before children, and ``left_out``, by type; the sums of the rest.

    Empty and None where it is not known.
    """
    tree = source.dominator_tree(most)
    if tree is None:
        return {}, None
    columns = {
        "parent": tree.parent,
        "retained_bytes": tree.retained,
        "shallow_bytes": tree.shallow,
        "left_out": tree.left_out,
        "left_out_bytes": tree.left_out_bytes,
        **step_columns(tree.steps),
    }
    groups: dict[str, Column] = {
        "parent": tree.groups.parent,
        "type": Texts.coded(tree.groups.name, tree.groups.names),
        "count": tree.groups.count,
        "retained_bytes": tree.groups.retained,
    }
    sections: dict[str, Mapping[str, Column]] = {"dominators": columns, "left_out": groups}
    return sections, {"total_bytes": tree.total, "rest": tree.rest, "rest_bytes": tree.rest_bytes}


def type_section(
    table: Table, live_objects: int, live_bytes: int, most: int
) -> tuple[Mapping[str, Column], dict[str, int]]:
    """The section ``types``, those with most bytes first, and the sums of the others and of objects without one."""
    objects, sizes = np.asarray(table["objects"]), np.asarray(table["bytes"])
    order = np.argsort(~sizes.astype(np.uint64), kind="stable")
    order = order[objects[order] > 0]
    shown, others = order[:most], order[most:]
    names, kinds = table.stored["type"], table.stored["kind"]
    assert isinstance(names, Coded)
    assert isinstance(kinds, Coded)
    known = int(objects[order].sum()), int(sizes[order].sum())
    rest = {
        "types": len(others),
        "objects": int(objects[others].sum()),
        "bytes": int(sizes[others].sum()),
        "untyped_objects": max(0, live_objects - known[0]),
        "untyped_bytes": max(0, live_bytes - known[1]),
    }
    section: Mapping[str, Column] = {
        "type": Texts.coded(names.codes[shown], names.words),
        "kind": Texts.coded(kinds.codes[shown], kinds.words),
        "objects": objects[shown],
        "bytes": sizes[shown],
    }
    return section, rest
