"""A profile with the hidden frames put back and what was found as labels, for every viewer of pprof files.

Labels: ``map part``, ``map type``, ``told`` (exact, inferred, possible). ``go tool pprof -tagleaf='map type'`` makes
frames of them. ``system_name`` of what is added differs from ``name``: pprof would else take names with ``*`` and ``[``
for C++ and cut them (pprof internal/symbolizer: demangleSingleFunction).
"""

from __future__ import annotations

import numpy as np

from mapscope._kernels.reference import pprof as wire
from mapscope.profiles.classify import Classified, return_addresses
from mapscope.profiles.model import Builder, Profile
from mapscope.profiles.parts import NOT_A_PART, is_entry

_PAGE = 4096
_MARK = " (named by mapscope)"


def restored(classified: Classified) -> Profile:
    """The profile with its hidden frames. Values, addresses and names that were there stay as they are."""
    profile, symbols = classified.profile, classified.symbols
    builder = Builder()
    builder.types(*profile.types)
    scalars = profile.tables[wire.SCALARS][0].tolist()
    unit = profile.tables[wire.TYPE_OF_PERIOD][0].tolist()
    builder.period(profile.string(unit[0]), profile.string(unit[1]), scalars[12])
    for field in (9, 10):
        builder.rows[wire.SCALARS][0][field] = scalars[field]
    for field in (7, 8, 14):
        builder.rows[wire.SCALARS][0][field] = builder.string(profile.string(scalars[field]))
    for row in profile.tables[wire.MAPPINGS].tolist():
        names = [builder.string(profile.string(one)) for one in row[4:6]]
        builder.rows[wire.MAPPINGS].append([*row[:4], *names, 1, 1, 1, 1])
    if not builder.rows[wire.MAPPINGS] and symbols is not None:
        path = builder.string(str(symbols.executable.path))
        first = int(symbols.table.entry[0]) // _PAGE * _PAGE
        offset = first - symbols.bias - symbols.executable.elf.segments[0].vaddr
        builder.rows[wire.MAPPINGS].append([1, first, symbols.table.end, max(offset, 0), path, 0, 1, 1, 1, 1])
    new = _locations(builder, classified)
    callees = []
    for name in classified.callees:
        file, line = symbols.place(name) if symbols is not None else ("", 0)
        callees.append(builder.location(0, 0, ((builder.function(name, name + _MARK, file), line),)))
    for sample in range(len(profile)):
        stack = [new[row] for row in profile.stack(sample)]
        hidden = int(classified.hidden[sample])
        if hidden >= 0:
            stack.insert(0, callees[hidden])
        numbers, texts = _labels(profile, sample)
        part = int(classified.part_of[sample])
        if part >= 0:
            found = classified.parts[part]
            texts += [("map part", found.part), ("told", found.how)]
            texts += [("map type", found.type)] if found.type else []
        elif hidden >= 0 and is_entry(classified.callees[hidden]):
            texts.append(("map part", NOT_A_PART))
        builder.sample(stack, profile.values[sample].tolist(), numbers, texts)
    return builder.build(profile.origin, "protobuf")


def _locations(builder: Builder, classified: Classified) -> list[int]:
    """New ids of all locations, in their order; those without a name get that of the executable."""
    profile, symbols = classified.profile, classified.symbols
    pcs = return_addresses(profile, symbols).tolist()
    found = []
    text = profile.form == "text"
    functions = profile.tables[wire.FUNCTIONS]
    begin = 0
    for row, record in enumerate(profile.locations.tolist()):
        lines = []
        for line in range(begin, record[3]):
            function = int(profile.function_of[line])
            if function >= 0:
                number = functions[function].tolist()
                name, system, file = (profile.string(one) for one in number[1:4])
                system = system + _MARK if text else system
                made = builder.function(name, system, file, number[4])
                lines.append((made, int(profile.tables[wire.LINES][line, 1])))
        begin = record[3]
        if not lines and symbols is not None:
            name, file, at = symbols.line(pcs[row])
            lines = [(builder.function(name, name + _MARK, file), at)] if name else []
        # text has return addresses, a protocol buffer of Go the address before
        address = int(np.uint64(record[2] % (1 << 64))) - (1 if text and record[2] else 0)
        mapping = 1 if text and symbols is not None and symbols.table.find(pcs[row] - 1) >= 0 else record[1]
        found.append(builder.location(address, mapping, lines))
    return found


def _labels(profile: Profile, sample: int) -> tuple[list[tuple[str, int, str]], list[tuple[str, str]]]:
    """The labels that a sample has: numbers and texts."""
    ends = profile.tables[wire.SAMPLES][:, 2]
    numbers, texts = [], []
    for key, text, number, unit in profile.tables[wire.LABELS][
        int(ends[sample - 1]) if sample else 0 : int(ends[sample])
    ].tolist():
        if text:
            texts.append((profile.string(key), profile.string(text)))
        else:
            numbers.append((profile.string(key), number, profile.string(unit)))
    return numbers, texts
