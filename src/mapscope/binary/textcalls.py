"""Which runtime functions name types at their calls, and method calls on globals, found without decoding."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.arrays import among, common
from mapscope.binary.pclntab import FunctionTable
from mapscope.binary.rtypes import TypeReader
from mapscope.binary.textcode import References, TextCode

_MAP_USE = re.compile(
    r"runtime\.(?:mapaccess[12K](?:_fat|_fast32|_fast64|_faststr)?|mapassign(?:_fast32|_fast64|_fast32ptr|_fast64ptr"
    r"|_faststr)?|mapdelete(?:_fast32|_fast64|_faststr)?|mapiterinit|mapIterStart|mapclear)$"
)
_ITERATOR_INIT = "internal/runtime/maps.(*Iter).Init"
_MAP_MAKE = re.compile(r"runtime\.makemap(?:64)?$")
_ALLOCATE = {
    "runtime.newobject": (0, "pointer"),
    "runtime.makeslice": (0, "slice"),
    "runtime.makeslice64": (0, "slice"),
    "runtime.makeslicecopy": (0, "slice"),
    "runtime.makechan": (0, "chan"),
    "runtime.makechan64": (0, "chan"),
}
_MALLOC = re.compile(r"runtime\.mallocgc(?:Small\w+|Tiny\w*)?$")
_GROW = re.compile(r"runtime\.growslice(?:Buf)?(?:NoAlias)?$")
_TYPED = {"runtime.typedmemmove", "runtime.typedmemclr", "runtime.wbZero", "runtime.wbMove"}
_METHOD = re.compile(r"(.+?)\.\(\*(\w+)\)\.[^.\[]+$")
_GENERIC = re.compile(r"(.+?)\.\(\*(\w+)\[.*\]\)\.[^.\[]+$")
_GAP = 8
_MAX_DICTIONARY = 128
_WINDOW = 64
_NOPS = (0x90, 0x0F, 0x66)


class Callees(Struct):
    """Entries of the runtime's functions that name a type, by what they do.

    ``maps``: entry → (which argument is the map type, which the map). ``makes``: the first is the type of the map,
    which is the result. ``allocations``: entry → (which argument is the type, what the result is, see
    TextFacts.global_types). ``typed``: the first argument is the type of what the second points to.
    """

    maps: dict[int, tuple[int, int]] = field(default_factory=dict)
    makes: set[int] = field(default_factory=set)
    allocations: dict[int, tuple[int, str]] = field(default_factory=dict)
    typed: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, table: FunctionTable, series: tuple[int, int]) -> Callees:
        """Look them up by name. The compiler calls mallocgc and its kin itself from Go 1.26 on (cmd/compile ssagen)."""
        found = cls()
        for index, name in enumerate(table.names()):
            if not name.startswith(("runtime.", "internal/runtime/maps.")):
                continue
            entry = int(table.entry[index])
            if _MAP_USE.match(name):
                found.maps[entry] = (0, 1)
            elif name == _ITERATOR_INIT:
                found.maps[entry] = (1, 2)
            elif _MAP_MAKE.match(name):
                found.makes.add(entry)
            elif name in _ALLOCATE:
                found.allocations[entry] = _ALLOCATE[name]
            elif _MALLOC.match(name):
                found.allocations[entry] = (1, "pointer")
            elif _GROW.match(name):
                found.allocations[entry] = (0 if series < (1, 20) else 4, "slice")
            elif name in _TYPED:
                found.typed.add(entry)
        return found

    def wanted(self) -> set[int]:
        """All of them."""
        return {*self.maps, *self.makes, *self.allocations, *self.typed}


def adjacent(
    code: TextCode, made: References, calls: References
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs (index in ``made``, index in ``calls``): the instruction and, with nothing but padding between, the call.

    Only instructions that set the first argument's register (number 0 in the encodings of amd64 and arm64) count.
    """
    first = np.flatnonzero(made.register == 0)
    ends = made.end[first]
    at = np.searchsorted(ends, calls.site, "right").astype(np.int64) - 1
    call = np.flatnonzero(at >= 0)
    at = at[call]
    gap = (calls.site[call] - ends[at]).astype(np.int64)
    padding = code.data[np.minimum((ends[at] - np.uint64(code.start)).astype(np.int64), code.data.size - 1)]
    near = (gap == 0) | ((gap <= _GAP) & among(padding, _NOPS) & (code.arch == "amd64"))
    return first[at[near]], call[near]


