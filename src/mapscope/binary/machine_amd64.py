"""What instructions of amd64 do, by way of capstone's words for them.

What is not understood becomes ``KILL`` of the register that it names first, which is where x86 instructions write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mapscope.binary.machine import Code, Convention, Part

_NAMES = ("rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11", "rdx", "rbp", "rsp", "r12", "r13", "r14", "r15")
RAX, RBX, RCX, RDI, RSI, R8, R9, R10, R11, RDX, RBP, RSP, R12, R13, R14, R15 = range(16)
_FULL = {name: number for number, name in enumerate(_NAMES)}


def _aliases() -> dict[str, int]:
    found = dict(_FULL)
    for name, number in _FULL.items():
        if name[1].isdigit():
            found.update({name + suffix: number for suffix in ("d", "w", "b")})
        else:
            short = name[1:]
            found.update({"e" + short: number, short: number})
            if short[-1] == "x":
                found.update({short[0] + "l": number, short[0] + "h": number})
            else:
                found[short + "l"] = number
    return found


_ANY = _aliases()
_RIP = re.compile(r"(?:(\w+) ptr )?\[rip ([+-]) (0x[0-9a-f]+|\d+)\]$")
_SIMPLE = re.compile(r"(?:(\w+) ptr )?\[(\w+)(?: ([+-]) (0x[0-9a-f]+|\d+))?\]$")
_WIDTH = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32, "zmmword": 64}
_READERS = frozenset(
    (
        *("cmp", "test", "nop", "bt", "ucomisd", "ucomiss", "comisd", "comiss", "ptest", "vptest"),
        *("prefetcht0", "prefetchnta", "sfence", "mfence", "lfence", "pause"),
    )
)
_STRINGS = ("movs", "stos", "lods", "scas", "cmps")
_WIDE = frozenset(
    ("mul", "imul", "div", "idiv", "cqo", "cdq", "cwd", "cqto", "cltd", "rdtsc", "cpuid", "xgetbv", "rdtscp")
)
_STOPS = frozenset(("ret", "retf", "ud2", "int3", "hlt", "iretq"))
CONVENTION: Convention = ((RAX, RBX, RCX, RDI, RSI, R8, R9, R10, R11), RDX, 16, R11, (RDI, RSI, RCX), _ANY)
"""Go's, of ABIInternal."""


def meaning(mnemonic: str, text: str) -> Iterator[Part]:
    """What an instruction does (see ``machine.Meaning``)."""
    if mnemonic == "mov":
        left, _, right = text.partition(", ")
        yield _move(left, right)
    elif mnemonic == "lea":
        left, _, right = text.partition(", ")
        yield _lea(left, right)
    elif mnemonic == "call":
        yield Code.CALL, _constant(text), 0, 0
    elif mnemonic[0] == "j":
        yield Code.JUMP if mnemonic == "jmp" else Code.BRANCH, _constant(text), 0, 0
    elif mnemonic in _READERS:
        left = text.partition(", ")[0]
        found = _RIP.match(left) if mnemonic == "cmp" else None
        yield (Code.OTHER, 0, 0, 0) if found is None else (Code.COMPARE_GLOBAL, _relative(found), 0, 0)
    elif mnemonic in _STOPS:
        yield Code.STOP, 0, 0, 0
    else:
        yield from _rest(mnemonic, text)


def _constant(text: str) -> int:
    return int(text, 16) if text.startswith("0x") else 0


def _relative(found: re.Match[str]) -> int:
    """The distance from the instruction."""
    offset = int(found[3], 0)
    return -offset if found[2] == "-" else offset


def _offset(found: re.Match[str]) -> int:
    offset = int(found[4] or "0", 0)
    return -offset if found[3] == "-" else offset


