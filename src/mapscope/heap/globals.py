"""Typed roots: package-level variables whose type DWARF names or whose use in the code gives it away."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope._kernels import compiled
from mapscope.binary.rtype import Kind
from mapscope.binary.textscan import BUDGET, TextFacts, scan_text
from mapscope.errors import MapscopeError
from mapscope.goruntime.dwarftypes import DwarfTypes, Variable
from mapscope.goruntime.process import Process
from mapscope.goruntime.typerecord import Op, TypeRecord, descriptor
from mapscope.goruntime.typetable import TypeTable
from mapscope.heap.progress import Progress, quiet
from mapscope.heap.saved import SavedHeap

_MAX_MADE = 1 << 16
_BUDGET_OF_REFERENCE = 8 << 20
"""Where there are no compiled kernels, for which code takes several times as long."""
_BUDGET_WITH_DWARF = 1 << 20
"""Bytes of code to decode where DWARF names the variables."""
_OWN_VARIABLE = "runtime.mheap_"
"""Where DWARF names this one, it is that of the Go code, and not of C code alone."""
_ITAB_TABLE_ENTRIES = 1 << 20


class TypedGlobals(Struct):
    """``regions``: rows for the trace kernel, one a variable. ``variables``: with names, where DWARF has them."""

    regions: npt.NDArray[np.int64]
    variables: list[Variable]
    facts: TextFacts | None
    notes: list[str] = field(default_factory=list)


def typed_globals(
    process: Process, types: TypeTable, saved: SavedHeap | None = None, progress: Progress = quiet
) -> TypedGlobals:
    """Everything that makes a root typed. Also tells ``types`` the itabs and the closures' types."""
    notes: list[str] = []
    named = process.dwarf is not None and any(one.name == _OWN_VARIABLE for one in process.dwarf.globals)
    facts = _text_facts(process, named, notes, progress) if saved is None or saved.facts is None else saved.facts
    if facts is not None and not named:
        notes.extend(facts.notes)
    extra = facts.types.tolist() if facts is not None else []
    process.types.adopt(process.executable.types_in_file)
    types.name_index(process.types.all_types(a + process.bias for a in extra).tolist())
    _add_itabs(process, types)
    rows: dict[int, tuple[int, int, int, int, int]] = {}
    if facts is not None:
        _from_code(process, types, facts, rows)
    variables = _from_dwarf(process, types, rows)
    regions = np.array(list(rows.values()), dtype=np.int64).reshape(-1, 5)
    return TypedGlobals(regions, variables, facts, notes)


def _text_facts(process: Process, named: bool, notes: list[str], progress: Progress) -> TextFacts | None:
    """``named``: DWARF names the variables; only closures are still to be learned."""
    whole = BUDGET if compiled() else _BUDGET_OF_REFERENCE
    budget = _BUDGET_WITH_DWARF if named else whole
    try:
        return scan_text(process.executable, variables=not named, budget=budget, tell=partial(progress, "code"))
    except MapscopeError as error:
        notes.append(f"{error}: types of variables and closures come from DWARF and interfaces only")
        return None


