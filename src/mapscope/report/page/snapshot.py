"""The page of a snapshot: what ``mapscope analyze -f html`` shows."""

from __future__ import annotations

import os

import numpy as np

from mapscope.report.build import build
from mapscope.report.page.pack import Pack
from mapscope.report.source import Source

KIND = "snapshot"


def snapshot_pack(source: Source) -> Pack:
    """All that the page of a snapshot shows."""
    document = build(source, np.zeros(0, np.int64), goroutines=False)
    pack = Pack(KIND)
    for name in ("evidence", "process", "heap", "verdict", "notes", "next", "thresholds", "suspects", "findings"):
        pack.values[name] = getattr(document, name)
    return pack


def title(source: Source) -> str:
    """What the browser's tab says."""
    return f"mapscope: {os.path.basename(source.evidence.path) or source.evidence.kind}"
