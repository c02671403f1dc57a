"""The page of one map, whichever it is: the same sections as in a whole report, of one row."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from mapscope.errors import UsageError
from mapscope.findings.model import Finding
from mapscope.maps.itermodel import MapIterator
from mapscope.report.build import evidence, finding_rows, iterator_rows
from mapscope.report.page.caps import Caps
from mapscope.report.page.cells import cell_sections
from mapscope.report.page.findings import finding_values, iterator_values
from mapscope.report.page.maps import map_columns
from mapscope.report.page.owners import paths
from mapscope.report.page.pack import Pack
from mapscope.report.source import Source
from mapscope.units import hex_addr

KIND = "map"


def map_pack(source: Source, address: int) -> Pack:
    """All that the page of the map at ``address`` shows. UsageError where no map's header lies there."""
    found = source.maps.at(address)
    if found is None:
        raise UsageError(
            f"there is no map at {hex_addr(address)} in this {source.evidence.kind}", "ask what lies at this address"
        )
    caps = Caps()
    about = cast(Source, _About(source, address))
    rows = np.array([found.row], dtype=np.int64)
    caps = Caps()
    pack = Pack(KIND, {"evidence": evidence(source), "looked_at": 0})
    pack.values |= finding_values(about, finding_rows(about, about.findings), {}, caps.findings)
    pack.values |= iterator_values(iterator_rows(about.iterators), {}, caps.iterators)
    held = source.holders(np.array([address], dtype=np.uint64))
    pack.sections |= map_columns(about, rows, held, paths(held), caps.steps)
    pack.sections |= cell_sections(source, rows, [0], caps.cells)
    return pack


class _About:
    """A source that knows only the findings and iterators of one map; all else is as it was."""

    def __init__(self, source: Source, address: int) -> None:
        self._source = source
        self.findings: tuple[Finding, ...] = tuple(one for one in source.findings if one.subject == address)
        self.iterators: tuple[MapIterator, ...] = tuple(one for one in source.iterators if one.map == address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)
