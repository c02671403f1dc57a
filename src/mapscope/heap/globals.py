"""Typed roots: package-level variables whose type DWARF names or whose use in the code gives it away."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.textscan import TextFacts, scan_text
from mapscope.errors import MapscopeError
from mapscope.goruntime.dwarftypes import DwarfTypes, Variable
from mapscope.goruntime.process import Process
from mapscope.goruntime.typetable import Op, TypeRecord, TypeTable, descriptor

_MAX_CAPTURE = 1 << 16
_ITAB_TABLE_ENTRIES = 1 << 20


@dataclass(slots=True)
class TypedGlobals:
    """``regions``: rows for the trace kernel, one a variable. ``variables``: with names, where DWARF has them."""

    regions: npt.NDArray[np.int64]
    variables: list[Variable]
    facts: TextFacts | None
    notes: list[str] = field(default_factory=list)


def typed_globals(process: Process, types: TypeTable) -> TypedGlobals:
    """Everything that makes a root typed. Also tells ``types`` the itabs and the closures' types."""
    notes: list[str] = []
    facts = _text_facts(process, notes)
    extra = facts.types.tolist() if facts is not None else []
    types.name_index(process.types.all_types(a + process.bias for a in extra).tolist())
    _add_itabs(process, types)
    rows: dict[int, tuple[int, int, int, int, int]] = {}
    if facts is not None:
        _from_code(process, types, facts, rows)
    variables = _from_dwarf(process, types, rows, notes)
    regions = np.array(list(rows.values()), dtype=np.int64).reshape(-1, 5)
    return TypedGlobals(regions, variables, facts, notes)


def _text_facts(process: Process, notes: list[str]) -> TextFacts | None:
    try:
        return scan_text(process.executable)
    except MapscopeError as error:
        notes.append(f"{error}: types of variables and closures come from DWARF and interfaces only")
        return None


def _from_dwarf(
    process: Process, types: TypeTable, rows: dict[int, tuple[int, int, int, int, int]], notes: list[str]
) -> list[Variable]:
    """Variables that DWARF names; they replace what the code said about the same address."""
    if not process.executable.has_dwarf:
        return []
    dwarf = Dwarf.from_elf(process.executable.elf)
    if dwarf is None:
        notes.append("the executable's DWARF cannot be read: names of variables are not known")
        return []
    reader = DwarfTypes(
        dwarf, types, bias=process.bias, types_base=process.modules[0].types, series=process.executable.series
    )
    out = []
    static = process.executable.module
    for item in reader.variables([(static.data, static.edata), (static.bss, static.ebss)]):
        address = item.address + process.bias
        out.append(Variable(item.name, address, item.type_id, item.type_name, item.size))
        if item.type_id >= 0 and item.size >= 8 and address % 8 == 0:
            rows[address] = (address, item.size // 8, item.type_id, -1, 0)
    return out


def _from_code(
    process: Process, types: TypeTable, facts: TextFacts, rows: dict[int, tuple[int, int, int, int, int]]
) -> None:
    """Variables and closures whose type the code gives away (see binary/textscan.py)."""
    bias = process.bias
    for address, map_type in facts.global_maps:
        found = types.intern(map_type + bias)
        if found is not None and found in types.map_fields:
            rows[address + bias] = (address + bias, 1, found, -1, 0)
    for address, pointee, what in facts.global_types:
        found = types.intern(pointee + bias)
        if found is not None:
            op = Op.FILL if what == "slice" else Op.PTR
            pointer = types.add(TypeRecord(f"*{types.records[found].name}", 22, 8, 0))
            types.set_words(pointer, np.array([descriptor(op, found)], dtype=np.uint64))
            rows.setdefault(address + bias, (address + bias, 1, pointer, -1, 0))
    for entry, closure in facts.closures:
        found = types.intern(closure + bias)
        if found is not None:
            types.add_key(entry + bias, found)
    captures: dict[int, dict[int, int]] = {}
    for entry, offset, map_type in facts.capture_maps:
        found = types.intern(map_type + bias)
        if found is not None and 0 < offset < _MAX_CAPTURE and offset % 8 == 0:
            captures.setdefault(entry + bias, {})[offset] = types.word_of(found)
    for entry, slots in captures.items():
        words = np.zeros(max(slots) // 8 + 1, dtype=np.uint64)
        for offset, word in slots.items():
            words[offset // 8] = word
        closure_type = types.add(TypeRecord("closure", 25, 8 * len(words), 0))
        types.set_words(closure_type, words)
        types.add_key(entry, closure_type)


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