class Methods:
    """Methods with pointer receivers whose type has a descriptor: ``receiver[entry]`` is the type's address.

    For a method of a generic type the type depends on the dictionary that is the second argument: ``generic[entry]``
    are the instances of the type, name → address, and ``instance`` chooses among them.
    """

    def __init__(
        self, table: FunctionTable, types: TypeReader, known: npt.NDArray[np.uint64], calls: References
    ) -> None:
        """``known``: the types that are there. Only methods that are called are looked at.

        Generic ones are left out.
        """
        by_name: dict[tuple[str, str], int] = {}
        instances: dict[tuple[str, str], dict[str, int]] = {}
        for address in known.tolist():
            rtype = types.at(address)
            if rtype is not None and rtype.named:
                name, bracket, arguments = rtype.name.partition("[")
                key = types.package_path(rtype), name.rpartition(".")[2]
                if bracket:
                    instances.setdefault(key, {})[bracket + arguments] = address
                else:
                    by_name[key] = address
        self._types = types
        self.receiver: dict[int, int] = {}
        self.generic: dict[int, dict[str, int]] = {}
        for entry in common(calls.target, table.entry).tolist():
            name = table.name(table.find(entry))
            found = _METHOD.match(name) or _GENERIC.match(name)
            if found is not None:
                path, slash, last = found[1].rpartition("/")
                key = path + slash + _unescaped(last), found[2]
                if "[" in name:
                    self.generic[entry] = instances.get(key, {})
                elif key in by_name:
                    self.receiver[entry] = by_name[key]

    def instance(self, entry: int, dictionary: int, low: int, high: int) -> int:
        """The receiver's type of generic method ``entry`` called with ``dictionary``; 0 when it is not sure.

        A dictionary (cmd/compile/internal/noder/reader.go) holds other dictionaries, then the types needed;
        the first that is made of type arguments of an instance of the receiver names them. ``low`` and ``high`` bound
        the types.
        """
        raw = self._types.read(dictionary, 8 * _MAX_DICTIONARY) or b""
        for address in np.frombuffer(raw, "<u8").tolist():
            rtype = self._types.at(address) if low <= address < high else None
            if rtype is not None and (at := rtype.name.find("[")) >= 0 and rtype.name[at:] in self.generic[entry]:
                return self.generic[entry][rtype.name[at:]]
        return 0

    def called_on(self, code: TextCode, calls: References, low: int, high: int) -> list[tuple[int, int, str]]:
        """(global, type, what): such methods called right after argument 0 became a global's address or word.

        ``low`` and ``high`` bound the data. "value": such a value lies at the address; "pointer": the word points to
        one.
        """
        result: set[tuple[int, int, str]] = set()
        for made, what in ((code.addresses(low, high), "value"), (code.loads(low, high), "pointer")):
            for instruction, call in zip(*(column.tolist() for column in adjacent(code, made, calls)), strict=True):
                of = self.receiver.get(int(calls.target[call]))
                if of is not None:
                    result.add((int(made.target[instruction]), of, what))
        return sorted(result)

    def windows(self, code: TextCode, calls: References, low: int, high: int) -> list[tuple[int, int, int]]:
        """(start, end, callee) of code to decode: a use of a global shortly before such a call, up to its end."""
        sites = among(calls.target, np.array(sorted({*self.receiver, *self.generic}), np.uint64))
        addresses = code.addresses(code.start, high)
        loads = code.loads(low, high)
        uses = np.sort(np.concatenate([addresses.site[addresses.target >= np.uint64(low)], loads.site]))
        starts = np.sort(np.concatenate([addresses.site, loads.site]))
        site, end, target = calls.site[sites], calls.end[sites], calls.target[sites]
        near = np.searchsorted(uses, site) > np.searchsorted(uses, site - np.uint64(_WINDOW))
        site, end, target = site[near], end[near], target[near]
        begin = starts[np.searchsorted(starts, site - np.uint64(_WINDOW))] if site.size else site
        return list(zip(begin.tolist(), end.tolist(), target.tolist(), strict=True))


def _unescaped(path: str) -> str:
    """The last element of an import path as it is: symbols have a dot in it as %2e (cmd/internal/objabi/path.go)."""
    return re.sub("%([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), path)
