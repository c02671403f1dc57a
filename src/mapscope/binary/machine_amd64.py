"""Machine code of amd64 as ``Op`` tuples, by way of capstone's text: its fast interface.

What is not understood becomes ``KILL`` of the register that it names first, which is where x86 instructions write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mapscope.binary.disassembler import Disassemble
from mapscope.binary.machine import Code, Machine, Op

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
_MAX_KNOWN = 1 << 18
_HERE = 1 << 62
"""Stands for a place that is named by its distance from the instruction."""
_NAMED_HERE = f"[rip + {_HERE:#x}]"
_JUMP, _BRANCH = Code.JUMP, Code.BRANCH
_STOPS = frozenset(("ret", "retf", "ud2", "int3", "hlt", "iretq"))


def machine(disassemble: Disassemble) -> Machine:
    """The amd64 machine, of its instructions as text."""
    known: dict[tuple[str, ...], tuple[tuple[Code, int, int, int], ...]] = {}
    new = tuple.__new__  # what the constructor of a named tuple calls; there are a million of them

    def decode(code: bytes, address: int) -> list[Op]:
        ops: list[Op] = []
        append = ops.append
        for at, size, mnemonic, text in disassemble(code, address):
            end = at + size
            if mnemonic[0] == "j":
                append(new(Op, (at, end, _JUMP if mnemonic == "jmp" else _BRANCH, _constant(text), 0, 0)))
                continue
            parts = known.get((mnemonic, text))
            if parts is None:
                place, text, key = _apart(end, mnemonic, text)
                parts = known.get(key)
                if parts is None:
                    parts = tuple((op.code, op.a, op.b, op.c) for op in _operations(0, 0, mnemonic, text))
                    if len(known) < _MAX_KNOWN:
                        known[key] = parts
                if place is not None:
                    for what, a, b, c in parts:
                        append(new(Op, (at, end, what, place if a == _HERE else a, place if b == _HERE else b, c)))
                    continue
            for part in parts:
                append(new(Op, (at, end, *part)))
        return ops

    arguments = (RAX, RBX, RCX, RDI, RSI, R8, R9, R10, R11)
    return Machine("amd64", arguments, RDX, 16, R11, (RDI, RSI, RCX), decode, disassemble, _ANY)


def _apart(end: int, mnemonic: str, text: str) -> tuple[int | None, str, tuple[str, ...]]:
    """A place relative to the instruction, the operands with ``_HERE`` in its stead, and what these repeat under.

    Such a place differs from instruction to instruction; the rest repeats endlessly.
    """
    before, _, rest = text.partition("[rip ")
    number, bracket, after = rest.partition("]")
    if not bracket or number[:2] not in ("+ ", "- "):
        return None, text, (mnemonic, text)
    distance = int(number[2:], 0)
    place = end - distance if number[0] == "-" else end + distance
    return place, before + _NAMED_HERE + after, (mnemonic, before, after)


def _operations(address: int, end: int, mnemonic: str, text: str) -> Iterator[Op]:
    if mnemonic == "mov":
        left, _, right = text.partition(", ")
        yield _move(address, end, left, right)
    elif mnemonic == "lea":
        left, _, right = text.partition(", ")
        yield _lea(address, end, left, right)
    elif mnemonic == "call":
        yield Op(address, end, Code.CALL, _constant(text))
    elif mnemonic[0] == "j":
        yield Op(address, end, Code.JUMP if mnemonic == "jmp" else Code.BRANCH, _constant(text))
    elif mnemonic in _READERS:
        left = text.partition(", ")[0]
        found = _RIP.match(left) if mnemonic == "cmp" else None
        if found is not None:
            yield Op(address, end, Code.COMPARE_GLOBAL, _relative(end, found))
        else:
            yield Op(address, end, Code.OTHER)
    elif mnemonic in _STOPS:
        yield Op(address, end, Code.STOP)
    else:
        yield from _rest(address, end, mnemonic, text)


def _constant(text: str) -> int:
    return int(text, 16) if text.startswith("0x") else 0


def _relative(end: int, found: re.Match[str]) -> int:
    offset = int(found[3], 0)
    return end - offset if found[2] == "-" else end + offset


def _offset(found: re.Match[str]) -> int:
    offset = int(found[4] or "0", 0)
    return -offset if found[3] == "-" else offset


def _move(address: int, end: int, left: str, right: str) -> Op:
    if left.endswith("]"):
        source = _FULL.get(right, -1)
        found = _RIP.match(left)
        if found is not None:
            full = _WIDTH.get(found[1], 8) == 8
            return Op(address, end, Code.STORE_GLOBAL, _relative(end, found), source if full else -1)
        return _store(address, end, left, source)
    target = _ANY.get(left)
    if target is None:
        return Op(address, end, Code.OTHER)
    if right in _FULL and left in _FULL:
        return Op(address, end, Code.MOVE, target, _FULL[right])
    if right.endswith("]") and left in _FULL:
        found = _RIP.match(right)
        if found is not None:
            return Op(address, end, Code.LOAD_GLOBAL, target, _relative(end, found))
        found = _SIMPLE.match(right)
        if found is not None and found[2] in _FULL:
            base = _FULL[found[2]]
            if base == RSP:
                return Op(address, end, Code.LOAD_STACK, target, _offset(found))
            return Op(address, end, Code.LOAD, target, base, _offset(found))
    return Op(address, end, Code.KILL, target)


def _store(address: int, end: int, place: str, source: int) -> Op:
    """A write of ``source`` (-1: unknown) to the memory operand ``place``, which is not relative to rip."""
    found = _SIMPLE.match(place)
    if found is None or found[2] not in _FULL:
        # With an index the place is not known. Go indexes arrays on the stack so, never the slots of single variables.
        return Op(address, end, Code.OTHER)
    width = _WIDTH.get(found[1], 8)
    base = _FULL[found[2]]
    if base == RSP:
        return Op(address, end, Code.STORE_STACK, _offset(found), source if width == 8 else -1, width)
    return Op(address, end, Code.STORE, base, _offset(found), source if width == 8 else -1)


def _lea(address: int, end: int, left: str, right: str) -> Op:
    target = _ANY.get(left, -1)
    if left in _FULL:
        found = _RIP.match(right)
        if found is not None:
            return Op(address, end, Code.ADDRESS, target, _relative(end, found))
        found = _SIMPLE.match(right)
        if found is not None and found[2] in _FULL:
            base = _FULL[found[2]]
            if base == RSP:
                return Op(address, end, Code.STACK_ADDRESS, target, _offset(found))
            return Op(address, end, Code.ADD, target, base, _offset(found))
    return Op(address, end, Code.KILL, target)


def _rest(address: int, end: int, mnemonic: str, text: str) -> Iterator[Op]:
    """Everything else: find what is written."""
    if mnemonic in _WIDE and "," not in text:  # imul with two or three operands writes the first alone
        yield Op(address, end, Code.KILL, RAX)
        yield Op(address, end, Code.KILL, RDX)
        if mnemonic not in ("mul", "imul", "div", "idiv"):
            yield Op(address, end, Code.KILL, RBX)
            yield Op(address, end, Code.KILL, RCX)
    locked = mnemonic.removeprefix("lock ").removeprefix("xacquire ").removeprefix("xrelease ")
    if mnemonic.startswith("rep") or mnemonic.startswith(_STRINGS):
        for register in (RDI, RSI, RCX, RAX):
            yield Op(address, end, Code.KILL, register)
        return
    left, _, right = text.partition(", ")
    if locked in ("xchg", "xadd", "cmpxchg"):
        yield from _atomic(address, end, locked, left, right)
        return
    if left.endswith("]"):
        if mnemonic in ("push", "fld", "ldmxcsr"):
            yield Op(address, end, Code.OTHER)
            return
        found = _RIP.match(left)
        if found is not None:
            yield Op(address, end, Code.STORE_GLOBAL, _relative(end, found), -1)
        else:
            yield _store(address, end, left, -1)
        return
    target = _ANY.get(left)
    if target is None or mnemonic == "push":
        yield Op(address, end, Code.OTHER)
    else:
        yield Op(address, end, Code.KILL, target)


def _atomic(address: int, end: int, mnemonic: str, left: str, right: str) -> Iterator[Op]:
    if right.endswith("]"):
        left, right = right, left
    register = _ANY.get(right, -1)
    found = _RIP.match(left)
    simple = _SIMPLE.match(left)
    if found is not None:
        yield Op(address, end, Code.EXCHANGE_GLOBAL, _relative(end, found), register)
    elif simple is not None and simple[2] in _FULL:
        yield Op(address, end, Code.EXCHANGE, _FULL[simple[2]], register)
    elif left in _ANY:
        yield Op(address, end, Code.KILL, _ANY[left])
    if register >= 0 and mnemonic != "cmpxchg":
        yield Op(address, end, Code.KILL, register)
    if mnemonic == "cmpxchg":
        yield Op(address, end, Code.KILL, RAX)
