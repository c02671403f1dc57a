"""Where the goroutines of a profile stand: how many in each place and state, and for how long."""

from __future__ import annotations

import numpy as np

from mapscope._kernels.reference import pprof as wire
from mapscope.profiles.frames import first_frame, first_line, functions_beginning, groups_of, text_labels
from mapscope.profiles.model import Profile

_RUNTIME = ("runtime.", "internal/")

Place = tuple[str, str, int, str]
"""Function, file and line of the first frame outside of the runtime, and the state (only debug=2 says it)."""


def by_place(profile: Profile) -> dict[Place, tuple[int, int]]:
    """Goroutines in each place, and the longest wait in minutes, 0 where the profile says none."""
    line_at = first_line(profile, functions_beginning(profile, _RUNTIME))
    frame = first_frame(profile, np.arange(len(profile)), line_at >= 0)
    line = np.where(frame >= 0, line_at[frame], -1) if len(line_at) else frame
    function = np.append(profile.function_of, -1)[line]
    number = np.append(profile.tables[wire.LINES][:, 1], 0)[line]
    state = text_labels(profile, "state")
    heads, group = groups_of(function, number, state)
    counts, waits = np.zeros(len(heads), np.int64), np.zeros(len(heads), np.int64)
    np.add.at(counts, group, profile.values[:, 0])
    np.maximum.at(waits, group, profile.number_label("wait"))
    found: dict[Place, tuple[int, int]] = {}
    for row, head in enumerate(heads.tolist()):
        name, file = profile.function(int(function[head])) if function[head] >= 0 else ("", "")
        key = name, file, int(number[head]), profile.string(int(state[head]))
        before = found.get(key, (0, 0))
        found[key] = before[0] + int(counts[row]), max(before[1], int(waits[row]))
    return found