def _from_dwarf(process: Process, types: TypeTable, rows: dict[int, tuple[int, int, int, int, int]]) -> list[Variable]:
    """Variables that DWARF names; they replace what the code said about the same address."""
    out = []
    files = [(process.dwarf, process.modules[0], process.bias)]
    files += [(one.dwarf, one.module, one.bias) for one in process.plugins]
    for dwarf, module, bias in files:
        if dwarf is None:
            continue
        reader = DwarfTypes(dwarf, types, types_base=module.types)
        for item in reader.variables(
            [(module.data - bias, module.edata - bias), (module.bss - bias, module.ebss - bias)]
        ):
            address = item.address + bias
            out.append(Variable(item.name, address, item.type_id, item.type_name, item.size))
            if item.type_id >= 0 and item.size >= 8 and address % 8 == 0:
                rows[address] = (address, item.size // 8, item.type_id, -1, 0)
    return out


def _from_code(
    process: Process, types: TypeTable, facts: TextFacts, rows: dict[int, tuple[int, int, int, int, int]]
) -> None:
    """Variables and closures whose type the code gives away (see binary/textscan.py)."""
    bias = process.bias
    parts: dict[int, dict[int, int]] = {}
    for place, offset, map_type in facts.pointer_maps:
        word = _map_word(types, map_type + bias)
        if word:
            parts.setdefault(place + bias, {})[offset] = word
    for place, words in parts.items():
        target = _made_type(types, "", words)
        rows[place] = (place, 1, _pointer_word(types, descriptor(Op.PTR, target)), -1, 0)
    for place, of, what in facts.global_types:
        found = types.intern(of + bias)
        if found is None:
            continue
        address, size = place + bias, types.records[found].size
        if what == "value":
            rows[address] = (address, size // 8, found, -1, 0)
        elif what == "chan":
            rows[address] = (address, 1, found, -1, 0)
        else:
            op = Op.FILL if what == "slice" else Op.PTR
            rows[address] = (address, 1, _pointer_word(types, descriptor(op, found)), -1, 0)
    for place, map_type in facts.global_maps:
        found = types.intern(map_type + bias)
        if found is not None and found in types.map_fields:
            rows[place + bias] = (place + bias, 1, found, -1, 0)
    _closures(types, facts, bias)


def _closures(types: TypeTable, facts: TextFacts, bias: int) -> None:
    """Tells ``types`` what closure objects hold, by the entry of their function."""
    for entry, closure in facts.closures:
        found = types.intern(closure + bias)
        if found is not None:
            types.add_key(entry + bias, found)
    captures: dict[int, dict[int, int]] = {}
    for entry, offset, map_type in facts.capture_maps:
        word = _map_word(types, map_type + bias)
        if word:
            captures.setdefault(entry + bias, {})[offset] = word
    for entry, offset, map_type in facts.capture_boxes:
        word = _map_word(types, map_type + bias)
        if word:
            box = _made_type(types, "", {0: word})
            captures.setdefault(entry + bias, {})[offset] = descriptor(Op.PTR, box)
    for entry, words in captures.items():
        types.add_key(entry, _made_type(types, "closure", words))


def _map_word(types: TypeTable, address: int) -> int:
    """Descriptor of a word that holds a map of the type at ``address``; 0 when that is no map type."""
    found = types.intern(address)
    return types.word_of(found) if found is not None and found in types.map_fields else 0


def _pointer_word(types: TypeTable, word: int) -> int:
    """A type of one word with this descriptor."""
    target = types.records[word >> 8].name
    return _made_type(types, f"*{target}" if target else "", {0: word})


def _made_type(types: TypeTable, name: str, words: dict[int, int]) -> int:
    """A type of which only some words are known: descriptor by byte offset."""
    known = {offset: word for offset, word in words.items() if 0 <= offset < _MAX_MADE and offset % 8 == 0}
    laid = np.zeros(max(known, default=0) // 8 + 1, dtype=np.uint64)
    for offset, word in known.items():
        laid[offset // 8] = word
    type_id = types.add(TypeRecord(name, Kind.STRUCT, 8 * len(laid), 0))
    types.set_words(type_id, laid)
    return type_id


def _add_itabs(process: Process, types: TypeTable) -> None:
    """Every itab that the program has used: the runtime's hash table of them (runtime/iface.go: itabTableType)."""
    memory = process.memory
    itabs: set[int] = set()
    for module in process.modules:
        address, count = module.itablinks
        if address and 0 < count <= _ITAB_TABLE_ENTRIES:
            words = memory.words(address, count)
            itabs.update(words.tolist() if words is not None else ())
    table = memory.word(process.globals.get("runtime.itabTable", 0))
    size = memory.word(table) if table else None
    if table and size and size <= _ITAB_TABLE_ENTRIES:
        # itabTableType: size, count, then entries
        words = memory.words(table + 16, size)
        itabs.update(words.tolist() if words is not None else ())
    for itab in itabs:
        concrete = process.types.itab(itab) if itab else None
        found = types.intern(concrete) if concrete else None
        if found is not None:
            types.add_key(itab, found)
    for itab, concrete in process.itabs.tolist():
        found = types.intern(concrete)
        if found is not None:
            types.add_key(itab, found)
