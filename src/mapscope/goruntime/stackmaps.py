"""Which words of a frame are live pointers: the compiler's stack maps, as the collector reads them.

runtime/stkframe.go getStackMap (Go 1.19: stack.go), runtime/mgcmark.go scanframeworker. The tables are the same in
every release from 1.19 to 1.27: PCDATA_StackMapIndex chooses a bit vector of FUNCDATA_LocalsPointerMaps and of
FUNCDATA_ArgsPointerMaps; FUNCDATA_StackObjects lists variables whose address is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field
from msgspec.structs import replace

from mapscope.binary.gcprog import run_gc_program
from mapscope.binary.moduledata import ModuleData
from mapscope.binary.pclntab import (
    ARGS_SIZE_UNKNOWN,
    FUNCDATA_ARGS_POINTER_MAPS,
    FUNCDATA_LOCALS_POINTER_MAPS,
    FUNCDATA_STACK_OBJECTS,
    PCDATA_STACK_MAP_INDEX,
    FunctionTable,
)
from mapscope.errors import FormatError
from mapscope.evidence.memory import Memory
from mapscope.goruntime.code import INJECTED_CALLS, Code
from mapscope.goruntime.unwind import AFTER_SIGPANIC, CONSERVATIVE

_MAX_BITS = 1 << 24
_MAX_OBJECTS = 1 << 14
_RECORD = np.dtype([("offset", "<i4"), ("size", "<i4"), ("ptrdata", "<i4"), ("gcdata", "<u4")])
"""runtime/stack.go: stackObjectRecord. ``ptrdata`` is negative up to 1.23 where a GC program makes the mask."""
_REFLECT = frozenset({"reflect.makeFuncStub", "reflect.methodValueCall"})
_REGISTER_ARGS = {"amd64": (272, 24, 9), "arm64": (392, 32, 16)}
"""internal/abi.RegArgs: bytes, first word of ``Ptrs``, words of ``Ptrs`` (internal/abi/abi_amd64.go, abi_arm64.go)."""
_NO_WORDS = np.zeros(0, dtype=np.int64)


class Masks(Struct):
    """Pointer masks of stack objects, each once: offsets in bytes of their pointer words, and their first 64 bits."""

    offsets: list[npt.NDArray[np.int64]] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)
    _known: dict[tuple[int, int], int] = field(default_factory=dict)

    def intern(self, memory: Memory, address: int, ptrdata: int) -> int:
        """The number of the mask at ``address``, for ``ptrdata`` bytes (negative: a GC program); -1: not readable."""
        key = address, ptrdata
        if key not in self._known:
            mask = _mask(memory, address, ptrdata)
            self._known[key] = -1 if mask is None else self.add(mask)
        return self._known[key]

    def add(self, mask: npt.NDArray[np.bool_]) -> int:
        """The number of a mask, one element a word."""
        self.offsets.append(np.flatnonzero(mask).astype(np.int64) * 8)
        self.bits.append(int(sum(1 << int(word) for word in np.flatnonzero(mask[:64]).tolist())))
        return len(self.bits) - 1


class StackObject(Struct, frozen=True):
    """One variable whose address is taken: ``offset`` from the canonical frame address, ``size`` in bytes, ``mask``.

    ``held``: the frame's own map calls its words live, whether or not a pointer to it is kept anywhere.
    """

    offset: int
    size: int
    mask: int
    held: bool = False


class FrameMap(Struct, frozen=True):
    """What lives in a frame at one program counter; offsets in bytes from the canonical frame address.

    ``words``: live pointers. ``objects``: stack objects. ``scanned``: ranges of a conservative frame. ``stub``: a frame
    of reflect, whose arguments only the frame itself tells.
    """

    words: npt.NDArray[np.int64] = field(default_factory=lambda: _NO_WORDS)
    objects: tuple[StackObject, ...] = ()
    scanned: tuple[tuple[int, int], ...] = ()
    stub: bool = False


class StackMaps:
    """Frame maps of a process, each made once."""

    def __init__(self, code: Code) -> None:
        """Reads nothing yet."""
        self.code = code
        self.masks = Masks()
        self.untyped = 0
        """Frames without a usable map, which are scanned conservatively."""
        self._frame_header = 8 if code.uses_lr else 0
        self._register_mask = -1

    def at(self, pc: int, size: int, note: int) -> FrameMap:
        """The map of a frame that stands at ``pc``, with ``note`` bits of the unwinder.

        ``size``: canonical frame address minus sp, in bytes.
        """
        found = self.code.find(pc)
        if found is None:
            return FrameMap()
        module, table = self.code.tables[found[0]]
        index, entry = found[1], int(table.entry[found[1]])
        varp = 0 if self.code.uses_lr else -8
        if varp > -size:
            varp -= 8
        stub = int(table.args[index]) == ARGS_SIZE_UNKNOWN and table.name(index) in _REFLECT
        if note & CONSERVATIVE:
            return self._conservative(module, table, index, varp, size)
        target = pc
        if note & AFTER_SIGPANIC:
            back = int(table.deferreturn[index])
            if not back:
                return FrameMap()  # it will never run again
            target = entry + back + 1
        which = 0 if target == entry else max(table.pcdata(index, PCDATA_STACK_MAP_INDEX, target - 1), 0)
        local = _NO_WORDS
        if varp + size > (16 if self.code.uses_lr else 0):
            bits = self._bits(table, index, FUNCDATA_LOCALS_POINTER_MAPS, which)
            if bits is None:
                self.untyped += 1
                return self._conservative(module, table, index, varp, size)
            local = np.flatnonzero(bits).astype(np.int64) * 8 + (varp - 8 * len(bits))
        args = _NO_WORDS
        if int(table.args[index]) >= 8:
            bits = self._bits(table, index, FUNCDATA_ARGS_POINTER_MAPS, which)
            if bits is None:
                self.untyped += 1
                return self._conservative(module, table, index, varp, size)
            args = np.flatnonzero(bits).astype(np.int64) * 8 + self._frame_header
        if stub:
            objects: tuple[StackObject, ...] = (self._register_object(varp),)
        else:
            objects = self._objects(module, table, index, varp, size)
        words = np.concatenate([local, args])
        live = set(words.tolist()) if objects else set()
        return FrameMap(words, tuple(self._held(one, live) for one in objects), stub=stub)

    def _held(self, one: StackObject, live: set[int]) -> StackObject:
        """The object, with what the frame's live words say of it."""
        pointers = (one.offset + self.masks.offsets[one.mask]).tolist()
        return replace(one, held=bool(pointers) and live.issuperset(pointers))

    def _conservative(self, module: ModuleData, table: FunctionTable, index: int, varp: int, size: int) -> FrameMap:
        """Every word of locals, outgoing arguments and arguments (scanframeworker); objects only for whoever asks."""
        ranges = [(-size, varp)] if varp > -size else []
        args = int(table.args[index])
        if args >= 8:
            ranges.append((self._frame_header, self._frame_header + args))
        if self.code.uses_lr and table.name(index) in INJECTED_CALLS:
            ranges.append((0, 16))  # the small frame that the signal handler pushed (sigctxt.pushCall)
        objects = self._objects(module, table, index, varp, size)
        return FrameMap(objects=objects, scanned=tuple(ranges))

    def _bits(self, table: FunctionTable, index: int, kind: int, which: int) -> npt.NDArray[np.bool_] | None:
        """Bit vector ``which`` of a runtime.stackmap (n, nbit, bits); None when there is no such one."""
        address = table.funcdata(index, kind)
        head = self.code.memory.read(address, 8) if address is not None else None
        if address is None or head is None:
            return None
        count, bits = int.from_bytes(head[:4], "little", signed=True), int.from_bytes(head[4:], "little", signed=True)
        if count <= 0 or not 0 <= bits <= _MAX_BITS:
            return None
        if bits == 0:
            return np.zeros(0, dtype=np.bool_)
        size = (bits + 7) // 8
        data = self.code.memory.read(address + 8 + which * size, size) if which < count else None
        if data is None:
            return None
        return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:bits].astype(np.bool_)

    def _objects(
        self, module: ModuleData, table: FunctionTable, index: int, varp: int, size: int
    ) -> tuple[StackObject, ...]:
        address = table.funcdata(index, FUNCDATA_STACK_OBJECTS)
        count = self.code.memory.word(address) if address is not None else None
        if address is None or not count or count > _MAX_OBJECTS:
            return ()
        data = self.code.memory.read(address + 8, count * _RECORD.itemsize)
        if data is None:
            return ()
        made = []
        for offset, length, ptrdata, gcdata in np.frombuffer(data, _RECORD).tolist():
            at = (self._frame_header if offset >= 0 else varp) + offset
            if at < -size or length <= 0:
                continue  # not yet allocated in the frame
            mask = self.masks.intern(self.code.memory, module.rodata + gcdata, ptrdata)
            if mask >= 0:
                made.append(StackObject(at, length, mask))
        return tuple(made)

    def _register_object(self, varp: int) -> StackObject:
        """The abi.RegArgs of a reflect stub, which no table lists (runtime/stkframe.go: methodValueCallFrameObjs)."""
        size, first, count = _REGISTER_ARGS[self.code.arch]
        if self._register_mask < 0:
            mask = np.zeros(first + count, dtype=np.bool_)
            mask[first:] = True
            self._register_mask = self.masks.add(mask)
        return StackObject(varp - size, size, self._register_mask)

    def stub_words(self, sp: int, fp: int) -> npt.NDArray[np.uint64]:
        """Live argument words of one frame of a reflect stub: addresses (runtime/stkframe.go: argMapInternal)."""
        memory = self.code.memory
        first = sp + self._frame_header
        if first >= fp - (0 if self.code.uses_lr else 8):
            return np.zeros(0, dtype=np.uint64)
        value, valid = memory.word(first), memory.read(first + 32, 1)
        record = memory.words(value, 3) if value else None  # fn, *bitvector, length of the arguments
        vector = memory.words(int(record[1]), 2) if record is not None and valid is not None else None
        if record is None or vector is None or valid is None:
            return np.zeros(0, dtype=np.uint64)
        bits = int(vector[0]) & 0xFFFFFFFF
        if not valid[0]:
            bits = min(bits, int(record[2]) // 8)
        data = memory.read(int(vector[1]), (bits + 7) // 8) if bits <= _MAX_BITS else None
        if not data:
            return np.zeros(0, dtype=np.uint64)
        live = np.flatnonzero(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:bits])
        return np.uint64(fp + self._frame_header) + live.astype(np.uint64) * np.uint64(8)


def _mask(memory: Memory, address: int, ptrdata: int) -> npt.NDArray[np.bool_] | None:
    words = abs(ptrdata) // 8
    if words > _MAX_BITS:
        return None
    if ptrdata < 0:
        try:  # four bytes with the length of the program come first (runtime/mbitmap.go: materializeGCProg)
            return run_gc_program(memory, address + 4, words)
        except FormatError:
            return None
    data = memory.read(address, (words + 7) // 8)
    if data is None:
        return None
    return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:words].astype(np.bool_)
