"""The light dataflow on hand-written operations: what it must know, and above all what it must forget."""

from __future__ import annotations

import numpy as np
import pytest

from mapscope.binary.disassembler import Disassembler
from mapscope.binary.flow import Event, EventKind, SpecialCallees, Tracer, addresses
from mapscope.binary.machine import Code, Machine, Op
from tests.unit.kernels.heaps import SIDES, kernel

A, B, C, D, CONTEXT, SCRATCH = range(6)
MACHINE = Machine(
    *("toy", (A, B, C), CONTEXT, 6, SCRATCH, (C,), {}),
    operations=lambda code, address: np.zeros((0, 6), np.int64),
    disassembler=Disassembler(lambda code, address: iter(())),
)
ENTRY, USE, BARRIER, DUFF = 100, 5000, 6000, 7000
DEPTHS = ([4, 10_000], [0, 64])
"""The frame is set up after four bytes, 64 bytes deep."""


@pytest.fixture(autouse=True, params=SIDES)
def side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test with the compiled kernel and with the plain one."""
    kernel(request.param, "flow")
    if request.param == "reference":
        monkeypatch.setenv("MAPSCOPE_REFERENCE", "1")


class Table:
    """Names two special functions."""

    def indices_of(self, name: str) -> list[int]:
        return {"runtime.gcWriteBarrier2": [0], "runtime.duffcopy": [1]}.get(name, [])

    @property
    def entry(self) -> list[int]:
        return [BARRIER, DUFF]

    def end_of(self, index: int) -> int:
        return self.entry[index] + 100


def run(
    *parts: tuple[object, ...], start: int = ENTRY, wanted: set[int] | None = None, every: bool = False
) -> list[Event]:
    """Events of the operations, one instruction of two bytes each, after two that only set up the frame."""
    ops = [Op(start, start + 2, Code.OTHER), Op(start + 2, start + 4, Code.OTHER)]
    for code, *rest in parts:
        at = ops[-1].end
        ops.append(Op(at, at + 2, code, *rest))  # type: ignore[arg-type]
    tracer = Tracer(MACHINE, SpecialCallees(Table()))  # type: ignore[arg-type]
    callees = addresses({USE} if wanted is None else wanted)
    return tracer.trace(np.array(ops, np.int64), DEPTHS, ENTRY, None if every else callees)


def at(index: int) -> int:
    """Address of the operation of this index."""
    return ENTRY + 4 + 2 * index


def only(events: list[Event]) -> Event:
    (event,) = [event for event in events if event.kind is EventKind.CALL]
    return event


def test_constants_loads_and_arguments_reach_a_call() -> None:
    call = only(
        run((Code.MOVE, D, B), (Code.ADDRESS, A, 900), (Code.LOAD_GLOBAL, B, 800), (Code.MOVE, C, D), (Code.CALL, USE))
    )
    assert call.values == (("address", 900), ("load", 800), ("argument", 1))
    assert (call.target, call.address, call.depth) == (USE, at(4), 64)


def test_a_piece_that_starts_inside_knows_no_arguments() -> None:
    assert only(run((Code.CALL, USE), start=ENTRY + 20)).values == (None, None, None)


def test_calls_forget_registers_but_for_the_result() -> None:
    events = run((Code.ADDRESS, A, 900), (Code.CALL, USE), (Code.MOVE, B, A), (Code.CALL, USE))
    assert events[1].values == (("call", at(1), USE, ("address", 900)),) * 2 + (None,)


def test_write_barriers_keep_registers_and_duff_changes_its_own() -> None:
    kept = only(run((Code.ADDRESS, A, 900), (Code.ADDRESS, SCRATCH, 1), (Code.CALL, BARRIER), (Code.CALL, USE)))
    assert kept.values[0] == ("address", 900)
    duff = only(run((Code.ADDRESS, A, 900), (Code.ADDRESS, C, 1), (Code.CALL, DUFF + 40), (Code.CALL, USE)))
    assert duff.values == (("address", 900), ("argument", 1), None)


def test_words_of_the_closure_and_of_what_they_point_to() -> None:
    call = only(run((Code.LOAD, A, CONTEXT, 8), (Code.LOAD, B, A, 0), (Code.CALL, USE)))
    field = ("field", ("context",), 8)
    assert call.values[:2] == (field, ("field", field, 0))


def test_depth_of_fields_is_bounded() -> None:
    steps = [(Code.LOAD, A, CONTEXT, 8), *[(Code.LOAD, A, A, 8)] * 30, (Code.CALL, USE)]
    assert only(run(*steps)).values[0] is None


def test_slots_survive_calls_and_are_reported() -> None:
    call = run(
        (Code.STORE_STACK, 16, A, 8), (Code.CALL, USE), (Code.LOAD_STACK, B, 16), (Code.CALL, USE), wanted={USE}
    )[1]
    assert call.values[1] == ("argument", 0)
    assert call.slots == {16 - 64: ("argument", 0)}


@pytest.mark.parametrize("width", [1, 4, 8, 16])
@pytest.mark.parametrize("place", [8, 15, 16, 20])
def test_overlapping_writes_kill_a_slot(place: int, width: int) -> None:
    ops = [(Code.STORE_STACK, 16, A, 8), (Code.STORE_STACK, place, -1, width), (Code.LOAD_STACK, B, 16)]
    overlaps = place < 24 and place + width > 16
    assert only(run(*ops, (Code.CALL, USE))).values[1] == (None if overlaps else ("argument", 0))


def test_where_ways_meet_only_agreement_stays() -> None:
    parts = [
        (Code.ADDRESS, A, 900),  # 0
        (Code.ADDRESS, B, 1),  # 1
        (Code.BRANCH, at(4)),  # 2: skips the next
        (Code.ADDRESS, B, 2),  # 3
        (Code.CALL, USE),  # 4
    ]
    assert only(run(*parts)).values[:2] == (("address", 900), None)
    parts[3] = (Code.ADDRESS, B, 1)
    assert only(run(*parts)).values[:2] == (("address", 900), ("address", 1))


def test_after_a_jump_only_the_arriving_state_counts() -> None:
    parts = [
        (Code.ADDRESS, A, 900),
        (Code.BRANCH, at(4)),
        (Code.ADDRESS, A, 7),
        (Code.JUMP, at(6)),
        (Code.CALL, USE),  # 4: from 1 only
        (Code.STOP,),
        (Code.CALL, USE),  # 6: from 3 only
    ]
    assert [event.values[0] for event in run(*parts)] == [("address", 900), ("address", 7)]


def test_code_that_only_a_table_reaches_knows_nothing() -> None:
    call = only(run((Code.ADDRESS, A, 900), (Code.STORE_STACK, 16, A, 8), (Code.JUMP, 0), (Code.CALL, USE)))
    assert call.values[0] is None


def test_heads_of_loops_forget_registers_and_slots_that_change() -> None:
    parts = [
        (Code.STORE_STACK, 16, A, 8),  # 0: written once in the function
        (Code.STORE_STACK, 24, A, 8),  # 1: written again below
        (Code.LOAD_STACK, B, 16),  # 2: head of the loop
        (Code.LOAD_STACK, C, 24),
        (Code.CALL, USE),
        (Code.STORE_STACK, 24, A, 8),
        (Code.BRANCH, at(2)),
    ]
    assert only(run(*parts)).values == (None, ("argument", 0), None)


def test_the_way_back_to_the_entry_is_no_loop() -> None:
    """It comes from runtime.morestack, which keeps the arguments."""
    call = only(run((Code.CALL, USE), (Code.STOP,), (Code.JUMP, ENTRY)))
    assert call.values[0] == ("argument", 0)


def test_slots_whose_address_is_taken_are_not_believed_for_ever() -> None:
    parts = [
        (Code.STORE_STACK, 16, A, 8),
        (Code.STACK_ADDRESS, B, 16),
        (Code.CALL, 1234),
        (Code.LOAD_STACK, B, 16),
        (Code.CALL, USE),
    ]
    assert only(run(*parts)).values[1] is None


def test_stores_name_place_and_value() -> None:
    events = run(
        (Code.CALL, 1234),
        (Code.STORE_GLOBAL, 800, A),
        (Code.ADDRESS, B, 640),
        (Code.STORE, B, 8, A),
        (Code.STORE, A, 0, B),
        (Code.STORE_GLOBAL, 800, -1),
    )
    result = ("call", at(0), 1234, None)
    assert [(event.kind, event.target, event.values) for event in events] == [
        (EventKind.STORE_GLOBAL, 800, (result,)),
        (EventKind.STORE_GLOBAL, 648, (result,)),
        (EventKind.STORE, 0, (result, ("address", 640))),
        (EventKind.STORE_GLOBAL, 800, (None,)),
    ]


def test_single_functions_tell_all() -> None:
    events = run(
        (Code.ADDRESS, A, 900),
        (Code.ADD, B, A, 8),
        (Code.LOAD, C, B, 4),
        (Code.LOAD_GLOBAL, D, 800),
        (Code.COMPARE_GLOBAL, 700),
        (Code.EXCHANGE_GLOBAL, 600, A),
        (Code.EXCHANGE, A, B),
        (Code.EXCHANGE, C, B),
        (Code.CALL, 1234),
        every=True,
    )
    assert [(event.kind, event.target) for event in events] == [
        (EventKind.ADDRESS, 900),
        (EventKind.ADDRESS, 908),
        (EventKind.LOAD_GLOBAL, 912),
        (EventKind.LOAD_GLOBAL, 800),
        (EventKind.COMPARE_GLOBAL, 700),
        (EventKind.EXCHANGE_GLOBAL, 600),
        (EventKind.EXCHANGE_GLOBAL, 900),
        (EventKind.CALL, 1234),
    ]


def test_slots_that_hold_no_argument_are_not_reported() -> None:
    call = only(
        run((Code.STORE_STACK, 16, A, 8), (Code.STORE_STACK, 24, B, 8), (Code.ADDRESS, A, 900), (Code.CALL, USE))
    )
    assert call.slots == {24 - 64: ("argument", 1)}


@pytest.mark.parametrize("too_many", [False, True])
def test_a_place_whose_state_was_not_kept_knows_nothing(too_many: bool) -> None:
    """More jumps ahead are open than states are kept: what comes from the one too many could be anything."""
    count = 4097
    labels = [at(count + 1), *(at(count + 3 + k) for k in range(1, count))]
    branches = [(Code.BRANCH, label) for label in (reversed(labels) if too_many else labels)]
    ops = [(Code.ADDRESS, D, 7), *branches, (Code.MOVE, A, D), (Code.CALL, USE), *[(Code.OTHER,)] * (count + 2)]
    assert only(run(*ops)).values[0] == (None if too_many else ("address", 7))


def test_the_lowest_slots_are_followed_when_there_are_too_many() -> None:
    stores = [(Code.STORE_STACK, 8 * k, A, 8) for k in range(4097)]
    low, high = (run(*stores, (Code.LOAD_STACK, B, 8 * k), (Code.CALL, USE)) for k in (4095, 4096))
    assert only(low).values[1] == ("argument", 0)
    assert only(high).values[1] is None


def test_addresses_of_the_upper_half_are_addresses() -> None:
    high = 0xFFFFFFFF80000000
    ops = [[high - (1 << 64), high - (1 << 64) + 5, Code.CALL, high + 64 - (1 << 64), 0, 0]]
    found = Tracer(MACHINE, SpecialCallees(Table())).trace(np.array(ops), ([], []), high, addresses([high + 64]))  # type: ignore[arg-type]
    assert found[0].values == (("argument", 0), ("argument", 1), ("argument", 2))
