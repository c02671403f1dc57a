"""Type descriptors against what programs say about their own types by reflect and unsafe."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from mapscope.binary.executable import Executable
from mapscope.binary.rtype import Kind, RType
from mapscope.binary.rtypes import TypeReader
from mapscope.binary.textcode import TextCode
from tests.unit.binary.gobuilds import MODES, SERIES, Live, built, running, said

pytestmark = pytest.mark.toolchain
every = pytest.mark.parametrize("series", SERIES)


def bias_of(exe: Executable, words: Any) -> int:
    return int(words["Main"], 16) - int(exe.functions.entry[exe.functions.index_of("main.main")])


def as_reflect_says(rtype: RType) -> dict[str, Any]:
    """What of an RType the program prints."""
    return {
        "Kind": int(rtype.kind),
        "Name": rtype.name,
        "Size": rtype.size,
        "Align": rtype.align,
        "PtrData": rtype.ptrdata,
        "Elem": rtype.elem,
        "Key": rtype.key,
        "Len": rtype.length,
        "Dir": rtype.chan_dir,
        "Fields": [(f.name, f.type, f.offset, f.embedded) for f in rtype.fields],
    }


def truth_of(said_type: Any, bias: int) -> dict[str, Any]:
    def address(text: str) -> int:
        return int(text, 16) - bias if text else 0

    truth = {k: said_type[k] for k in ("Kind", "Name", "Size", "Align", "PtrData", "Len", "Dir")}
    truth["Elem"], truth["Key"] = address(said_type["Elem"]), address(said_type["Key"])
    truth["Fields"] = [(f["Name"], address(f["Type"]), f["Offset"], f["Embedded"]) for f in said_type["Fields"] or []]
    return truth


@every
@pytest.mark.parametrize("mode", MODES)
def test_types_are_what_reflect_says(series: str, mode: str) -> None:
    path = built("kinds", series, mode)
    words = said(path)
    exe = Executable.open(path)
    bias = bias_of(exe, words)
    types = exe.types_in_file
    kinds = set()
    for one in words["Types"]:
        rtype = types.at(int(one["Address"], 16) - bias)
        assert rtype is not None, one["Name"]
        assert rtype.name_known
        assert as_reflect_says(rtype) == truth_of(one, bias)
        kinds.add(rtype.kind)
        mask = types.pointer_mask(rtype.address)
        assert mask is not None
        assert mask.size == rtype.ptrdata // 8
        if one["Mask"]:
            padded = "".join("1" if bit else "0" for bit in mask).ljust(len(one["Mask"]), "0")
            assert padded == one["Mask"], rtype.name
        if rtype.direct_iface:
            assert rtype.size == rtype.ptrdata == 8
        if rtype.kind in (Kind.POINTER, Kind.MAP, Kind.CHAN, Kind.FUNC, Kind.UNSAFE_POINTER):
            assert rtype.direct_iface
    assert kinds == set(Kind) - {Kind.INVALID}
    every_type = set(types.all_types().tolist())
    assert {int(one["Address"], 16) - bias for one in words["Types"]} <= every_type


@every
def test_masks_come_in_all_forms(series: str) -> None:
    """The program's types have GC programs (up to 1.23) and masks on demand (from 1.24): the test above means that."""
    exe = Executable.open(built("kinds", series))
    types = [exe.types_in_file.at(address) for address in exe.types_in_file.all_types().tolist()]
    programs = [t.name for t in types if t is not None and t.gc_program]
    on_demand = [t.name for t in types if t is not None and t.gc_on_demand]
    assert bool(programs) == (exe.series <= (1, 23))
    assert bool(on_demand) == (exe.series >= (1, 24))
    assert "main.Huge" in programs + on_demand


@every
def test_itabs_lead_to_concrete_types(series: str) -> None:
    for mode in MODES:
        path = built("kinds", series, mode)
        words = said(path)
        exe = Executable.open(path)
        bias = bias_of(exe, words)
        for itab, concrete in words["Itabs"]:
            assert exe.types_in_file.itab(int(itab, 16) - bias) == int(concrete, 16) - bias
        assert exe.types_in_file.itab(exe.module.types) is None
        assert exe.types_in_file.itab(0) is None


SIZES = {  # key, elem, size of a bucket or group, by the rule of the runtime's own comment: 8 slots and their overhead
    "map[int]int": (8, 8),
    "map[int64]bool": (8, 1),
    "map[string]int": (16, 8),
    "map[string]string": (16, 16),
    "map[int][128]uint8": (8, 128),
    "map[int][129]uint8": (8, 8),
    "map[[129]uint8]int": (8, 8),
    "map[uint8]uint8": (1, 1),
    "map[main.empty]main.empty": (0, 0),
    "map[string]main.empty": (16, 0),
    "map[*main.Rec]struct {}": (8, 0),
}
BUCKETS = {"map[int]int": 144, "map[int64]bool": 88, "map[string]int": 208, "map[string]string": 272}
GROUPS = {"map[int]int": 136, "map[string]int": 200}


