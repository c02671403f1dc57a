"""What instructions of arm64 do, by way of capstone's words for them.

What is not understood becomes ``KILL`` of the registers that it names first, which is where arm64 instructions write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mapscope.binary.machine import Code, Convention, Part

SP = 31
_NAMES = {f"{prefix}{number}": number for number in range(31) for prefix in "xw"} | {"sp": SP, "wsp": SP}
_MEMORY = re.compile(r"\[(\w+)(?:, #(-?(?:0x[0-9a-f]+|\d+)))?\]$")
_IMMEDIATE = re.compile(r"#(-?(?:0x[0-9a-f]+|\d+))$")
_READERS = ("cmp", "cmn", "tst", "ccmp", "ccmn", "fcmp", "nop", "dmb", "dsb", "isb", "prfm", "hint", "yield", "bti")
_STOPS = frozenset(("ret", "brk", "hlt", "udf"))
CONVENTION: Convention = (tuple(range(16)), 26, 32, 25, (16, 17, 20, 21, 26, 27), _NAMES)
"""Go's, of ABIInternal."""


def meaning(mnemonic: str, text: str) -> Iterator[Part]:
    """What an instruction does (see ``machine.Meaning``)."""
    if mnemonic == "bl":
        yield Code.CALL, _number(text), 0, 0
    elif mnemonic == "blr":
        yield Code.CALL, 0, 0, 0
    elif mnemonic == "b":
        yield Code.JUMP, _number(text), 0, 0
    elif mnemonic == "br":
        yield Code.JUMP, 0, 0, 0
    elif mnemonic.startswith("b.") or mnemonic in ("cbz", "cbnz", "tbz", "tbnz"):
        yield Code.BRANCH, _number(text), 0, 0
    elif mnemonic in _STOPS:
        yield Code.STOP, 0, 0, 0
    elif mnemonic in _READERS:
        yield Code.OTHER, 0, 0, 0
    else:
        yield from _data(mnemonic, text)


def _number(text: str) -> int:
    """The immediate at the end of operands; 0 where there is none."""
    found = _IMMEDIATE.search(text)
    return 0 if found is None else int(found[1], 0)


def _data(mnemonic: str, text: str) -> Iterator[Part]:
    left, _, right = text.partition(", ")
    target = _NAMES.get(left, -1)
    full = left.startswith("x") or left == "sp"
    if mnemonic in ("adrp", "adr") and target >= 0:  # (SVE has an adr of vectors)
        yield Code.ADDRESS, target, _number(right), 0
    elif mnemonic == "mov" and full and right in _NAMES and right[0] == "x":
        yield Code.MOVE, target, _NAMES[right], 0
    elif mnemonic == "add" and full and len(parts := right.split(", ")) == 2 and parts[1].startswith("#"):
        base = _NAMES.get(parts[0], -1)
        if base == SP and target != SP:
            yield Code.STACK_ADDRESS, target, _number(parts[1]), 0
        elif target != SP and base >= 0:
            yield Code.ADD, target, base, _number(parts[1])
    elif mnemonic in ("ldr", "ldur") and full:
        yield _load(target, right)
    elif mnemonic in ("ldp", "ldpsw"):
        yield from _pair(text, load=True)
    elif mnemonic == "stp":
        yield from _pair(text, load=False)
    elif mnemonic == "stlr" and full and (found := _place(right)) is not None:
        yield Code.EXCHANGE, found[0], target, 0  # what an atomic store is on arm64
    elif mnemonic in ("str", "stur"):
        yield _store(target if full or left == "xzr" else -1, right, 8 if full else 4)
    elif mnemonic.startswith(("st", "ld")) and not mnemonic.startswith(("stlxr", "stxr")):
        yield from _atomic(mnemonic, text)
    else:
        for name in text.split(", ")[:1]:
            if _NAMES.get(name, SP) != SP:
                yield Code.KILL, _NAMES[name], 0, 0


def _place(text: str) -> tuple[int, int] | None:
    found = _MEMORY.match(text)
    if found is None or found[1] not in _NAMES:
        return None
    return _NAMES[found[1]], int(found[2] or "0", 0)


def _load(target: int, place: str) -> Part:
    found = _place(place)
    if found is None:
        return Code.KILL, target, 0, 0
    if found[0] == SP:
        return Code.LOAD_STACK, target, found[1], 0
    return Code.LOAD, target, *found


def _store(source: int, place: str, width: int) -> Part:
    found = _place(place)
    if found is None:
        return Code.OTHER, 0, 0, 0
    if found[0] == SP:
        return Code.STORE_STACK, found[1], source if width == 8 else -1, width
    return Code.STORE, *found, source if width == 8 else -1


def _pair(text: str, *, load: bool) -> Iterator[Part]:
    first, second, place = text.split(", ", 2)
    found = _place(place)
    for index, name in enumerate((first, second)):
        register = _NAMES.get(name, -1)
        if found is None or name[0] != "x":
            if load and register >= 0:
                yield Code.KILL, register, 0, 0
            continue
        where = f"[{'sp' if found[0] == SP else f'x{found[0]}'}, #{found[1] + 8 * index}]"
        yield _load(register, where) if load else _store(register, where, 8)


def _atomic(mnemonic: str, text: str) -> Iterator[Part]:
    """Loads and stores of other widths, and atomic ones (``ldaddal``, ``swpal`` … name the register written second)."""
    names = text.split(", ")
    place = _place(text[text.find("[") :]) if "[" in text else None
    if mnemonic.startswith(("ldadd", "swp", "ldclr", "ldset", "cas")) and place is not None:
        yield Code.EXCHANGE, place[0], _NAMES.get(names[1], -1), 0
    for name in names[:2]:
        if mnemonic.startswith("ld") and _NAMES.get(name, SP) != SP:
            yield Code.KILL, _NAMES[name], 0, 0
