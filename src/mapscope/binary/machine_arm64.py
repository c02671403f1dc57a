"""Machine code of arm64 as ``Op`` tuples, by way of capstone's text: its fast interface.

What is not understood becomes ``KILL`` of the registers that it names first, which is where arm64 instructions write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mapscope.binary.disassembler import Disassemble
from mapscope.binary.machine import Code, Machine, Op

SP = 31
_NAMES = {f"{prefix}{number}": number for number in range(31) for prefix in "xw"} | {"sp": SP, "wsp": SP}
_MEMORY = re.compile(r"\[(\w+)(?:, #(-?(?:0x[0-9a-f]+|\d+)))?\]$")
_READERS = ("cmp", "cmn", "tst", "ccmp", "ccmn", "fcmp", "nop", "dmb", "dsb", "isb", "prfm", "hint", "yield", "bti")
_STOPS = frozenset(("ret", "brk", "hlt", "udf"))


def machine(disassemble: Disassemble) -> Machine:
    """The arm64 machine, of its instructions as text."""

    def decode(code: bytes, address: int) -> list[Op]:
        return list(_operations(disassemble(code, address)))

    scratch = (16, 17, 20, 21, 26, 27)
    return Machine("arm64", tuple(range(16)), 26, 32, 25, scratch, decode, disassemble, _NAMES)


def _number(text: str) -> int:
    return int(text.strip().lstrip("#"), 0)


def _operations(instructions: Iterator[tuple[int, int, str, str]]) -> Iterator[Op]:
    for address, size, mnemonic, text in instructions:
        end = address + size
        if mnemonic == "bl":
            yield Op(address, end, Code.CALL, _number(text))
        elif mnemonic == "blr":
            yield Op(address, end, Code.CALL, 0)
        elif mnemonic == "b":
            yield Op(address, end, Code.JUMP, _number(text))
        elif mnemonic == "br":
            yield Op(address, end, Code.JUMP, 0)
        elif mnemonic.startswith("b.") or mnemonic in ("cbz", "cbnz", "tbz", "tbnz"):
            yield Op(address, end, Code.BRANCH, _number(text.rpartition("#")[2]))
        elif mnemonic in _STOPS:
            yield Op(address, end, Code.STOP)
        elif mnemonic in _READERS:
            yield Op(address, end, Code.OTHER)
        else:
            yield from _data(address, end, mnemonic, text)


def _data(address: int, end: int, mnemonic: str, text: str) -> Iterator[Op]:
    left, _, right = text.partition(", ")
    target = _NAMES.get(left, -1)
    full = left.startswith("x") or left == "sp"
    if mnemonic in ("adrp", "adr"):
        yield Op(address, end, Code.ADDRESS, target, _number(right))
    elif mnemonic == "mov" and full and right in _NAMES and right[0] == "x":
        yield Op(address, end, Code.MOVE, target, _NAMES[right])
    elif mnemonic == "add" and full and (parts := right.split(", "))[1].startswith("#") and len(parts) == 2:
        base = _NAMES.get(parts[0], -1)
        if base == SP and target != SP:
            yield Op(address, end, Code.STACK_ADDRESS, target, _number(parts[1]))
        elif target != SP and base >= 0:
            yield Op(address, end, Code.ADD, target, base, _number(parts[1]))
    elif mnemonic in ("ldr", "ldur") and full:
        yield _load(address, end, target, right)
    elif mnemonic in ("ldp", "ldpsw"):
        yield from _pair(address, end, text, load=True)
    elif mnemonic == "stp":
        yield from _pair(address, end, text, load=False)
    elif mnemonic == "stlr" and full and (found := _place(right)) is not None:
        yield Op(address, end, Code.EXCHANGE, found[0], target)  # what an atomic store is on arm64
    elif mnemonic in ("str", "stur"):
        yield _store(address, end, target if full or left == "xzr" else -1, right, 8 if full else 4)
    elif mnemonic.startswith(("st", "ld")) and not mnemonic.startswith(("stlxr", "stxr")):
        yield from _atomic(address, end, mnemonic, text)
    else:
        for name in text.split(", ")[:1]:
            if _NAMES.get(name, SP) != SP:
                yield Op(address, end, Code.KILL, _NAMES[name])


def _place(text: str) -> tuple[int, int] | None:
    found = _MEMORY.match(text)
    if found is None or found[1] not in _NAMES:
        return None
    return _NAMES[found[1]], int(found[2] or "0", 0)


def _load(address: int, end: int, target: int, place: str) -> Op:
    found = _place(place)
    if found is None:
        return Op(address, end, Code.KILL, target)
    if found[0] == SP:
        return Op(address, end, Code.LOAD_STACK, target, found[1])
    return Op(address, end, Code.LOAD, target, *found)


def _store(address: int, end: int, source: int, place: str, width: int) -> Op:
    found = _place(place)
    if found is None:
        return Op(address, end, Code.OTHER)
    if found[0] == SP:
        return Op(address, end, Code.STORE_STACK, found[1], source if width == 8 else -1, width)
    return Op(address, end, Code.STORE, *found, source if width == 8 else -1)


def _pair(address: int, end: int, text: str, *, load: bool) -> Iterator[Op]:
    first, second, place = text.split(", ", 2)
    found = _place(place)
    for index, name in enumerate((first, second)):
        register = _NAMES.get(name, -1)
        if found is None or name[0] != "x":
            if load and register >= 0:
                yield Op(address, end, Code.KILL, register)
            continue
        where = f"[{'sp' if found[0] == SP else f'x{found[0]}'}, #{found[1] + 8 * index}]"
        yield _load(address, end, register, where) if load else _store(address, end, register, where, 8)


def _atomic(address: int, end: int, mnemonic: str, text: str) -> Iterator[Op]:
    """Loads and stores of other widths, and atomic ones (``ldaddal``, ``swpal`` … name the register written second)."""
    names = text.split(", ")
    place = _place(text[text.find("[") :]) if "[" in text else None
    if mnemonic.startswith(("ldadd", "swp", "ldclr", "ldset", "cas")) and place is not None:
        yield Op(address, end, Code.EXCHANGE, place[0], _NAMES.get(names[1], -1))
    for name in names[:2]:
        if mnemonic.startswith("ld") and _NAMES.get(name, SP) != SP:
            yield Op(address, end, Code.KILL, _NAMES[name])
