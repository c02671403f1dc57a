"""The function table that every Go executable keeps, stripped or not: names, entries, frame sizes, stack maps, lines.

The linker writes it (cmd/link/internal/ld/pcln.go), the runtime reads it (runtime/symtab.go: pcHeader, functab, _func,
pcvalue, funcdata). The format has been the same since Go 1.18 but for three things: the magic number and the field
``startLine`` of ``_func`` (1.20), and ``textStart`` of the header, which is 0 from Go 1.26 on (the text address is then
moduledata's).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.errors import FormatError

MAGIC_118 = 0xFFFFFFF0
"""Go 1.18 and 1.19 (internal/abi/symtab.go, Go118PCLnTabMagic)."""
MAGIC_120 = 0xFFFFFFF1
"""Go 1.20 and later (Go120PCLnTabMagic)."""
MAGIC_116 = 0xFFFFFFFA
MAGIC_12 = 0xFFFFFFFB

# runtime/symtab.go up to 1.19, internal/abi/symtab.go since: the same numbers in every release from 1.18 to 1.27.
PCDATA_UNSAFE_POINT = 0
PCDATA_STACK_MAP_INDEX = 1
PCDATA_INL_TREE_INDEX = 2
PCDATA_ARG_LIVE_INDEX = 3
FUNCDATA_ARGS_POINTER_MAPS = 0
FUNCDATA_LOCALS_POINTER_MAPS = 1
FUNCDATA_STACK_OBJECTS = 2
FUNCDATA_INL_TREE = 3
FUNCDATA_OPEN_CODED_DEFER_INFO = 4
FUNCDATA_ARG_INFO = 5
FUNCDATA_ARG_LIVE_INFO = 6
FUNCDATA_WRAP_INFO = 7

FLAG_TOP_FRAME = 1
"""internal/abi/symtab.go FuncFlagTopFrame: the walk of a stack ends here and is complete."""
FLAG_SP_WRITE = 2
"""FuncFlagSPWrite: the function sets SP freely, its frame size is not to be trusted."""
FLAG_ASM = 4
"""FuncFlagAsm: written in assembly."""
ARGS_SIZE_UNKNOWN = -0x80000000
"""internal/abi/symtab.go ArgsSizeUnknown: value of ``args`` when the size of the arguments is not known."""

HEADER_SIZE = 72
_NO_FUNCDATA = 0xFFFFFFFF
_MAX_NAME = 1 << 16
_SHORT = 256
_MAX_FUNCTIONS = 1 << 24
_MAX_STEPS = 1 << 20


class PclnHeader(Struct, frozen=True):
    """runtime/symtab.go pcHeader. Offsets are in bytes from the header; ``text_start`` is 0 from Go 1.26 on."""

    magic: int
    quantum: int
    pointer_size: int
    nfunc: int
    nfiles: int
    text_start: int
    funcname_offset: int
    cu_offset: int
    filetab_offset: int
    pctab_offset: int
    pcln_offset: int


def parse_header(data: bytes | memoryview) -> PclnHeader:
    """The header at the start of ``data``; FormatError when it is none that Go 1.18 or later writes for 64 bits."""
    if len(data) < HEADER_SIZE:
        raise FormatError("pclntab is cut short: no room for its header", "use the whole executable")
    magic = int.from_bytes(data[:4], "little")
    if magic in (MAGIC_116, MAGIC_12):
        raise FormatError("pclntab is of Go 1.17 or older", "mapscope reads Go 1.19 and later")
    if magic not in (MAGIC_118, MAGIC_120) or data[4] or data[5] or data[6] not in (1, 2, 4):
        raise FormatError("no pclntab header here", "check that the executable is a Go program")
    if data[7] != 8:
        raise FormatError(f"pclntab has {data[7]}-byte pointers", "mapscope reads 64-bit programs")
    words = np.frombuffer(data, "<u8", 8, 8).tolist()
    nfunc, nfiles, text_start, funcname, cutab, filetab, pctab, pcln = words
    if not (0 < nfunc < _MAX_FUNCTIONS and HEADER_SIZE <= funcname <= cutab <= filetab <= pctab <= pcln < 1 << 40):
        raise FormatError("the header of pclntab is not plausible", "the executable is damaged or obfuscated")
    return PclnHeader(magic, data[6], data[7], nfunc, nfiles, text_start, funcname, cutab, filetab, pctab, pcln)


def is_header(data: bytes | memoryview) -> bool:
    """Whether ``data`` starts with a plausible pclntab header (for searching)."""
    try:
        parse_header(data)
    except FormatError:
        return False
    return True


def shown_name(name: str) -> str:
    """The name without type arguments, as the runtime prints it (runtime/symtab.go: funcNameForPrint)."""
    start, end = name.find("["), name.rfind("]")
    return name[:start] + "[...]" + name[end + 1 :] if 0 <= start < end else name


class FunctionTable:
    """Functions in ascending order of entry, one row a function, as NumPy columns of length ``len(table)``.

    ``entry`` (u8, absolute, with the bias), ``nameoff``, ``args``, ``deferreturn``, ``pcsp``, ``pcfile``, ``pcln``,
    ``npcdata``, ``cu_offset``, ``start_line`` (0 before Go 1.20), ``func_id``, ``flag``, ``nfuncdata``: the fields of
    runtime._func. ``end`` is the address after the last function.
    """

    def __init__(
        self,
        data: bytes | memoryview,
        *,
        address: int = 0,
        text: int = 0,
        gofunc: int = 0,
        bias: int = 0,
        text_sections: tuple[tuple[int, int, int], ...] = (),
    ) -> None:
        """Parse ``data``, the bytes of pclntab, which lie at ``address``.

        ``text`` is moduledata.text (0: the header's textStart), ``gofunc`` moduledata.gofunc, both without ``bias``,
        which is added to every address given out. ``text_sections`` are moduledata.textsectmap's (vaddr, end,
        baseaddr). FormatError when the tables do not fit the bytes.
        """
        header = parse_header(data)
        self.header = header
        self.address = address + bias
        self.bias = bias
        self.text = (text or header.text_start) + bias
        self._gofunc = gofunc + bias if gofunc else 0
        self._data = memoryview(data)
        words = np.frombuffer(data, "<u4", len(data) // 4)
        nfunc = header.nfunc
        first = header.pcln_offset // 4
        if header.pcln_offset % 4 or first + 2 * nfunc + 1 > words.size:
            raise FormatError("pclntab is cut short: its functab does not fit", "use the whole executable")
        functab = words[first : first + 2 * nfunc + 1]
        offsets = functab[0::2].astype(np.uint64)
        if np.any(offsets[1:] < offsets[:-1]):
            raise FormatError("pclntab's functions are not sorted by entry", "the executable is damaged")
        addresses = self._absolute(offsets, text_sections, bias)
        self.entry: npt.NDArray[np.uint64] = addresses[:-1]
        self.end = int(addresses[-1])
        size = 44 if header.magic == MAGIC_120 else 40
        funcoff = functab[1::2].astype(np.int64)
        if np.any(funcoff % 4) or (nfunc and int(funcoff.max()) // 4 + first + size // 4 > words.size):
            raise FormatError("pclntab is cut short: a function record lies outside", "use the whole executable")
        record = funcoff // 4 + first
        self._variable = record + size // 4
        self._words = words
        self.nameoff: npt.NDArray[np.uint32] = words[record + 1]
        self.args: npt.NDArray[np.int32] = words[record + 2].view(np.int32)
        self.deferreturn: npt.NDArray[np.uint32] = words[record + 3]
        self.pcsp: npt.NDArray[np.uint32] = words[record + 4]
        self.pcfile: npt.NDArray[np.uint32] = words[record + 5]
        self.pcln: npt.NDArray[np.uint32] = words[record + 6]
        self.npcdata: npt.NDArray[np.uint32] = words[record + 7]
        self.cu_offset: npt.NDArray[np.uint32] = words[record + 8]
        if header.magic == MAGIC_120:
            self.start_line: npt.NDArray[np.int32] = words[record + 9].view(np.int32)
        else:
            self.start_line = np.zeros(nfunc, np.int32)
        last = words[self._variable - 1]
        self.func_id: npt.NDArray[np.uint8] = (last & 0xFF).astype(np.uint8)
        self.flag: npt.NDArray[np.uint8] = (last >> 8 & 0xFF).astype(np.uint8)
        self.nfuncdata: npt.NDArray[np.uint8] = (last >> 24).astype(np.uint8)
        self._tables: dict[int, tuple[list[int], list[int]]] = {}
        self._names: list[str] | None = None
        self._name_blob: bytes | None = None

    def _absolute(
        self, offsets: npt.NDArray[np.uint64], sections: tuple[tuple[int, int, int], ...], bias: int
    ) -> npt.NDArray[np.uint64]:
        """runtime/symtab.go moduledata.textAddr, for all functions at once."""
        result = offsets + np.uint64(self.text)
        if len(sections) > 1:
            for index, (vaddr, end, base) in enumerate(sections):
                inside = (offsets >= vaddr) & (offsets < end + (index == len(sections) - 1))
                result[inside] = offsets[inside] - np.uint64(vaddr) + np.uint64(base + bias)
        return result

    def __len__(self) -> int:
        return int(self.entry.size)

    @property
    def size(self) -> int:
        """Bytes of pclntab that were given."""
        return len(self._data)

    def name(self, i: int) -> str:
        """Name of function ``i`` as the linker knows it (``main.(*T).Method``); empty when it is not readable."""
        if self._names is not None:
            return self._names[i]
        return self.name_at(int(self.nameoff[i]))

    def name_at(self, nameoff: int) -> str:
        """The function name at offset ``nameoff`` of the name table (also what inline trees refer to)."""
        if nameoff < 0:
            return ""
        blob, begin = self._blob(), nameoff + 1
        end = blob.find(b"\0", begin, begin + _MAX_NAME)
        return blob[begin : end if end >= 0 else begin + _MAX_NAME].decode("utf-8", "replace")

    def names(self) -> list[str]:
        """Names of all functions, in order; decoded once."""
        if self._names is None:
            self._names = [self.name_at(off) for off in self.nameoff.tolist()]
        return self._names

    def _blob(self) -> bytes:
        if self._name_blob is None:
            self._name_blob = b"\0" + bytes(self._data[self.header.funcname_offset : self.header.cu_offset]) + b"\0"
        return self._name_blob

    def indices_of(self, name: str) -> list[int]:
        """Every function of this ``name``: an assembly function and its ABI wrapper have the same one."""
        blob = self._blob()
        wanted = b"\0" + name.encode() + b"\0"
        found: list[int] = []
        at = blob.find(wanted)
        while at >= 0:
            found.extend(np.flatnonzero(self.nameoff == at).tolist())
            at = blob.find(wanted, at + 1)
        return found

    def indices_by_shown(self, wanted: Collection[str]) -> dict[str, list[int]]:
        """Functions by their names without type arguments (``shown_name``), those of ``wanted`` alone."""
        blob, at = self._blob()[1:-1], 0
        begins: list[int] = []
        names: list[str] = []
        for piece in blob.split(b"\0"):
            name = piece.decode("utf-8", "replace")
            name = shown_name(name) if "[" in name else name
            if name in wanted:
                begins.append(at)
                names.append(name)
            at += len(piece) + 1
        order = np.argsort(self.nameoff, kind="stable")
        ordered = self.nameoff[order]
        low, high = (np.searchsorted(ordered, np.array(begins, np.int64), side).tolist() for side in ("left", "right"))
        found: dict[str, list[int]] = {}
        for name, begin, end in zip(names, low, high, strict=True):
            if begin < end:
                found.setdefault(name, []).extend(order[begin:end].tolist())
        return {name: sorted(rows) for name, rows in found.items()}

    def index_of(self, name: str) -> int:
        """The first function of this ``name``, or -1."""
        found = self.indices_of(name)
        return found[0] if found else -1

    def end_of(self, i: int) -> int:
        """Address after function ``i``: the entry of the next one, padding included."""
        return int(self.entry[i + 1]) if i + 1 < len(self) else self.end

    def find(self, pc: int) -> int:
        """Index of the function that holds address ``pc``, or -1."""
        if not len(self) or not int(self.entry[0]) <= pc < self.end:
            return -1
        return int(np.searchsorted(self.entry, np.uint64(pc), "right")) - 1

    def find_many(self, pcs: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """``find`` for a column of addresses; -1 where no function is."""
        found = np.searchsorted(self.entry, pcs, "right").astype(np.int64) - 1
        found[pcs >= np.uint64(self.end)] = -1
        return found

    def pcvalue(self, offset: int, entry: int, pc: int) -> int:
        """Value at ``pc`` of the pc-value table at ``offset`` of pctab (runtime/symtab.go pcvalue).

        -1 when it says none.
        """
        if offset == 0:
            return -1
        ends, values = self._table(offset)
        at = bisect_right(ends, pc - entry)
        return values[at] if pc >= entry and at < len(values) else -1

    def pcvalues(self, offset: int) -> tuple[list[int], list[int]]:
        """The whole table: ends of the ranges (bytes from the entry of the function) and their values."""
        return self._table(offset) if offset else ([], [])

    def _table(self, offset: int) -> tuple[list[int], list[int]]:
        known = self._tables.get(offset)
        if known is not None:
            return known
        data, limit, quantum = self._data, min(self.header.pcln_offset, len(self._data)), self.header.quantum
        at = self.header.pctab_offset + offset
        ends: list[int] = []
        values: list[int] = []
        pc, value = 0, -1
        for step in range(_MAX_STEPS):
            delta, at = _varint(data, at, limit)
            if delta == 0 and step:
                break
            if delta < 0:
                break
            value += -(delta >> 1) - 1 if delta & 1 else delta >> 1
            delta, at = _varint(data, at, limit)
            if delta < 0:
                break
            pc += delta * quantum
            ends.append(pc)
            values.append(value)
        self._tables[offset] = ends, values
        return ends, values

    def pcdata_offset(self, i: int, table: int) -> int:
        """Offset in pctab of PCDATA ``table`` of function ``i``; 0 when it has none."""
        at = int(self._variable[i]) + table
        if table >= int(self.npcdata[i]) or at >= self._words.size:
            return 0
        return int(self._words[at])

    def pcdata(self, i: int, table: int, pc: int) -> int:
        """Value of PCDATA ``table`` (``PCDATA_…``) of function ``i`` at ``pc``; -1 when there is none."""
        return self.pcvalue(self.pcdata_offset(i, table), int(self.entry[i]), pc)

    def funcdata(self, i: int, k: int) -> int | None:
        """Address of FUNCDATA ``k`` (``FUNCDATA_…``) of function ``i``, bias included; None when it has none."""
        at = int(self._variable[i]) + int(self.npcdata[i]) + k
        if k >= int(self.nfuncdata[i]) or not self._gofunc or at >= self._words.size:
            return None
        offset = int(self._words[at])
        return None if offset == _NO_FUNCDATA else self._gofunc + offset

    def frame_size(self, i: int, pc: int) -> int:
        """Bytes between SP at ``pc`` and the return address of function ``i`` (funcspdelta).

        -1 when it is not known.
        """
        return self.pcvalue(int(self.pcsp[i]), int(self.entry[i]), pc)

    def file_line(self, i: int, pc: int) -> tuple[str, int]:
        """File and line of ``pc`` in function ``i`` (funcline1), before inlining is unfolded.

        ("?", 0) when not known.
        """
        entry = int(self.entry[i])
        number = self.pcvalue(int(self.pcfile[i]), entry, pc)
        line = self.pcvalue(int(self.pcln[i]), entry, pc)
        return (self.file_of(i, number), line) if number >= 0 and line >= 0 else ("?", 0)

    def file_of(self, i: int, number: int) -> str:
        """Name of file ``number`` of the compilation unit of function ``i``; "?" when not known."""
        at = self.header.cu_offset + 4 * (int(self.cu_offset[i]) + number)
        if number < 0 or at % 4 or at + 4 > self.header.filetab_offset or at // 4 >= self._words.size:
            return "?"
        offset = int(self._words[at // 4])
        if offset == 0xFFFFFFFF:
            return "?"
        return self._string(self.header.filetab_offset + offset, self.header.pctab_offset) or "?"

    def _string(self, at: int, limit: int) -> str:
        limit = min(at + _MAX_NAME, limit, len(self._data))
        for most in (_SHORT, _MAX_NAME):  # nearly all are short, and copying the rest takes longer than all else
            text = bytes(self._data[at : min(at + most, limit)])
            end = text.find(b"\0")
            if end >= 0:
                break
        return text[: end if end >= 0 else None].decode("utf-8", "replace")


def _varint(data: memoryview, at: int, limit: int) -> tuple[int, int]:
    """An unsigned varint of at most 32 bits at ``at``, and the place after it; (-1, at) when it does not fit."""
    value = shift = 0
    while at < limit and shift < 35:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFF, at
        shift += 7
    return -1, at