def _move(left: str, right: str) -> Part:
    if left.endswith("]"):
        source = _FULL.get(right, -1)
        found = _RIP.match(left)
        if found is not None:
            full = _WIDTH.get(found[1], 8) == 8
            return Code.STORE_GLOBAL, _relative(found), source if full else -1, 0
        return _store(left, source)
    target = _ANY.get(left)
    if target is None:
        return Code.OTHER, 0, 0, 0
    if right in _FULL and left in _FULL:
        return Code.MOVE, target, _FULL[right], 0
    if right.endswith("]") and left in _FULL:
        found = _RIP.match(right)
        if found is not None:
            return Code.LOAD_GLOBAL, target, _relative(found), 0
        found = _SIMPLE.match(right)
        if found is not None and found[2] in _FULL:
            base = _FULL[found[2]]
            if base == RSP:
                return Code.LOAD_STACK, target, _offset(found), 0
            return Code.LOAD, target, base, _offset(found)
    return Code.KILL, target, 0, 0


def _store(place: str, source: int) -> Part:
    """A write of ``source`` (-1: unknown) to the memory operand ``place``, which is not relative to rip."""
    found = _SIMPLE.match(place)
    if found is None or found[2] not in _FULL:
        # With an index the place is not known. Go indexes arrays on the stack so, never the slots of single variables.
        return Code.OTHER, 0, 0, 0
    width = _WIDTH.get(found[1], 8)
    base = _FULL[found[2]]
    if base == RSP:
        return Code.STORE_STACK, _offset(found), source if width == 8 else -1, width
    return Code.STORE, base, _offset(found), source if width == 8 else -1


def _lea(left: str, right: str) -> Part:
    target = _ANY.get(left, -1)
    if left in _FULL:
        found = _RIP.match(right)
        if found is not None:
            return Code.ADDRESS, target, _relative(found), 0
        found = _SIMPLE.match(right)
        if found is not None and found[2] in _FULL:
            base = _FULL[found[2]]
            if base == RSP:
                return Code.STACK_ADDRESS, target, _offset(found), 0
            return Code.ADD, target, base, _offset(found)
    return Code.KILL, target, 0, 0


def _rest(mnemonic: str, text: str) -> Iterator[Part]:
    """Everything else: find what is written."""
    if mnemonic in _WIDE and "," not in text:  # imul with two or three operands writes the first alone
        yield Code.KILL, RAX, 0, 0
        yield Code.KILL, RDX, 0, 0
        if mnemonic not in ("mul", "imul", "div", "idiv"):
            yield Code.KILL, RBX, 0, 0
            yield Code.KILL, RCX, 0, 0
    locked = mnemonic.removeprefix("lock ").removeprefix("xacquire ").removeprefix("xrelease ")
    if mnemonic.startswith("rep") or mnemonic.startswith(_STRINGS):
        for register in (RDI, RSI, RCX, RAX):
            yield Code.KILL, register, 0, 0
        return
    left, _, right = text.partition(", ")
    if locked in ("xchg", "xadd", "cmpxchg"):
        yield from _atomic(locked, left, right)
        return
    if left.endswith("]"):
        if mnemonic in ("push", "fld", "ldmxcsr"):
            yield Code.OTHER, 0, 0, 0
            return
        found = _RIP.match(left)
        if found is not None:
            yield Code.STORE_GLOBAL, _relative(found), -1, 0
        else:
            yield _store(left, -1)
        return
    target = _ANY.get(left)
    if target is None or mnemonic == "push":
        yield Code.OTHER, 0, 0, 0
    else:
        yield Code.KILL, target, 0, 0


def _atomic(mnemonic: str, left: str, right: str) -> Iterator[Part]:
    if right.endswith("]"):
        left, right = right, left
    register = _ANY.get(right, -1)
    found = _RIP.match(left)
    simple = _SIMPLE.match(left)
    if found is not None:
        yield Code.EXCHANGE_GLOBAL, _relative(found), register, 0
    elif simple is not None and simple[2] in _FULL:
        yield Code.EXCHANGE, _FULL[simple[2]], register, 0
    elif left in _ANY:
        yield Code.KILL, _ANY[left], 0, 0
    if register >= 0 and mnemonic != "cmpxchg":
        yield Code.KILL, register, 0, 0
    if mnemonic == "cmpxchg":
        yield Code.KILL, RAX, 0, 0
