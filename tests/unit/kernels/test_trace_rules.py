"""The walk that marks and spreads types, rule by rule, on heaps of a few objects."""

from __future__ import annotations

import numpy as np
import pytest

from mapscope.goruntime.typerecord import Op, descriptor
from mapscope.heap.trace import COVER_ELEM, COVER_FILL, COVER_HEADER, TraceState
from tests.unit.kernels.heaps import (
    ARENA,
    MARKED,
    SIDES,
    STATIC,
    SpanPlan,
    make_world,
)
from tests.unit.kernels.walks import (
    ITABS,
    SCALAR,
    TEXT,
    TYPES,
    WORDS6,
    A,
    B,
    C,
    D,
    cover_at,
    kind_at,
    make_types,
    no_regions,
    run,
    tiny,
)


@pytest.mark.parametrize("side", SIDES)
class TestRules:
    def test_a_pointer_gives_its_type_to_the_target(self, side):
        types = make_types([[descriptor(Op.PTR, 1)], [0, descriptor(Op.PTR, 0)]])
        world, state = tiny(side, [WORDS6], {B + 8: C}, types, typed=[(STATIC, 1, 1)])
        assert not (state.flags & MARKED).any(), "nil leads nowhere"
        world, state = tiny(side, [WORDS6], {B + 8: C}, types, typed=[(STATIC, 1, 0)], static={STATIC: B})
        assert kind_at(world, state, B) == 1
        assert kind_at(world, state, C) == 0
        assert cover_at(world, state, B) == COVER_ELEM

    def test_an_inner_pointer_marks_but_gives_no_type(self, side):
        types = make_types([[descriptor(Op.PTR, 0)]])
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 1, 0)], static={STATIC: B + 8})
        assert kind_at(world, state, B) == -1

    def test_a_slice_gives_its_type_from_any_element(self, side):
        types = make_types([[descriptor(Op.FILL, 1)], [descriptor(Op.PTR, 0), 0]])
        for inner, kind in ((0, 1), (16, 1), (32, 1), (8, -1), (17, -1)):
            world, state = tiny(side, [WORDS6], {B + 32: D}, types, typed=[(STATIC, 1, 0)], static={STATIC: B + inner})
            assert kind_at(world, state, B) == kind
            assert kind_at(world, state, D) == (0 if kind == 1 else -1), (
                "the third element's word is a pointer like the first's"
            )

    def test_behind_the_malloc_header_lies_word_zero(self, side):
        plan = SpanPlan(1024, 1, header=True)
        types = make_types([[descriptor(Op.PTR, 1)], [0, descriptor(Op.PTR, 0)]])
        world, state = tiny(
            side, [plan], {ARENA + 16: ARENA + 2048 + 8}, types, typed=[(STATIC, 1, 0)], static={STATIC: ARENA + 8}
        )
        assert kind_at(world, state, ARENA) == 1
        assert kind_at(world, state, ARENA + 2048) == 0

    def test_a_struct_wins_over_its_first_field(self, side):
        small, large = [descriptor(Op.NONE, 0)], [descriptor(Op.PTR, 0), descriptor(Op.PTR, 0)]
        types = make_types([small, large, [descriptor(Op.PTR, 0), descriptor(Op.PTR, 1)]])
        for static in ({STATIC: B, STATIC + 8: B}, {STATIC: 0, STATIC + 8: B}):
            world, state = tiny(side, [WORDS6], {B + 8: C}, types, typed=[(STATIC, 2, 2)], static=static)
            assert kind_at(world, state, B) == 1
            assert kind_at(world, state, C) == 0
        types = make_types([small, large, [descriptor(Op.PTR, 1), descriptor(Op.PTR, 0)]])
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 2, 2)], static={STATIC: B, STATIC + 8: B})
        assert kind_at(world, state, B) == 1, "and the order does not matter"

    def test_the_runtime_is_believed_but_for_a_pseudo_type(self, side):
        types = make_types(
            [[0], [0, 0], [0, 0, 0], [descriptor(Op.PTR, 1), descriptor(Op.PTR, 2)]], pseudo=[0, 0, 1, 0]
        )
        first = {STATIC: B}
        world, state = tiny(
            side, [WORDS6], {}, types, typed=[(STATIC, 2, 3)], static=first, start={B: (0, COVER_HEADER)}
        )
        assert (kind_at(world, state, B), cover_at(world, state, B)) == (0, COVER_HEADER)
        both = {STATIC: B, STATIC + 8: B}
        world, state = tiny(
            side, [WORDS6], {}, types, typed=[(STATIC, 2, 3)], static=both, start={B: (0, COVER_HEADER)}
        )
        assert (kind_at(world, state, B), cover_at(world, state, B)) == (2, COVER_ELEM)

    def test_a_pseudo_type_stays(self, side):
        types = make_types([[0], [0, 0, 0, 0], [descriptor(Op.PTR, 0), descriptor(Op.FILL, 1)]], pseudo=[1, 0, 0])
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 2, 2)], static={STATIC: B, STATIC + 8: B})
        assert kind_at(world, state, B) == 0

    def test_a_type_gets_better_six_times_at_most(self, side):
        words = [[0] * (k + 1) for k in range(9)]
        types = make_types([*words, [descriptor(Op.PTR, k) for k in range(9)]])
        static = {STATIC + 8 * k: B for k in range(9)}
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 9, 9)], static=static)
        assert kind_at(world, state, B) == 5

    def test_a_type_without_words_says_nothing_of_its_object(self, side):
        # the descriptors of the next type must not be taken for its own
        types = make_types([[descriptor(Op.PTR, 1)], [], [descriptor(Op.PTR, 0)] * 6])
        world, state = tiny(side, [WORDS6], {B: C}, types, typed=[(STATIC, 1, 0)], static={STATIC: B})
        assert kind_at(world, state, B) == 1
        assert kind_at(world, state, C) == -1
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 1, 1)], static={STATIC: B})
        assert not (state.flags & MARKED).any()

    def test_words_behind_one_value_have_no_meaning(self, side):
        types = make_types([[descriptor(Op.PTR, 1)], [descriptor(Op.PTR, 0), 0]])
        world, state = tiny(side, [WORDS6], {B: C, B + 16: D}, types, typed=[(STATIC, 1, 0)], static={STATIC: B})
        assert kind_at(world, state, C) == 0
        assert kind_at(world, state, D) == -1

    def test_interfaces_name_their_type(self, side):
        types = make_types(
            [[0, descriptor(Op.EFACE), 0, descriptor(Op.IFACE)], [0]],
            keys={TYPES: 1, ITABS: 1},
            iface=[0, descriptor(Op.PTR, 1)],
        )
        contents = {A: TYPES | SCALAR, A + 8: B, A + 16: ITABS | SCALAR, A + 24: C}
        world, state = tiny(side, [WORDS6], contents, types, start={A: (0, COVER_ELEM)}, roots=[A])
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (1, 1)

    def test_an_untyped_pair_is_an_interface_when_its_first_word_is_a_type(self, side):
        types = make_types([[0]], keys={TYPES: 0})
        world, state = tiny(side, [WORDS6], {A: TYPES | SCALAR, A + 8: B, A + 16: C}, types, roots=[A])
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (0, -1)

    def test_an_unknown_type_is_handed_to_the_caller(self, side):
        types = make_types([[0]], keys={TYPES: -2})
        contents = {A: TYPES + 64 | SCALAR, A + 8: B, B: TYPES | SCALAR, B + 8: C}
        world, state = tiny(side, [WORDS6], contents, types, roots=[A, B])
        assert state.pending[: 2 * state.npending].tolist() == [TYPES + 64, B], "and what is no type is not asked twice"
        assert kind_at(world, state, C) == -1

    def test_a_closure_is_known_by_its_entry(self, side):
        types = make_types([[0, descriptor(Op.PTR, 1)], [0], [descriptor(Op.FUNC)]], keys={TEXT: 0})
        contents = {B: TEXT | SCALAR, B + 8: C}
        world, state = tiny(side, [WORDS6], contents, types, typed=[(STATIC, 1, 2)], static={STATIC: B})
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (0, 1)
        world, state = tiny(side, [WORDS6], contents, types, roots=[B])
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (0, 1), "also where no type leads to it"

    def test_a_swiss_directory_is_told_from_a_group(self, side):
        types = make_types([[0, 0, descriptor(Op.SWISSDIR, 1), 0], [0], [descriptor(Op.PTR, 3)], [0]])
        for length, kind in ((0, 1), (4, 2)):
            contents = {A + 16: B, A + 24: length | SCALAR, B + 16: C}
            world, state = tiny(side, [WORDS6], contents, types, start={A: (0, COVER_ELEM)}, roots=[A])
            assert kind_at(world, state, B) == kind
            assert cover_at(world, state, B) == (COVER_FILL if length else COVER_ELEM)
            assert kind_at(world, state, C) == (3 if length else -1), "any entry of a directory is a table"

    def test_a_trie_node_says_what_it_is(self, side):
        types = make_types([[descriptor(Op.TRIENODE, 1)], [0], [0, 0]])
        for first, kind in ((1, 1), (0, 2)):
            world, state = tiny(side, [WORDS6], {B: first | SCALAR}, types, typed=[(STATIC, 1, 0)], static={STATIC: B})
            assert kind_at(world, state, B) == kind

    def test_typed_static_data_is_followed_once(self, side):
        first = [descriptor(Op.PTR, 1), descriptor(Op.FILL, 2), descriptor(Op.PTR, 2)]
        types = make_types([first, [0, descriptor(Op.PTR, 3)], [descriptor(Op.PTR, 1)], [0]])
        static = {STATIC: STATIC + 64, STATIC + 8: STATIC + 128, STATIC + 16: STATIC + 64}
        static.update({STATIC + 72: B, STATIC + 128: C, STATIC + 136: D})
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 3, 0)], static=static)
        found = {(int(state.loose[k]), int(state.loose_type[k])) for k in np.flatnonzero(state.loose)}
        assert found == {(STATIC + 64, 1), (STATIC + 128, 2)}, "the first type of an address"
        assert (state.nloose, state.nloose_stack) == (2, 0)
        assert kind_at(world, state, B) == 3
        assert kind_at(world, state, C) == 1
        assert not state.flags[world.slot_at(D).oid] & MARKED, "an array of static data has one known element"

    def test_a_typed_value_inside_an_untyped_slot_is_followed(self, side):
        types = make_types([[descriptor(Op.PTR, 1)], [0, descriptor(Op.PTR, 2)], [0]])
        world, state = tiny(side, [WORDS6], {B + 24: C}, types, typed=[(STATIC, 1, 0)], static={STATIC: B + 16})
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (-1, 2)

    def test_a_wrong_type_inside_a_slot_marks_nothing_more(self, side):
        types = make_types([[descriptor(Op.PTR, 1)], [descriptor(Op.PTR, 2)] * 4, [0]])
        contents = {B + 32: C | SCALAR, B + 40: 0, C: D}
        world, state = tiny(side, [WORDS6], contents, types, typed=[(STATIC, 1, 0)], static={STATIC: B + 32})
        assert kind_at(world, state, B) == -1
        assert int((state.flags & MARKED != 0).sum()) == 1, "neither a scalar nor the next slot's words keep anything"

    def test_free_slots_are_counted_not_marked(self, side):
        world = make_world([WORDS6], {})
        state = TraceState.fresh(np.zeros(world.index.nobjects, dtype=np.uint8), world.index)
        pairs = np.array([(0, A), (0, B + 3)], dtype=np.uint64)
        run(side, world, state, make_types([[0]]), no_regions(), np.zeros(0, dtype=np.uint8), pairs)
        assert (state.dangling, int(state.flags.sum())) == (2, 0)

    def test_a_heap_without_spans_is_no_heap(self, side):
        world = make_world([], {})
        state = TraceState.fresh(np.zeros(0, dtype=np.uint8), world.index)
        pairs = np.array([(0, A)], dtype=np.uint64)
        run(side, world, state, make_types([[0]]), no_regions(), np.zeros(0, dtype=np.uint8), pairs)
        assert state.dangling == 0
