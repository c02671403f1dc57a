"""Makes a large heap profile of a real program, of the form that runtime/pprof writes.

Stacks are random walks up the program's own call graph. Every location is the return address of a direct call in its
text; functions, files and lines are what its pclntab says, inlined calls unfolded; every leaf calls an allocating
function of the runtime. So addresses, names and numbers are those of a real service, and only which stacks there are,
how deep, and their values are chance. The same seed makes the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference import pprof as wire
from mapscope.binary.executable import Executable
from mapscope.binary.inline import innermost_names, unfold
from mapscope.binary.textcode import TextCode
from mapscope.profiles.model import Builder, Profile
from mapscope.profiles.protobuf import write_protobuf

_TYPES = (("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"))
LEAVES = (
    *("runtime.newobject", "runtime.makeslice", "runtime.growslice", "runtime.makechan", "runtime.newproc"),
    *("runtime.concatstring2", "runtime.concatstrings", "runtime.slicebytetostring", "runtime.convTstring"),
    *("runtime.makemap", "runtime.makemap_small", "internal/runtime/maps.NewMap", "internal/runtime/maps.NewEmptyMap"),
    *("runtime.mapassign", "runtime.mapassign_faststr", "runtime.mapassign_fast64", "runtime.mapassign_fast32"),
    *("runtime.mapassign_fast64ptr", "runtime.mapassign_fast32ptr"),
)
_HIDDEN = ("runtime.", "internal/runtime/")
_SIZES = (8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 208, 288, 416, 576, 1152, 2304, 4864, 9472, 18432, 40960, 155648)
_PERIOD = 524_288
_SHALLOW, _DEEP = 4, 48
"""Frames of a stack."""
_OTHERS = 3
_BYTES_A_SAMPLE = 150
"""More than a sample takes with its share of the places: how many are made first."""
_PAGE = 4096

Rows = npt.NDArray[np.int64]


def write(executable: Path, target: Path, size: int, seed: int = 5) -> tuple[int, int]:
    """Writes a profile of about ``size`` bytes, not compressed. Says how many samples and locations it has."""
    calls = _Calls(Executable.open(executable))
    count = size // _BYTES_A_SAMPLE
    made = calls.profile(count, seed)
    written = write_protobuf(made)
    while len(written) < size:  # samples share places: the more there are, the fewer bytes each takes
        count = max(count * size // len(written), count + 100)
        made = calls.profile(count, seed)
        written = write_protobuf(made)
    target.write_bytes(written)
    return len(made), len(made.locations)


class _Calls:
    """The direct calls of a program: a row each, with the function that it lies in and the one that it calls."""

    def __init__(self, program: Executable) -> None:
        self.program = program
        self.table = table = program.functions
        start = int(table.entry[0])
        data = program.image.view(start, table.end - start)
        assert data is not None
        found = TextCode(data, start, program.arch).calls()
        callee = np.minimum(np.searchsorted(table.entry, found.target), len(table) - 1)
        caller = table.find_many(found.site)
        names = table.names()
        own = np.array([not name.startswith(_HIDDEN) for name in names])
        allocates = np.array([name in LEAVES for name in names])
        good = (table.entry[callee] == found.target) & (caller >= 0) & own[caller]
        order = np.flatnonzero(good)[np.argsort(callee[good], kind="stable")]
        self.end, self.caller, self.callee = found.end[order], caller[order], callee[order]
        leaves = np.flatnonzero(allocates[self.callee])
        # runtime/pprof hides the runtime's frames at the leaf, inlined ones too
        inner = innermost_names(table, program.image, self.end[leaves] - np.uint64(1))
        self.leaves = leaves[[not name.startswith(_HIDDEN) for name in inner]]
        self.first = np.searchsorted(self.callee, np.arange(len(table) + 1))
        # what nobody calls directly is called through an interface, a closure or as a goroutine: from these places
        self.others = np.random.default_rng(0).integers(0, len(self.end), (len(table), _OTHERS))

    def walks(self, count: int, chance: np.random.Generator) -> tuple[Rows, Rows]:
        """Calls of ``count`` stacks, the leaf first, and where each stack ends."""
        depth = chance.integers(_SHALLOW, _DEEP, count)
        steps = np.full((count, _DEEP), -1, np.int64)
        at = self.leaves[_chosen(chance, np.full(count, len(self.leaves)))]
        for step in range(_DEEP):
            steps[:, step] = np.where(step < depth, at, -1)
            function = self.caller[at]
            many = self.first[function + 1] - self.first[function]
            other = self.others[function, chance.integers(0, _OTHERS, count)]
            at = np.where(many > 0, self.first[function] + _chosen(chance, np.maximum(many, 1)), other)
        return steps[steps >= 0], np.cumsum(depth)

    def profile(self, count: int, seed: int) -> Profile:
        """A profile of ``count`` samples."""
        chance = np.random.default_rng(seed)
        builder = Builder()
        builder.types(*_TYPES)
        builder.period("space", "bytes", _PERIOD)
        first = int(self.table.entry[0]) // _PAGE * _PAGE
        path = builder.string(str(self.program.path))
        builder.rows[wire.MAPPINGS].append([1, first, self.table.end, 0, path, 0, 1, 1, 1, 1])
        stacks, ends = self.walks(count, chance)
        used, rows = np.unique(stacks, return_inverse=True)
        for call in used.tolist():
            self.location(builder, call)
        key = builder.string("bytes")
        base = builder.build(str(self.program.path), "protobuf")
        tables = list(base.tables)
        size = np.array(_SIZES)[_chosen(chance, np.full(count, len(_SIZES)))]
        made = np.maximum(_PERIOD // size, 1) * chance.integers(1, 9, count)
        live = np.where(chance.random(count) < 0.5, made // 2, 0)
        tables[wire.VALUES] = np.stack([made, made * size, live, live * size], axis=1).reshape(-1, 1)
        tables[wire.LABELS] = np.stack([np.full(count, key), size * 0, size, np.full(count, key)], axis=1)
        row = np.arange(1, count + 1)
        tables[wire.SAMPLES] = np.stack([ends, row * len(_TYPES), row], axis=1)
        return Profile(
            base.origin, base.form, base.kind, base.text, tuple(tables), base.types,
            tables[wire.VALUES].reshape(count, -1), rows.astype(np.int32), base.function_of,
        )  # fmt: skip

    def location(self, builder: Builder, call: int) -> None:
        """The location of a call: the address before the one that it returns to (runtime/pprof/proto.go)."""
        address = int(self.end[call]) - 1
        frames = unfold(self.table, self.program.image, int(self.caller[call]), address)
        lines = [(builder.function(one.name, one.name, one.file, one.start_line), one.line) for one in frames]
        builder.location(address, 1, lines)


def _chosen(chance: np.random.Generator, many: Rows) -> Rows:
    """A number below each of ``many``, the first ones far more often: some places are hot."""
    return (chance.random(len(many)) ** 2 * many).astype(np.int64)
