"""Where the process of a profile had its executable in memory, and whether it is that executable at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mapscope._kernels.reference import pprof as wire
from mapscope.binary.executable import Executable
from mapscope.binary.pclntab import shown_name
from mapscope.errors import ExecutableError
from mapscope.profiles.model import Profile
from mapscope.profiles.symbols import Symbols

_PAGE = 4096
_USER_SPACE = 1 << 47
_WORD = (1 << 64) - 1
_VOTERS = 400
_MAY_DIFFER = 0.02
"""Share of the functions of a profile that need not lie where they lie in the executable."""


def open_symbols(executable: Executable, profile: Profile) -> Symbols:
    """The executable where the profile's process had it. ExecutableError when it is not the one that made it.

    Most profiles say it themselves; only where functions lie elsewhere all functions of these names are looked for.
    """
    addresses, names = _named(profile)
    said = _said(executable, profile)
    for bias in said:
        symbols = symbols_at(executable, bias)
        wrong = _wrong(symbols, addresses, names, profile.form)
        if not wrong:
            break
    else:
        if executable.elf.kind != "EXEC":
            spans = _spans(executable, addresses, names)
            found = _usable([*said, *_voted(spans)])
            best = max(found, key=lambda bias: sum(any(a <= bias <= b for a, b in one) for one in spans))
            symbols = symbols_at(executable, best)
            wrong = _wrong(symbols, addresses, names, profile.form)
    executable.elf.forget()  # every function was looked up: few of these pages are read again
    build_id = profile.string(int(profile.tables[wire.MAPPINGS][0, 5])) if len(profile.tables[wire.MAPPINGS]) else ""
    own = executable.elf.build_id
    if wrong > _MAY_DIFFER * len(names) or (own and len(build_id) == len(own) and build_id != own):
        raise ExecutableError(
            f"{executable.path} is not the program that made {profile.origin}: {wrong:,} of {len(names):,} functions "
            "lie elsewhere in it",
            "give the very file that ran; a rebuilt one has other addresses",
        )
    return symbols


@lru_cache(maxsize=2)
def symbols_at(executable: Executable, bias: int) -> Symbols:
    """``Symbols``, the same object for all profiles of a series: what it finds out it finds out once."""
    return Symbols(executable, bias)


def _wrong(symbols: Symbols, addresses: Sequence[int], names: Sequence[str], form: str) -> int:
    """How many are not where they should be. Most are the machine function itself, which is named once."""
    where = symbols.table.find_many(np.array([at & _WORD for at in addresses], np.uint64)).tolist()
    named = {index: shown_name(symbols.table.name(index)) for index in set(where) if index >= 0}
    rows = zip(addresses, names, where, strict=True)
    return sum(named.get(index) != name and not symbols.agrees(at, name, form) for at, name, index in rows)


def _named(profile: Profile) -> tuple[list[int], list[str]]:
    """Addresses of some locations (of the call, not the return) and the name of the outermost function there."""
    addresses, names = [], []
    ends = profile.locations[:, 3]
    begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    usable = (ends > begins) & (profile.locations[:, 2] != 0)
    mappings = profile.tables[wire.MAPPINGS]
    if len(mappings):  # the first is the program's (runtime/pprof/proto.go: readMapping); others are of libraries
        usable &= profile.locations[:, 1] == mappings[0, 0]
    rows = np.flatnonzero(usable)
    for row in rows[:: max(1, len(rows) // _VOTERS)].tolist():
        function = int(profile.function_of[int(ends[row]) - 1])
        if function >= 0:
            addresses.append(int(profile.locations[row, 2]) - 1)
            names.append(shown_name(profile.string(int(profile.tables[wire.FUNCTIONS][function, 1]))))
    return addresses, names


def _said(executable: Executable, profile: Profile) -> list[int]:
    """Where the executable was loaded: as the profile's mapping says; not moved."""
    if executable.elf.kind == "EXEC":
        return [0]
    found = []
    mappings = profile.tables[wire.MAPPINGS]
    text = executable.module.text
    segment = next((one for one in executable.elf.segments if one.vaddr <= text < one.vaddr + one.memsz), None)
    if len(mappings) and segment is not None:
        found.append(int(mappings[0, 1]) - int(mappings[0, 3]) - (segment.vaddr - segment.offset))
    return _usable([*found, 0])


def _spans(executable: Executable, addresses: Sequence[int], names: Sequence[str]) -> list[list[tuple[int, int]]]:
    """For each address where the executable can have been loaded so that a function of this name lies there."""
    table = executable.functions
    by_name = table.indices_by_shown(set(names))
    spans = []
    for address, name in zip(addresses, names, strict=True):
        ranges = [(address - table.end_of(i) + 1, address - int(table.entry[i])) for i in by_name.get(name, ())]
        spans.append(ranges)
    return spans


def _voted(spans: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """Where most functions would have it."""
    votes: Counter[int] = Counter()
    for ranges in spans:
        for low, high in ranges[:4]:
            votes.update(range(-(-low // _PAGE) * _PAGE, min(high, low + 16 * _PAGE) + 1, _PAGE))
    return [bias for bias, _ in votes.most_common(3)]


def _usable(found: Sequence[int]) -> list[int]:
    return [bias for bias in found if 0 <= bias < _USER_SPACE and bias % _PAGE == 0] or [0]