@every
def test_map_types(series: str) -> None:
    path = built("kinds", series)
    exe = Executable.open(path)
    types = exe.types_in_file
    seen = 0
    for one in said(path)["Types"]:
        rtype = types.at(int(one["Address"], 16))
        assert rtype is not None
        if rtype.kind is not Kind.MAP:
            continue
        fields = rtype.map
        assert fields is not None
        seen += 1
        key, elem, bucket = types.at(fields.key), types.at(fields.elem), types.at(fields.bucket)
        assert key is not None
        assert elem is not None
        assert bucket is not None
        assert fields.swiss == (exe.series >= (1, 24))
        assert bucket.kind is Kind.STRUCT
        assert bucket.size == fields.bucket_size
        assert fields.indirect_key == (key.size > 128)
        assert fields.indirect_elem == (elem.size > 128)
        assert fields.key_size == (8 if fields.indirect_key else key.size)
        assert fields.elem_size == (8 if fields.indirect_elem else elem.size)
        # the bucket's own type says where the slots are
        if fields.swiss:
            assert bucket.fields[0].name == "ctrl"
            slots = bucket.fields[1]
            slot = types.at(slots.type)
            assert slot is not None
            pair = types.at(slot.elem)
            assert pair is not None
            assert fields.keys_offset == slots.offset + pair.fields[0].offset
            assert fields.elems_offset == slots.offset + pair.fields[1].offset
            assert fields.key_stride == fields.elem_stride == pair.size
            assert fields.overflow_offset == -1
            assert not fields.split or pair.size == 0
        else:
            names = {field.name: field.offset for field in bucket.fields}
            assert fields.keys_offset == names["keys"]
            assert fields.elems_offset == names["elems"]
            assert fields.overflow_offset == names["overflow"]
            assert (fields.key_stride, fields.elem_stride) == (fields.key_size, fields.elem_size)
        if rtype.name in SIZES:
            assert (fields.key_size, fields.elem_size) == SIZES[rtype.name]
        known = GROUPS if fields.swiss else BUCKETS
        assert known.get(rtype.name, fields.bucket_size) == fields.bucket_size
        assert fields.need_key_update == (
            key.kind in (Kind.STRING, Kind.INTERFACE, Kind.FLOAT64) or "string" in key.name
        )
        assert fields.hash_might_panic == (key.kind is Kind.INTERFACE)
    assert seen >= 20


@pytest.mark.parametrize(
    ("series", "experiment", "swiss", "split"),
    [("1.24", "noswissmap", False, True), ("1.25", "noswissmap", False, True), ("1.27", "mapsplitgroup", True, True)],
)
def test_experiments(series: str, experiment: str, swiss: bool, split: bool) -> None:
    exe = Executable.open(built("kinds", series, "stripped", experiment=experiment))
    assert experiment in exe.experiments
    assert exe.swiss_maps == swiss
    types = exe.types_in_file
    checked = 0
    for one in said(exe.path)["Types"]:
        rtype = types.at(int(one["Address"], 16))
        assert rtype is not None
        assert as_reflect_says(rtype) == truth_of(one, 0)
        fields = rtype.map
        if fields is None:
            continue
        assert (fields.swiss, fields.split) == (swiss, split)
        bucket = types.at(fields.bucket)
        assert bucket is not None
        assert bucket.size == fields.bucket_size
        inside = {field.name: field.offset for field in bucket.fields}
        assert fields.keys_offset == inside["keys"]
        assert fields.elems_offset == inside["elems"]
        assert (fields.key_stride, fields.elem_stride) == (fields.key_size, fields.elem_size)
        checked += 1
    assert checked >= 20


@every
def test_types_made_by_reflect_at_run_time(series: str) -> None:
    path = built("kinds", series)
    exe = Executable.open(path)
    with running(path, "dynamic") as live:
        types = TypeReader(_Both(live, exe), (exe.module,), series=exe.series)
        made = [one for one in live.said["Types"] if exe.types_in_file.at(int(one["Address"], 16)) is None]
        names = {one["Name"] for one in made}
        assert "map[uint16]main.Rec" in names
        for one in made:
            rtype = types.at(int(one["Address"], 16))
            assert rtype is not None, one["Name"]
            truth, ours = truth_of(one, 0), as_reflect_says(rtype)
            if rtype.kind is Kind.STRUCT:
                assert truth.pop("Name") == "struct { Q []main.Rec }"
                assert ours.pop("Name") == ""
            assert ours == truth
            assert not rtype.name_known
            mask = types.pointer_mask(rtype.address)
            assert mask is not None
            assert "".join("1" if bit else "0" for bit in mask).ljust(len(one["Mask"]), "0") == one["Mask"]


