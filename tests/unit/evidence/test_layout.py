"""Where segments lie in a core, and how memory is cut into buffers: whole, in order, and between huge pages."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.evidence.copier import CHUNK, _batches
from mapscope.evidence.corewriter import HUGE_PAGE, CoreLayout, Segment
from mapscope.evidence.plan import Plan
from mapscope.evidence.procfs import PAGE, Mapping

LARGE = 2 * HUGE_PAGE
SIZES = st.integers(1, 64) | st.integers(1000, 1100) | st.integers(4000, 12_000)
GAPS = st.integers(0, 700)


@st.composite
def plans(draw: st.DrawFn) -> list[Plan]:
    """Mappings one above the other, each with the ranges of it that are resident; sizes in pages."""
    at, made = draw(st.integers(1, 1 << 20)) * PAGE, []
    for _ in range(draw(st.integers(1, 6))):
        at += draw(GAPS) * PAGE
        start, ranges = at, []
        for _ in range(draw(st.integers(1, 4))):
            size = draw(SIZES) * PAGE
            ranges.append((at, at + size))
            at += size + draw(GAPS) * PAGE
        mapping = Mapping(start, at, "rw-p", 0, "00:00", 0, "")
        made.append(Plan(Segment(mapping, at - start), ranges))
    return made


@settings(max_examples=200, deadline=None)
@given(made=plans(), notes=st.binary(max_size=9000))
def test_large_segments_lie_in_the_file_as_in_huge_pages(made, notes):
    layout = CoreLayout("x86_64", notes, [plan.segment for plan in made])
    end = layout.notes_offset + len(notes)
    for segment in layout.segments:
        assert segment.offset >= end
        assert segment.offset % PAGE == 0
        if segment.file_bytes >= LARGE:
            assert (segment.offset - segment.mapping.start) % HUGE_PAGE == 0
            assert segment.offset - end < HUGE_PAGE + PAGE, "the hole before it is no longer than it must be"
        else:
            assert segment.offset - end < PAGE
        end = segment.offset + segment.file_bytes
    assert layout.size == end


@settings(max_examples=200, deadline=None)
@given(made=plans())
def test_what_is_cut_is_cut_between_huge_pages(made):
    batches = list(_batches(made))
    for batch in batches:
        assert 0 < batch.size <= CHUNK
        assert batch.size == sum(size for _, _, size in batch.pieces)
        assert all(size > 0 for _, _, size in batch.pieces)
    pieces = [(id(segment), start, start + size) for batch in batches for segment, start, size in batch.pieces]
    ranges = [(id(plan.segment), start, end) for plan in made for start, end in plan.ranges]
    assert joined(pieces) == joined(ranges), "all of it, in order, nothing twice"
    starts = {start for _, start, _ in ranges}
    for (_, before, cut), (_, after, _) in pairwise(pieces):
        if cut == after and cut not in starts:
            assert cut % HUGE_PAGE == 0 or cut // HUGE_PAGE == before // HUGE_PAGE, "no border lies in the piece"
    sizes = [batch.size for batch in batches]
    assert all(a + b > CHUNK - HUGE_PAGE for a, b in pairwise(sizes)), "buffers are used"


def joined(pieces: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(owner, start, end) with those in one that go on where another of the same owner ends."""
    out = pieces[:1]
    for owner, start, end in pieces[1:]:
        if out[-1][0] == owner and out[-1][2] == start:
            out[-1] = (owner, out[-1][1], end)
        else:
            out.append((owner, start, end))
    return out
