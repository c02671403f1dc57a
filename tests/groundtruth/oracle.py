"""An oracle for the maps that a program does not make itself: those of the runtime and the standard library.

Reads DWARF with pyelftools and the memory of the live process through /proc (of an emulated one in its core), and
shares no line with mapscope: every package variable outside ``main`` is walked through structs, arrays, slices,
pointers, sync.Map and atomic.Pointer until it ends in maps. A report may hold these maps and those that the program
tells of, and no other.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

MAX_DEPTH = 12
MAX_ELEMENTS = 4096
_OP_ADDR = 0x03


@dataclass(slots=True)
class ForeignMap:
    """A map of the standard library."""

    variable: str
    type: str
    address: int
    count: int


@dataclass(slots=True)
class _Walk:
    read: Callable[[int], bytes]
    """Eight bytes at an address; fewer where nothing is mapped."""
    bias: int
    found: dict[int, ForeignMap] = field(default_factory=dict)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def word(self, address: int) -> int:
        """One word of the process; 0 where nothing is mapped."""
        data = self.read(address)
        return int(struct.unpack("<Q", data)[0]) if len(data) == 8 else 0

    def visit(self, variable: str, start: DIE, at: int) -> None:
        """Follow everything that a variable of this type at this address reaches."""
        todo = [(start, at, 0)]
        while todo:
            die, address, depth = todo.pop()
            die = _strip(die)
            if die is None or depth > MAX_DEPTH or (die.offset, address) in self.seen:
                continue
            self.seen.add((die.offset, address))
            name = _name(die)
            if name.startswith("map["):
                self._map(variable, name, address)
            elif die.tag == "DW_TAG_pointer_type":
                target = self.word(address)
                if target and "DW_AT_type" in die.attributes:
                    todo.append((die.get_DIE_from_attribute("DW_AT_type"), target, depth + 1))
            elif die.tag == "DW_TAG_array_type":
                todo += [(one, where, depth) for one, where in _elements(die, address)]
            elif die.tag == "DW_TAG_structure_type":
                todo += [(one, where, depth) for one, where in self._members(die, name, address)]

    def _map(self, variable: str, name: str, address: int) -> None:
        header = self.word(address)
        if header:
            self.found.setdefault(header, ForeignMap(variable, name, header, self.word(header)))

    def _members(self, die: DIE, name: str, address: int) -> list[tuple[DIE, int]]:
        members = {_name(child): child for child in die.iter_children() if child.tag == "DW_TAG_member"}
        if set(members) >= {"array", "len", "cap"}:  # a slice
            element = _strip(_strip(_type(members["array"])))
            if element is None or element.tag != "DW_TAG_pointer_type" or "DW_AT_type" not in element.attributes:
                return []
            inner, base = element.get_DIE_from_attribute("DW_AT_type"), self.word(address)
            count = min(self.word(address + 8), MAX_ELEMENTS)
            return [(inner, base + i * _size(inner)) for i in range(count)] if base and _size(inner) else []
        if name.startswith("sync/atomic.Pointer["):  # struct { _ [0]*T; _ noCopy; v unsafe.Pointer }
            first = next((c for c in die.iter_children() if _name(c) == "_"), None)
            array = _strip(_type(first)) if first is not None else None
            element = _strip(array.get_DIE_from_attribute("DW_AT_type")) if array is not None else None
            return [(element, address + _offset(members["v"]))] if element is not None else []
        result = [(_type(child), address + _offset(child)) for child in members.values()]
        return [(one, where) for one, where in result if one is not None]


def foreign_maps(executable: Path, pid: int) -> list[ForeignMap]:
    """The maps that package variables outside ``main`` reach, in the live process ``pid`` of ``executable``."""
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)

    def read(address: int) -> bytes:
        try:
            return os.pread(memory, 8, address)
        except (OSError, OverflowError):
            return b""

    try:
        with open(executable, "rb") as stream:
            elf = ELFFile(stream)
            return _foreign(elf, _Walk(read, _bias(elf, executable, pid)))
    finally:
        os.close(memory)


def foreign_maps_in_core(executable: Path, core: Path) -> list[ForeignMap]:
    """The same in the core of a process whose executable is loaded where it was linked."""
    with open(executable, "rb") as stream, open(core, "rb") as dump:
        rows = [segment.header for segment in ELFFile(dump).iter_segments() if segment["p_type"] == "PT_LOAD"]

        def read(address: int) -> bytes:
            for row in rows:
                at = address - row["p_vaddr"]
                if 0 <= at <= row["p_filesz"] - 8:
                    dump.seek(row["p_offset"] + at)
                    return dump.read(8)
            return b""

        return _foreign(ELFFile(stream), _Walk(read, 0))


def _foreign(elf: ELFFile, walk: _Walk) -> list[ForeignMap]:
    for unit in elf.get_dwarf_info().iter_CUs():
        if unit.get_top_DIE().attributes["DW_AT_name"].value == b"main":
            continue
        for die in unit.iter_DIEs():
            location = die.attributes.get("DW_AT_location")
            if die.tag != "DW_TAG_variable" or location is None or "DW_AT_type" not in die.attributes:
                continue
            expression: Any = location.value
            if isinstance(expression, list) and len(expression) == 9 and expression[0] == _OP_ADDR:
                address = int.from_bytes(bytes(expression[1:]), "little") + walk.bias
                walk.visit(_name(die), die.get_DIE_from_attribute("DW_AT_type"), address)
    return sorted(walk.found.values(), key=lambda one: one.variable)


def _bias(elf: ELFFile, executable: Path, pid: int) -> int:
    """Start of the first mapping of the file minus its first load address."""
    first = min(int(s["p_vaddr"]) for s in elf.iter_segments() if s["p_type"] == "PT_LOAD")
    with open(f"/proc/{pid}/maps", encoding="utf-8") as lines:
        starts = [int(line.split("-")[0], 16) for line in lines if line.rstrip().endswith(str(executable.resolve()))]
    return min(starts) - first


def _strip(die: DIE | None) -> DIE | None:
    """Through typedefs, but not through those that name a map type."""
    for _ in range(8):
        if die is None or die.tag != "DW_TAG_typedef" or _name(die).startswith("map["):
            return die
        die = _type(die)
    return None


def _type(die: DIE | None) -> DIE | None:
    return die.get_DIE_from_attribute("DW_AT_type") if die is not None and "DW_AT_type" in die.attributes else None


def _name(die: DIE) -> str:
    return die.attributes["DW_AT_name"].value.decode() if "DW_AT_name" in die.attributes else ""


def _offset(die: DIE) -> int:
    value: Any = die.attributes["DW_AT_data_member_location"].value
    return value if isinstance(value, int) else 0


def _size(die: DIE) -> int:
    bare = _strip(die)
    return (
        int(bare.attributes["DW_AT_byte_size"].value)
        if bare is not None and "DW_AT_byte_size" in bare.attributes
        else 8
    )


def _elements(die: DIE, address: int) -> list[tuple[DIE, int]]:
    element = _type(die)
    counts = [c.attributes["DW_AT_count"].value for c in die.iter_children() if "DW_AT_count" in c.attributes]
    if element is None or not counts:
        return []
    return [(element, address + i * _size(element)) for i in range(min(int(counts[0]), MAX_ELEMENTS))]
