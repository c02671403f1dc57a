"""What the executable says about the addresses of a profile: functions, callees, types of maps. No symbols are needed.

A location of a profile is a return address (runtime/pprof/proto.go). Where runtime/pprof has hidden the runtime's own
frames (protomem.go: writeHeapProto), the call before the leaf's address leads into them: its target is the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mapscope.binary.callargs import first_arguments
from mapscope.binary.executable import Executable
from mapscope.binary.inline import inlined_at, innermost_name, innermost_names, unfold
from mapscope.binary.pclntab import shown_name
from mapscope.binary.rtype import Kind, RType
from mapscope.binary.textcode import TextCode
from mapscope.errors import FormatError

_TYPE_WORDS = {0x30: "key", 0x38: "elem", 0x40: "bucket"}
"""Offsets in runtime.maptype (abi.MapType, abi.SwissMapType), the same in every release from 1.19 to 1.27."""


class Symbols:
    """An executable as it was loaded in the process that made a profile: every address is higher by ``bias``."""

    def __init__(self, executable: Executable, bias: int) -> None:
        self.executable = executable
        self.bias = bias
        self.table = executable.functions_at(bias) if bias else executable.functions
        self._image = executable.image_at(bias)
        start = int(self.table.entry[0])
        data = executable.image.view(start - bias, self.table.end - start)
        if data is None:
            raise FormatError(f"the text of {executable.path} is not in the file", "use the whole executable")
        self._text = TextCode(data, start, executable.arch)
        self._types: dict[int, RType | None] = {}

    def name(self, pc: int) -> str:
        """The function of the source that return address ``pc`` stands for; empty where none is.

        A stack of the runtime has an address of its own for each inlined call, so the innermost function is meant.
        """
        index = self.table.find(pc - 1)
        return shown_name(innermost_name(self.table, self._image, index, pc - 1)) if index >= 0 else ""

    def names(self, pcs: npt.NDArray[np.uint64]) -> list[str]:
        """``name`` of many."""
        return [shown_name(name) for name in innermost_names(self.table, self._image, pcs - np.uint64(1))]

    def agrees(self, address: int, name: str, form: str) -> bool:
        """Whether the call at ``address`` is in function ``name``; text names the inlined one, protobuf the outermost.

        An inlined function of no line of its own can be named after its caller. Where the machine function is a wrapper
        that the compiler made (``main.main.gowrap1``), the traceback leaves it out and begins with what is inlined into
        it (runtime/traceback.go: elideWrapperCalling).
        """
        index = self.table.find(address)
        if index < 0:
            return False
        if shown_name(self.table.name(index)) == name:
            return True
        frames = unfold(self.table, self._image, index, address)
        return any(shown_name(frame.name) == name for frame in (frames if form == "text" else frames[-2:]))

    def line(self, pc: int) -> tuple[str, str, int]:
        """Function (the innermost), file and line of return address ``pc``."""
        index = self.table.find(pc - 1)
        if index < 0:
            return "", "", 0
        name = innermost_name(self.table, self._image, index, pc - 1)
        return (shown_name(name), *self.table.file_line(index, pc - 1))

    def outermost(self, pc: int) -> tuple[str, str, int]:
        """The machine function of return address ``pc``, with file and line in it."""
        index = self.table.find(pc - 1)
        if index < 0:
            return "", "", 0
        last = unfold(self.table, self._image, index, pc - 1)[-1]
        return shown_name(last.name), last.file, last.line

    def place(self, name: str) -> tuple[str, int]:
        """File and first line of the function ``name``; ("", 0) where there is none of that name."""
        index = self.table.index_of(name)
        if index < 0:
            return "", 0
        file, line = self.table.file_line(index, int(self.table.entry[index]))
        return (file, int(self.table.start_line[index]) or line) if file != "?" else ("", 0)

    def targets(self, pcs: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Index of the function that is called right before each return address; -1 where no direct call is there."""
        data, found = self._text.data, np.full(len(pcs), -1, np.int64)
        size = 5 if self._text.arch == "amd64" else 4
        low, high = self._text.start + size, self._text.start + data.size
        rows = np.flatnonzero((pcs >= np.uint64(low)) & (pcs <= np.uint64(high)))
        at = (pcs[rows] - np.uint64(self._text.start)).astype(np.int64)
        if self._text.arch == "amd64":
            rows, at = (column[data[at - 5] == 0xE8] for column in (rows, at))
            offset = _word(data, at - 4).view(np.int32).astype(np.int64)
            target = at + offset
        else:
            whole = at % 4 == 0
            rows, at = rows[whole], at[whole]
            word = _word(data, at - 4).astype(np.int64)
            calls = word >> 26 == 0b100101
            rows, at, word = rows[calls], at[calls], word[calls]
            offset = (word & 0x3FFFFFF) << 2
            target = at - 4 + offset - ((offset >> 27 & 1) << 28)
        inside = (target >= 0) & (target < data.size)
        rows, target = rows[inside], target[inside].astype(np.uint64) + np.uint64(self._text.start)
        index = np.searchsorted(self.table.entry, target).astype(np.int64)
        index = np.minimum(index, len(self.table) - 1)
        entry = self.table.entry[index] == target
        found[rows[entry]] = index[entry]
        self.executable.elf.forget()  # the calls lie all over the text
        return found

    def callee(self, pc: int, target: int) -> str:
        """The function that return address ``pc`` returns from; ``target`` is what ``targets`` says of it.

        Where the hidden functions are inlined, ``pc`` follows no call but the mark that the compiler left in their
        place (runtime/traceback.go: tracebackPCs), which the tree of inlined calls names.
        """
        if target >= 0:
            return shown_name(self.table.name(target))
        index = self.table.find(pc - 1)
        return shown_name(inlined_at(self.table, self._image, index, pc - 1)) if index >= 0 else ""

    def code(self, low: int, high: int) -> TextCode:
        """The code in [low, high), which must lie in the text."""
        begin, end = low - self._text.start, high - self._text.start
        return TextCode(self._text.data[begin:end].data, low, self._text.arch)

    def map_type(self, pc: int) -> RType | None:
        """``map_types`` of one return address."""
        return self.map_types([pc])[0]

    def map_types(self, pcs: Sequence[int]) -> list[RType | None]:
        """The map type whose address is put into the first argument before the call that returns to each of ``pcs``.

        None where it comes from elsewhere (a dictionary of a generic function, reflection).
        """
        new = np.array([pc for pc in pcs if pc not in self._types], np.uint64)
        if len(new):
            low, high = (self.bias + one for one in (self.executable.module.types, self.executable.module.etypes))
            found = first_arguments(self._text, self.table, new, low, high)
            known = {0: None} | {at: self._map_at(at - self.bias) for at in set(found.tolist()) - {0}}
            self._types.update(zip(new.tolist(), map(known.__getitem__, found.tolist()), strict=True))
        return [self._types[pc] for pc in pcs]

    def _map_at(self, address: int) -> RType | None:
        found = self.executable.types_in_file.at(address)
        return found if found is not None and found.kind is Kind.MAP and found.map is not None else None

    def types(self) -> list[RType]:
        """The map types that were found so far."""
        return list({one.address: one for one in self._types.values() if one is not None}.values())

    def allocates(self, pc: int) -> str:
        """What the call in runtime.mapassign that returns to ``pc`` allocates: ``"key"``, ``"elem"`` or ``"bucket"``.

        It is the field of the map's type that is loaded into the first argument; empty where that is not seen.
        """
        if self._text.arch != "amd64" or not self._text.start + 32 <= pc <= self._text.end:
            return ""
        at = pc - self._text.start - 5
        code = self._text.data[at - 24 : at].tolist()
        for k in range(len(code) - 4, -1, -1):
            # MOV RAX, [register + 8-bit offset]
            if code[k] in (0x48, 0x49) and code[k + 1] == 0x8B and code[k + 2] >> 3 == 0b01000 and code[k + 2] & 7 != 4:
                return _TYPE_WORDS.get(code[k + 3], "")
        return ""


def _word(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    value = data[at].astype(np.uint32)
    for byte in (1, 2, 3):
        value |= data[at + byte].astype(np.uint32) << np.uint32(8 * byte)
    return value
