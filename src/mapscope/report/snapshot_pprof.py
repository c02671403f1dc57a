"""A snapshot as a profile for viewers of pprof files: every map with its bytes, by the path that retains it.

A stack is a chain read from its end: the leaf is the map's type, then what holds it, field by field, up to the root.
Maps of one path, type and state are one sample. What many maps retain together cannot be summed, so it is not in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from mapscope import __version__
from mapscope._kernels.reference import pprof as wire
from mapscope.heap.steps import StepTable
from mapscope.maps.model import Generation
from mapscope.profiles.model import Builder, Profile
from mapscope.report.escape import clean, valid
from mapscope.report.holding import step_row, step_text
from mapscope.report.rows import STATES, state_codes
from mapscope.report.source import Source

TYPES = (("maps", "count"), ("entries", "count"), ("map_bytes", "bytes"), ("waste", "bytes"))
"""Sample types: how many maps, their entries, their own bytes, and what findings say is held for nothing."""
_DEFAULT = "map_bytes"
_MARK = " (of mapscope)"
_UNHELD = "(who holds it is not known)"
_MOST = (1 << 63) - 1
_NAME = 400


def snapshot_profile(source: Source) -> Profile:
    """Every map of the snapshot."""
    frames = _Frames()
    builder = frames.builder
    builder.types(*TYPES)
    builder.period("map", "count", 1)
    builder.rows[wire.SCALARS][0][14] = builder.string(_DEFAULT)
    about = f"mapscope {__version__}: maps of {source.evidence.path} by the path that retains them"
    builder.rows[wire.COMMENTS].append([builder.string(valid(about))])
    waste, rules = _findings(source)
    for key, sums in _summed(source, frames, waste, rules).items():
        stack, texts = key
        builder.sample(stack, [min(one, _MOST) for one in sums], texts=texts)
    return builder.build(source.evidence.path, "protobuf")


Key = tuple[tuple[int, ...], tuple[tuple[str, str], ...]]


def _summed(
    source: Source, frames: _Frames, waste: dict[int, int], rules: dict[int, list[str]]
) -> dict[Key, list[int]]:
    """Sums by stack (locations, leaf first) and labels."""
    maps = source.maps
    addresses = maps.columns["address"].astype(np.uint64)
    held = source.holders(addresses)
    words = frames.of(held.chains.steps)[held.chains.steps.word]
    flat = words[held.chains.codes] if len(words) else np.zeros(0, np.int64)
    columns = zip(
        addresses.tolist(), held.live.tolist(), held.chains.ranges.tolist(), maps.columns["type_index"].tolist(),
        maps.columns["count"].tolist(), maps.columns["total_bytes"].tolist(), state_codes(maps).tolist(),
        (maps.columns["generation"] == Generation.SWISS).tolist(), strict=True,
    )  # fmt: skip
    found: dict[Key, list[int]] = defaultdict(lambda: [0] * len(TYPES))
    for address, live, (begin, end), kind, count, size, state, swiss in columns:
        name = maps.types[kind].name if 0 <= kind < len(maps.types) else None
        path = flat[begin : max(end - 1, begin)][::-1].tolist() if live else [frames.named(_UNHELD)]
        texts = [("generation", "swiss" if swiss else "classic"), ("state", STATES[state])]
        texts += [("finding", ", ".join(rules[address]))] if address in rules else []
        sums = found[(frames.named(name or "map of unknown type"), *path), tuple(texts)]
        for at, number in enumerate((1, count, size, waste.pop(address, 0))):
            sums[at] += number
    rest = sorted(waste.items())  # findings on what is no map any more
    for (address, size), who in zip(rest, source.held([address for address, _ in rest]), strict=True):
        table = StepTable.of(() if who is None else who.chain)
        path = frames.of(table)[table.word][::-1].tolist() if len(table) else [frames.named(_UNHELD)]
        found[tuple(path), (("finding", ", ".join(rules[address])),)][3] += size
    return found


def _findings(source: Source) -> tuple[dict[int, int], dict[int, list[str]]]:
    """Bytes that findings count, and their rules, by address of the subject."""
    waste: dict[int, int] = defaultdict(int)
    rules: dict[int, list[str]] = defaultdict(list)
    for finding in source.findings:
        if finding.rule not in rules[finding.subject]:
            rules[finding.subject].append(finding.rule)
        if not finding.part_of:
            waste[finding.subject] += finding.bytes
    return waste, rules


class _Frames:
    """Locations of a profile for steps of chains: without addresses, since a viewer merges frames by name."""

    def __init__(self) -> None:
        self.builder = Builder()
        self._known: dict[str, int] = {}

    def of(self, table: StepTable) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Location of each word of a table of steps."""
        texts: Sequence[str] = [step_text(step_row(word)) for word in table.words]
        return np.array([self.named(text) for text in texts], np.int64)

    def named(self, text: str) -> int:
        """The location of one text. Its system name differs from its name, so that no viewer takes it for C++."""
        name = clean(text, _NAME)
        if name not in self._known:
            function = self.builder.function(name, name + _MARK, "")
            self._known[name] = self.builder.location(0, 0, ((function, 0),))
        return self._known[name]
