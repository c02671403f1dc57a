"""Steps as JSON, made all at once, against each of them alone."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.heap.steps import Step, StepTable
from mapscope.report import rows
from mapscope.report.escape import DOCUMENT_LIMIT
from mapscope.report.holding import step_row

TEXT = (
    st.none() | st.text(max_size=8) | st.sampled_from(['"address":0,', "\n", "\x7f", "\udc80", "é€😀", "\u2028", "a\\"])
)
LONG = st.builds(lambda text, count: (text * count)[:count], st.sampled_from(["x", "é", "\udc80"]), st.integers(1, 3))
LONG = LONG.map(lambda text: text * DOCUMENT_LIMIT)
STEPS = st.builds(
    Step,
    kind=st.sampled_from(["global", "goroutine", "object", "skipped"]),
    address=st.sampled_from([0, 1, 0xC000012345, (1 << 64) - 1]),
    type=TEXT | LONG,
    field=TEXT,
    name=TEXT,
    goroutine=st.none() | st.integers(0, 1 << 62),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=6))
def test_steps_are_those_of_each_alone(steps):
    texts = list(rows._steps(StepTable.of(steps)))
    assert all(text.isascii() and b"\n" not in text and b"\x7f" not in text for text in texts)
    assert [msgspec.json.decode(text) for text in texts] == [msgspec.to_builtins(step_row(step)) for step in steps]
    assert [list(msgspec.json.decode(text)) for text in texts] == [
        list(step_row(step).__struct_fields__) for step in steps
    ]