class _Both:
    """The process's memory; a process of a program that is no PIE has its file's addresses."""

    def __init__(self, live: Live, exe: Executable) -> None:
        self.live, self.exe = live, exe

    def read(self, address: int, size: int) -> bytes | None:
        return self.live.read(address, size) or self.exe.image.read(address, size)


@pytest.mark.parametrize("series", ["1.23", "1.27"])
def test_addresses_that_are_no_types(series: str) -> None:
    """Of the addresses between types and etypes none but types are taken for one, of others none at all."""
    exe = Executable.open(built("kinds", series))
    types, module = exe.types_in_file, exe.module
    text = exe.image.read(module.text, module.etext - module.text)
    assert text is not None
    code = TextCode(text, module.text, exe.arch)
    # named types that only code refers to are on no list
    known = set(types.all_types(code.addresses(module.types, module.etypes).target.tolist()).tolist())
    found = {a for a in range(module.types, module.etypes, 8) if types.at(a) is not None}
    assert known <= found
    # interfaces of type assertions are referred to by data alone
    others = [types.at(a) for a in found - known]
    assert all(t is not None and t.kind is Kind.INTERFACE and t.methods for t in others)
    assert len(others) < 10
    rng = random.Random(1)
    for _ in range(2000):
        assert types.at(rng.randrange(module.text // 8, module.etext // 8) * 8) is None
        assert types.at(rng.randrange(1 << 64)) is None
    assert types.at(module.types + 1) is None
    assert types.at(0) is None
    assert types.at(-8) is None


@pytest.mark.parametrize("series", ["1.21", "1.23", "1.24", "1.27"])
def test_damaged_descriptors_are_none_or_whole(series: str) -> None:
    """Random bytes in the types area: every answer keeps its promises, and everything ends."""
    exe = Executable.open(built("kinds", series, "stripped"))
    module = exe.module
    whole = exe.image.read(module.types, module.etypes - module.types)
    assert whole is not None
    rng = random.Random(series)

    class Damaged:
        def read(self, address: int, size: int) -> bytes | None:
            if module.types <= address and address + size <= module.etypes:
                return bytes(data[address - module.types : address - module.types + size])
            return exe.image.read(address, size)

    lost = 0
    for _ in range(12):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4000)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        types = TypeReader(Damaged(), (module,), series=exe.series)
        every_type = types.all_types()
        for address in every_type.tolist():
            rtype = types.at(address)
            assert rtype is not None
            assert len(rtype.name) <= 1 << 16
            assert all(field.offset <= rtype.size for field in rtype.fields)
            if rtype.size < 1 << 24:
                mask = types.pointer_mask(address)
                assert mask is None or mask.size == rtype.ptrdata // 8
        lost += exe.types_in_file.all_types().size - every_type.size
    assert lost > 0


def test_extra_addresses_join_the_closure() -> None:
    exe = Executable.open(built("kinds", "1.23"))
    types = TypeReader(exe.image, (), series=exe.series)
    assert types.all_types().size == 0
    one = exe.types_in_file.all_types()[0]
    alone = TypeReader(exe.image, (exe.module,), series=exe.series)
    assert np.isin(one, alone.all_types([int(one), 12345, exe.module.etypes]))
    rec = next(
        t for t in map(exe.types_in_file.at, exe.types_in_file.all_types().tolist()) if t and t.name == "main.Rec"
    )
    assert exe.types_in_file.package_path(rec) == "main"
    field = rec.field_at(17)
    assert field is not None
    assert field.name == "Name"
    assert exe.types_in_file.module_of(rec.address) == exe.module


@pytest.mark.parametrize("series", ["1.21", "1.23", "1.24", "1.27"])
def test_what_another_reader_has_parsed(series: str) -> None:
    """It is taken over where the bytes are the same, without reading them again, and not where one bit differs."""
    exe = Executable.open(built("kinds", series, "stripped"))
    module, known = exe.module, exe.types_in_file
    every = known.all_types().tolist()
    whole = exe.image.read(module.types, module.etypes - module.types)
    assert whole is not None

    class Process:
        def __init__(self, data: bytes) -> None:
            self.data, self.reads = data, 0

        def read(self, address: int, size: int) -> bytes | None:
            self.reads += 1
            if module.types <= address and address + size <= module.etypes:
                return self.data[address - module.types : address - module.types + size]
            return exe.image.read(address, size)

    same = Process(whole)
    types = TypeReader(same, (module,), series=exe.series)
    types.adopt(known)
    assert [types.at(address) for address in every] == [known.at(address) for address in every]
    assert same.reads == 1  # the whole section, to compare it
    assert types.all_types().tolist() == every
    other = bytearray(whole)
    target = every[len(every) // 2]
    other[target - module.types + 16] ^= 1  # the hash
    types = TypeReader(Process(bytes(other)), (module,), series=exe.series)
    types.adopt(known)
    mine, theirs = types.at(target), known.at(target)
    assert mine is not None
    assert theirs is not None
    assert mine.hash == theirs.hash ^ 1
