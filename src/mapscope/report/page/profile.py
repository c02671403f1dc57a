"""The pages of profiles: what ``mapscope profile -f html``, ``profile watch`` and ``profile diff`` show."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from mapscope.arrays import unique
from mapscope.profiles import indicators as ind
from mapscope.profiles.classify import Classified
from mapscope.profiles.flame import Stacks, flame, functions, map_stacks
from mapscope.profiles.frames import groups_of
from mapscope.profiles.series import courses
from mapscope.report.page.pack import Column, Pack, Texts, whole
from mapscope.report.profile_diff import ProfileDiffDocument
from mapscope.report.profile_document import ProfileDocument, SiteRow

KIND = "profile"
KIND_DIFF = "profile-diff"
MOST_SITES = 5000
MOST_STACKS = 200
"""Places whose largest stack is shown."""
MOST_FRAMES = 60
MOST_NODES = 2000
MOST_FUNCTIONS = 1000
MOST_LINES = 200
"""Places with a line of their own over time; the others are one line together."""
MOST_TIMES = 1000
"""Profiles of a series, evenly spread where there are more."""
MOST_ROWS = 1000
_SAID = (
    "profiles", "newest", "executable", "go_version", "heap", "maps", "told", "parts", "indicators", "article",
    "rising", "settings", "notes", "next",
)  # fmt: skip
_SITE = ("function", "file", "line", "type", "part", "told", "entry")
_SUMS = ("inuse_bytes", "inuse_objects", "alloc_bytes", "alloc_objects")


def profile_pack(document: ProfileDocument, heaps: Sequence[Classified]) -> Pack:
    """All that the page of one or several profiles shows. ``heaps``: those of ``document``, the newest last."""
    pack = Pack(KIND)
    for name in _SAID:
        pack.values[name] = getattr(document, name)
    for name in ("sizes", "suspects", "loops"):
        rows = getattr(document, name)
        pack.values[name] = rows[:MOST_ROWS]
        pack.values[f"{name}_rest"] = max(0, len(rows) - MOST_ROWS)
    pack.values["goroutines"] = [_goroutines(one) for one in document.goroutines]
    pack.sections["sites"] = _site_columns(document.sites[:MOST_SITES])
    pack.values["sites_rest"] = _rest(document.sites[MOST_SITES:])
    if heaps:
        newest = heaps[-1]
        stacks = map_stacks(newest)
        pack.sections |= _flame(newest, stacks)
        pack.sections |= _functions(newest, stacks)
        pack.sections |= _stacks_of_sites(newest, stacks)
    if len(heaps) > 1:
        _series(pack, heaps)
    return pack


def title(document: ProfileDocument) -> str:
    """What the browser's tab says."""
    name = document.newest or (document.profiles[-1].origin if document.profiles else "profiles")
    return f"mapscope profile: {os.path.basename(name.rstrip('/')) or name}"


def _site_columns(rows: Sequence[SiteRow]) -> Mapping[str, Column]:
    columns: dict[str, Column] = {
        name: Texts.of(getattr(row, name) for row in rows) for name in _SITE if name != "line"
    }
    columns["line"] = np.array([row.line for row in rows], np.int64)
    for name in _SUMS:
        columns[name] = whole(getattr(row.sums, name) for row in rows)
    return columns


def _rest(rows: Sequence[SiteRow]) -> dict[str, int]:
    """Sums of the places that the table does not list."""
    return {"sites": len(rows), **{name: sum(getattr(row.sums, name) for row in rows) for name in _SUMS}}


def _goroutines(row: msgspec.Struct) -> dict[str, object]:
    value = msgspec.structs.asdict(row)
    return value | {"groups": value["groups"][:MOST_ROWS], "rest": max(0, len(value["groups"]) - MOST_ROWS)}


def _flame(newest: Classified, stacks: Stacks) -> dict[str, Mapping[str, Column]]:
    tree = flame(newest, stacks, MOST_NODES)
    return {
        "flame": {
            "parent": tree.parent,
            "name": Texts.coded(tree.name, tree.words),
            "kind": tree.kind,
            "inuse_bytes": tree.inuse,
            "alloc_bytes": tree.alloc,
            "objects": tree.objects,
            "left_out": tree.left_out,
        }
    }


def _functions(newest: Classified, stacks: Stacks) -> dict[str, Mapping[str, Column]]:
    """Functions by cum, and flat: what places in the function itself made."""
    found = functions(newest, stacks)
    flat: dict[str, ind.Sums] = {}
    for group in ind.groups(newest):
        flat[group.site.function] = flat.get(group.site.function, ind.Sums()) + group.sums
    order = np.lexsort((-found.alloc, -found.inuse))[:MOST_FUNCTIONS]
    names = [found.names[row] for row in order.tolist()]
    own = [flat.get(name, ind.Sums()) for name in names]
    return {
        "functions": {
            "function": Texts.of(names),
            "runtime": stacks.runtime[order],
            "flat_bytes": whole(one.inuse_bytes for one in own),
            "cum_bytes": found.inuse[order],
            "flat_alloc_bytes": whole(one.alloc_bytes for one in own),
            "cum_alloc_bytes": found.alloc[order],
        }
    }


