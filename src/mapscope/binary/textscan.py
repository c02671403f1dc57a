"""What the machine code of a program says about its data: types of globals, of closures, of maps in frames.

A call of a runtime function for maps names the map's type and, often, where the map comes from. So do allocations whose
result is stored, and method calls on globals. Nothing is guessed: each fact comes from instructions that can only mean
this, and facts that contradict each other are dropped. Without capstone only ``types`` and method calls are found.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.arrays import among, common, unique
from mapscope.binary.disassembler import NO_CAPSTONE, have_capstone
from mapscope.binary.executable import Executable
from mapscope.binary.flow import Event, EventKind, SpecialCallees, Tracer, Value, addresses
from mapscope.binary.machine import decoder
from mapscope.binary.rtype import Kind
from mapscope.binary.textcalls import Callees, Methods
from mapscope.binary.textcode import References, TextCode

_MAX_FUNCTION = 1 << 20
_MAX_TEXT = 1 << 30
_CLOSURE = re.compile(r"\.func\d|-range\d|-fm$|gowrap\d|deferwrap\d")
"""Names that the compiler gives to functions that have a closure object."""
BUDGET = 32 << 20
"""Bytes of code that are decoded unless the caller says otherwise: about five seconds."""
_WINDOW_COST = 256
"""A method call on a global costs about as much as decoding so many bytes of a function."""
_MIN_WINDOWS = 1 << 22
_TELL_EVERY = 64


class TextFacts(Struct, frozen=True):
    """Facts from the text, at the static addresses of the executable.

    ``global_maps``: (address of the word that holds the map, map type).

    ``global_types``: (address, type T, what). ``what`` is ``"pointer"``: the word there points to a T; ``"slice"``: it
    points to an array of T; ``"chan"``: it holds a channel, T is the channel's type; ``"value"``: a T lies there.

    ``pointer_maps``: (global, offset, map type): the global holds a pointer to something whose word at the offset holds
    the map.

    ``closures``: (function entry, struct type of its closure objects). ``capture_maps``: (function entry, offset in the
    closure object, map type); ``capture_boxes`` likewise, but the word there points to the variable that holds the map.

    ``frame_maps``: (function entry, offset from sp at the function's calls, map type), for decoded functions. A slot
    can be dead, or serve another variable before and after: check what it holds.

    ``types``: addresses in the types section that the text refers to; some are no types. ``conflicts``: how many places
    were dropped because their facts contradict each other. ``notes``: what could not be done, and why.
    """

    global_maps: tuple[tuple[int, int], ...] = ()
    global_types: tuple[tuple[int, int, str], ...] = ()
    pointer_maps: tuple[tuple[int, int, int], ...] = ()
    closures: tuple[tuple[int, int], ...] = ()
    capture_maps: tuple[tuple[int, int, int], ...] = ()
    capture_boxes: tuple[tuple[int, int, int], ...] = ()
    frame_maps: tuple[tuple[int, int, int], ...] = ()
    types: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    functions_decoded: int = 0
    conflicts: int = 0
    notes: tuple[str, ...] = ()


def scan_text(
    exe: Executable,
    *,
    on_stacks: Iterable[int] = (),
    variables: bool = True,
    budget: int = BUDGET,
    tell: Callable[[int, int], None] | None = None,
) -> TextFacts:
    """The facts that the text of ``exe`` gives; a part of them, with a note, when capstone is not installed.

    ``on_stacks``: entries (static) of functions that are on stacks; they are decoded for ``frame_maps`` in any case.
    Others only when they call what names a type and touch globals or a closure; without ``variables`` (for who knows
    their types already) only those with closures. ``budget``: bytes of code to decode, the main module's first; a note
    says what was left out. ``tell``: called with the pieces of code that are done, and of how many.
    """
    module, table = exe.module, exe.functions
    data = exe.image.view(module.text, min(module.etext - module.text, _MAX_TEXT))
    if data is None:
        return TextFacts(notes=("the text is not in the executable",))
    code = TextCode(data, module.text, exe.arch)
    calls = code.calls()
    made = code.addresses(module.types, module.etypes)
    candidates = unique(made.target)
    low, high = min(module.noptrdata, module.data), module.end
    collected = _Collected()
    methods = None
    if variables:
        methods = Methods(table, exe.types_in_file, exe.types_in_file.all_types(candidates.tolist()), calls)
        for address, of, what in methods.called_on(code, calls, low, high):
            collected.globals[address, what].add(of)
    notes: tuple[str, ...] = (NO_CAPSTONE,)
    decoded = 0
    if have_capstone():
        notes = ()
        scan = _Scan(exe, code, calls, made, collected, methods)
        decoded = scan.run(set(on_stacks), budget, tell)
        if scan.left_out:
            notes = (f"{scan.left_out} functions and method calls were not decoded: more than {budget >> 20} MB",)
    return collected.facts(candidates, decoded, notes)


class _Collected:
    """Facts by the place that they are about. A place with two different types says nothing."""

    def __init__(self) -> None:
        self.maps: dict[int, set[int]] = defaultdict(set)
        self.globals: dict[tuple[int, str], set[int]] = defaultdict(set)
        self.pointers: dict[tuple[int, int], set[int]] = defaultdict(set)
        self.closures: dict[int, set[int]] = defaultdict(set)
        self.captures: dict[tuple[int, int], set[int]] = defaultdict(set)
        self.boxes: dict[tuple[int, int], set[int]] = defaultdict(set)
        self.frames: dict[tuple[int, int], set[int]] = defaultdict(set)

    def facts(self, types: npt.NDArray[np.uint64], decoded: int, notes: tuple[str, ...]) -> TextFacts:
        every = (self.maps, self.globals, self.pointers, self.closures, self.captures, self.boxes, self.frames)
        return TextFacts(
            global_maps=tuple((place, of) for place, of in _sure(self.maps)),
            global_types=tuple((place, of, what) for (place, what), of in _sure(self.globals)),
            pointer_maps=tuple((*place, of) for place, of in _sure(self.pointers)),
            closures=tuple((place, of) for place, of in _sure(self.closures)),
            capture_maps=tuple((*place, of) for place, of in _sure(self.captures)),
            capture_boxes=tuple((*place, of) for place, of in _sure(self.boxes)),
            frame_maps=tuple((*place, of) for place, of in _sure(self.frames)),
            types=types,
            functions_decoded=decoded,
            conflicts=sum(len(of) > 1 for facts in every for of in facts.values()),
            notes=notes,
        )


_Place = TypeVar("_Place", int, tuple[int, int], tuple[int, str])


def _sure(facts: dict[_Place, set[int]]) -> list[tuple[_Place, int]]:
    return sorted((place, next(iter(of))) for place, of in facts.items() if len(of) == 1)


_One = TypeVar("_One")


def _counting(total: int, tell: Callable[[int, int], None] | None) -> Callable[[Iterable[_One]], Iterator[_One]]:
    """What goes through the pieces and tells how many of ``total`` are done."""
    done = 0

    def through(pieces: Iterable[_One]) -> Iterator[_One]:
        nonlocal done
        for piece in pieces:
            if tell is not None and done % _TELL_EVERY == 0:
                tell(done, total)
            yield piece
            done += 1

    return through


class _Scan:
    """Decodes the functions in which a runtime function with a type is called, and collects what they say."""

    def __init__(
        self,
        exe: Executable,
        code: TextCode,
        calls: References,
        made: References,
        collected: _Collected,
        methods: Methods | None,
    ) -> None:
        """``methods``: None where only closures are asked for."""
        self.code, self.calls, self.made, self.out, self.methods = code, calls, made, collected, methods
        self.table = exe.functions
        self.types = exe.types_in_file
        self.low, self.high = min(exe.module.noptrdata, exe.module.data), exe.module.end
        self.types_low, self.types_high = exe.module.types, exe.module.etypes
        self.callees = Callees.of(self.table, exe.series)
        self.wanted = addresses(self.callees.wanted())
        self.machine = decoder(exe.arch)
        self.main_path = exe.build_info.main.partition(" ")[0]
        self.left_out = 0
        self.tracer = Tracer(self.machine, SpecialCallees(self.table))
        self.entries = frozenset(self.table.entry.tolist())
        self.kinds: dict[int, Kind | None] = {}

    def run(self, on_stacks: set[int], budget: int, tell: Callable[[int, int], None] | None) -> int:
        """Collect from such functions as far as ``budget`` goes; how many that were."""
        decoded = 0
        functions = self._functions(on_stacks)
        methods = self.methods
        windows = [] if methods is None else methods.windows(self.code, self.calls, self.low, self.high)
        done = _counting(len(functions) + len(windows), tell)
        for index in done(functions):
            entry = int(self.table.entry[index])
            end = min(self.table.end_of(index), entry + _MAX_FUNCTION)
            budget -= end - entry
            if budget < 0:
                self.left_out += 1
                continue
            self._collect(entry, self._trace(index, entry, end, self.wanted))
            decoded += 1
        budget = max(budget, _MIN_WINDOWS)
        for start, end, callee in done(windows):
            index = self.table.find(start)
            budget -= _WINDOW_COST
            if budget < 0:
                self.left_out += 1
            elif methods is not None and index >= 0 and self.table.end_of(index) >= end:
                self._method(methods, self._trace(index, start, end, addresses((callee,))), end)
        return decoded

    def _trace(self, index: int, start: int, end: int, wanted: npt.NDArray[np.int64]) -> list[Event]:
        data = self.code.data[start - self.code.start : end - self.code.start].tobytes()
        depths = self.table.pcvalues(int(self.table.pcsp[index]))
        return self.tracer.trace(self.machine.operations(data, start), depths, int(self.table.entry[index]), wanted)

    def _method(self, methods: Methods, events: list[Event], end: int) -> None:
        """What the last call of a window is on: a global's address, or the pointer in a global."""
        last = events[-1] if events else None
        if last is None or last.kind is not EventKind.CALL or not end - 8 < last.address < end:
            return
        value = last.values[0]
        if value is None or value[0] not in ("address", "load") or not self.low <= _number(value) < self.high:
            return
        of = methods.receiver.get(last.target, 0)
        if not of and (dictionary := self._constant(last, 1)):
            of = methods.instance(last.target, dictionary, self.types_low, self.types_high)
        if of:
            self.out.globals[_number(value), "value" if value[0] == "address" else "pointer"].add(of)

    def _functions(self, on_stacks: set[int]) -> list[int]:
        """Functions to decode: those on stacks, then the main module's, then the others."""
        callees, table = self.callees, self.table
        maps = self._callers({*callees.maps, *callees.makes})
        names = table.names()
        inner = np.array([index for index in maps.tolist() if index >= 0 and _CLOSURE.search(names[index])], np.int64)
        stacks = table.find_many(np.array(sorted(on_stacks), np.uint64))
        chosen = [common(maps, np.concatenate([inner, stacks])), self._closure_makers()]
        if self.methods is not None:
            stores = table.find_many(self.code.stores(self.low, self.high).site)
            addresses = table.find_many(self.code.addresses(self.low, self.high).site)
            loads = table.find_many(self.code.loads(self.low, self.high).site)
            chosen += [
                common(maps, np.concatenate([stores, addresses, loads])),
                common(self._callers({*callees.allocations}), stores),
                common(self._callers(callees.typed), addresses),
            ]
        found = unique(np.concatenate(chosen))
        own = ("main.", self.main_path + ".", self.main_path + "/") if self.main_path else ("main.",)
        waiting = set(stacks.tolist())

        def urgency(index: int) -> tuple[bool, bool, int]:
            return index not in waiting, not names[index].startswith(own), index

        return sorted(found[found >= 0].tolist(), key=urgency)

    def _callers(self, entries: set[int]) -> npt.NDArray[np.int64]:
        sites = self.calls.site[among(self.calls.target, np.array(sorted(entries), np.uint64))]
        return unique(self.table.find_many(sites))

    def _closure_makers(self) -> npt.NDArray[np.int64]:
        """Functions that allocate and refer to the type of a closure object."""
        wanted = [address for address in unique(self.made.target).tolist() if self._is_closure(address)]
        sites = self.made.site[among(self.made.target, np.array(wanted, np.uint64))]
        return common(self._callers({*self.callees.allocations}), self.table.find_many(sites))

    def _is_closure(self, address: int) -> bool:
        """A struct whose first field is ``F`` or ``.F``, a uintptr (cmd/compile/internal/typecheck ClosureType)."""
        rtype = self.types.at(address)
        if rtype is None or rtype.kind is not Kind.STRUCT or rtype.named or not rtype.fields:
            return False
        return rtype.fields[0].name in ("F", ".F")

    def _constant(self, event: Event, argument: int) -> int:
        value = event.values[argument] if argument < len(event.values) else None
        return _number(value) if value is not None and value[0] == "address" else 0

    def _map_type(self, event: Event, argument: int) -> int:
        address = self._constant(event, argument)
        return address if address and self._kind(address) is Kind.MAP else 0

    def _kind(self, address: int) -> Kind | None:
        if address not in self.kinds:
            rtype = self.types.at(address)
            self.kinds[address] = None if rtype is None else rtype.kind
        return self.kinds[address]

    def _collect(self, entry: int, events: list[Event]) -> None:
        maps: dict[Value, set[int]] = defaultdict(set)
        results: dict[int, tuple[int, str]] = {}
        stores: list[tuple[int, Value]] = []
        for event in events:
            if event.kind is EventKind.CALL:
                self._call(entry, event, maps, results)
            elif event.kind is EventKind.STORE_GLOBAL and self.low <= event.target < self.high:
                value = event.values[0]
                if value is not None and value[0] == "call":
                    stores.append((event.target, value))
            elif event.kind is EventKind.STORE and event.target == 0:
                self._closure(event, results)
        for value, of in maps.items():
            if len(of) == 1:
                self._place(entry, value, next(iter(of)))
        for address, value in stores:
            if len(maps.get(value, ())) == 1:
                self.out.maps[address].update(maps[value])
            elif (site := _number(value)) in results:
                kind, what = results[site]
                self.out.globals[address, what].add(kind)

    def _call(self, entry: int, event: Event, maps: dict[Value, set[int]], results: dict[int, tuple[int, str]]) -> None:
        callees, target = self.callees, event.target
        arguments = callees.maps.get(target)
        if arguments is not None:
            of = self._map_type(event, arguments[0])
            value = event.values[arguments[1]]
            if of and value is not None and value[0] != "address":
                maps[value].add(of)
                for key, held in event.slots.items():
                    if held == value and key + event.depth >= 0:
                        self.out.frames[entry, key + event.depth].add(of)
        elif target in callees.makes:
            of = self._map_type(event, 0)
            if of:
                maps["call", event.address, target, event.values[0]].add(of)
        elif target in callees.typed:
            place = self._constant(event, 1)
            if self.low <= place < self.high and self._kind(self._constant(event, 0)) is not None:
                self.out.globals[place, "value"].add(self._constant(event, 0))
        elif target in callees.allocations:
            argument, what = callees.allocations[target]
            of = self._constant(event, argument)
            if of and self._kind(of) is not None:
                results[event.address] = of, what

    def _closure(self, event: Event, results: dict[int, tuple[int, str]]) -> None:
        """newobject(closure struct), then the code's address is stored in its first word."""
        base, value = event.values
        if base is None or value is None or base[0] != "call" or value[0] != "address":
            return
        of, _ = results.get(_number(base), (0, ""))
        if of and _number(value) in self.entries and self._is_closure(of):
            self.out.closures[_number(value)].add(of)

    def _place(self, entry: int, value: Value, of: int) -> None:
        """Record where the map that ``value`` names is found at run time."""
        if value[0] == "load" and self.low <= _number(value) < self.high:
            self.out.maps[_number(value)].add(of)
        elif value[0] == "field" and isinstance(value[1], tuple):
            base, offset = value[1], int(str(value[2]))
            if base[0] == "context":
                self.out.captures[entry, offset].add(of)
            elif base[0] == "load" and self.low <= _number(base) < self.high:
                self.out.pointers[_number(base), offset].add(of)
            elif base[0] == "field" and base[1] == ("context",) and offset == 0:
                self.out.boxes[entry, int(str(base[2]))].add(of)


def _number(value: Value) -> int:
    """The address in a value: the constant, the global, or the site of the call."""
    return value[1] if isinstance(value[1], int) else 0