def _stacks_of_sites(newest: Classified, stacks: Stacks) -> dict[str, Mapping[str, Column]]:
    """The largest stack of each of the first places, in their order: ``stacks`` is columns into ``frames``."""
    part, site = newest.part_of[stacks.samples], newest.site_of[stacks.samples]
    size = newest.profile.value("inuse_space")[stacks.samples]
    order = np.lexsort((-newest.profile.value("alloc_space")[stacks.samples], -size))
    heads, group = groups_of(part[order], site[order])  # the first row of a group is its largest stack
    many = np.bincount(group, minlength=len(heads))
    largest: dict[tuple[object, ...], tuple[int, int, int]] = {}
    for head, count in zip(heads.tolist(), many.tolist(), strict=True):
        row = int(order[head])
        made = newest.parts[int(part[row])]
        key = (newest.sites[int(site[row])], made.type, made.part, made.how, made.entry)
        known = largest.get(key)
        best = row if known is None or size[row] > size[known[0]] else known[0]
        largest[key] = best, count + (0 if known is None else known[1]), int(size[best])
    chosen = [largest[one.site, one.type, one.part, one.how, one.entry] for one in ind.groups(newest)[:MOST_STACKS]]
    rows = np.array([one[0] for one in chosen], np.int64)
    length = np.minimum(stacks.ends[rows] - stacks.begins[rows], MOST_FRAMES)
    end = np.cumsum(length)
    frames = stacks.frames[np.arange(int(length.sum())) + np.repeat(stacks.begins[rows] - (end - length), length)]
    return {
        "stacks": {
            "end": end,
            "bytes": whole(one[2] for one in chosen),
            "of": np.array([one[1] for one in chosen], np.int64),
            "frames": stacks.ends[rows] - stacks.begins[rows],
        },
        "frames": {"name": Texts.coded(frames, stacks.names), "runtime": stacks.runtime[frames]},
    }


def _series(pack: Pack, heaps: Sequence[Classified]) -> None:
    """Places over time: ``lines`` names each, ``points`` holds the bytes of all, a line behind the other."""
    chosen = unique(np.linspace(0, len(heaps) - 1, min(len(heaps), MOST_TIMES)).round().astype(np.int64))
    every = courses([ind.groups(one) for one in heaps])
    shown, rest = every[:MOST_LINES], every[MOST_LINES:]
    at = chosen.tolist()
    values = [[one.values[n] for n in at] for one in shown]
    others = [sum(one.values[n] for one in rest) for n in at]
    maps = [sum(row) for row in zip(others, *values, strict=True)]
    times = np.array([heaps[n].profile.time_nanos for n in at], np.int64)
    pack.sections["lines"] = {
        "function": Texts.of(one.function for one in shown),
        "type": Texts.of(one.type for one in shown),
    }
    pack.sections["points"] = {"bytes": whole(value for line in values for value in line)}
    pack.sections["times"] = {
        "seconds": times / 1e9,
        "maps_bytes": whole(maps),
        "heap_bytes": whole(ind.totals(heaps[n]).inuse_bytes for n in at),
        "rest_bytes": whole(others),
        "origin": Texts.of(heaps[n].profile.origin for n in at),
    }
    pack.values["series"] = {
        "profiles": len(heaps),
        "shown": len(chosen),
        "known_times": bool((times > 0).all()),
        "places": len(every),
        "rest": len(rest),
    }


def profile_diff_pack(document: ProfileDiffDocument) -> Pack:
    """All that the page of two heap profiles shows."""
    pack = Pack(KIND_DIFF)
    for name in ("old", "new", "executable", "hours", "old_heap", "new_heap", "old_maps", "new_maps",
                 "unchanged_sites", "notes", "next"):  # fmt: skip
        pack.values[name] = getattr(document, name)
    for name in ("new_suspects", "gone_suspects", "same_suspects"):
        rows = getattr(document, name)
        pack.values[name] = rows[:MOST_ROWS]
        pack.values[f"{name}_rest"] = max(0, len(rows) - MOST_ROWS)
    rows = sorted(document.sites, key=lambda row: -abs(row.new_bytes - row.old_bytes))
    shown, rest = rows[:MOST_SITES], rows[MOST_SITES:]
    pack.sections["moves"] = {
        "function": Texts.of(row.function for row in shown),
        "file": Texts.of(row.file for row in shown),
        "line": np.array([row.line for row in shown], np.int64),
        "type": Texts.of(row.type for row in shown),
        **{
            name: whole(getattr(row, name) for row in shown)
            for name in ("old_bytes", "new_bytes", "old_objects", "new_objects")
        },
    }
    pack.values["moves_rest"] = {
        "sites": len(rest),
        "old_bytes": sum(row.old_bytes for row in rest),
        "new_bytes": sum(row.new_bytes for row in rest),
    }
    return pack


def diff_title(document: ProfileDiffDocument) -> str:
    """What the browser's tab says."""
    names = [os.path.basename(one.origin.rstrip("/")) or one.origin for one in (document.old, document.new)]
    return f"mapscope profile diff: {names[0]} → {names[1]}"
