"""Types as the trace kernel reads them: one descriptor a word, saying what a pointer in that word points to.

A type is compiled once, from its runtime descriptor (RType) or from DWARF, by a worklist (no recursion on data). Beside
the types of the program there are *pseudo types*, which the runtime has no descriptor for: the ``hmap``, ``maps.Map``,
table, group, bucket and ``hchan`` of one map or channel type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.rtype import Kind, MapTypeFields, RType
from mapscope.binary.rtypes import TypeReader
from mapscope.goruntime.layout import Layouts
from mapscope.goruntime.typehash import fill_hash
from mapscope.goruntime.typerecord import Op, TypeRecord, descriptor
from mapscope.units import TypeId

MAX_WORDS = 1 << 16
"""Descriptors of one type; a larger type (an array of 512 kB inside a struct) is known up to here."""
_MAX_TYPES = 1 << 22
_SHAPE = "go.shape."
"""Prefix of the shape types that generic functions are compiled for (cmd/compile/internal/noder/reader.go: shapify)."""
_MAX_PARTS = 1 << 18
_STEPS = ("intern", "channel_type", "header_type")
"""Methods that the journal names by number."""


class TypeTable:
    """Type ids and their descriptors. ``intern`` what you need, then ``freeze`` and hand the table to the kernel.

    After ``freeze``: ``offsets`` int64 and ``words`` int32 by type id (where its descriptors start in ``descriptors``,
    and how many; -1: none), ``iface`` uint64 (descriptor of the data word of an interface that holds the type),
    ``pseudo`` uint8; ``hash_keys`` uint64 and ``hash_values`` int32: addresses of descriptors, itabs and closure
    entries → type id, open addressing, -2 for "known to be no type".
    """

    def __init__(self, reader: TypeReader, layouts: Layouts) -> None:
        self.reader = reader
        self.layouts = layouts
        self.records: list[TypeRecord] = []
        self.by_address: dict[int, int] = {}
        self._descs: list[npt.NDArray[np.uint64] | None] = []
        self._iface: list[int] = []
        self._work: list[Callable[[], None]] = []
        self._keys: dict[int, int] = {}
        self._pseudo_of: dict[tuple[str, int], int] = {}
        self.map_fields: dict[int, MapTypeFields] = {}
        """By type id of the map type."""
        self.hmap_ids: dict[int, int] = {}
        """Pseudo type of the header (hmap, maps.Map) → type id of the map type."""
        self.dwarf_entries: dict[int, tuple[Dwarf, int]] = {}
        """Of types that only DWARF names: their entries, and whose."""
        self._by_name: dict[str, int] = {}
        self._map_types: list[int] = []
        self._running = False
        self.journal: list[tuple[int, int]] = []
        """What made types, in order: pairs of one of ``_STEPS`` and its argument; see ``replay``."""
        self._depth = 0
        self.types_range = (0, 0)
        self.text_range = (0, 0)
        self.module_range = (0, 0)
        self.eface_id = self._new(TypeRecord("interface {}", Kind.INTERFACE, 16, 0))
        self._set(self.eface_id, [0, descriptor(Op.EFACE)], descriptor(Op.PTR, self.eface_id))

    def __len__(self) -> int:
        return len(self.records)

    # -- building

    def _new(self, record: TypeRecord) -> int:
        self.records.append(record)
        self._descs.append(None)
        self._iface.append(0)
        return len(self.records) - 1

    def _set(self, type_id: int, words: list[int] | npt.NDArray[np.uint64], iface: int) -> None:
        self._descs[type_id] = np.array(words, dtype=np.uint64)
        self._iface[type_id] = iface

    def _run(self) -> None:
        if self._running:
            return
        self._running = True
        while self._work:
            self._work.pop()()
        self._running = False

    def intern(self, address: int) -> TypeId | None:
        """Type id of the descriptor at ``address``; None when there is no type. Compiles what it refers to as well."""
        known = self.by_address.get(address)
        if known is not None:
            return TypeId(known)
        with self._step("intern", address):
            return self._intern(address)

    @contextmanager
    def _step(self, name: str, argument: int) -> Iterator[None]:
        """Notes in the journal what makes types, but not what that calls in turn."""
        before = len(self.records)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth and len(self.records) != before:
                self.journal.append((_STEPS.index(name), argument))

    def replay(self, journal: Iterable[tuple[int, int]]) -> None:
        """Makes the types of another table of the same process, with the same numbers; both began alike."""
        for step, argument in journal:
            if not 0 <= step < len(_STEPS):
                raise ValueError("no such step")
            if _STEPS[step] != "header_type" or argument in self.map_fields:
                getattr(self, _STEPS[step])(argument)

    def _intern(self, address: int) -> TypeId | None:
        rtype = self.reader.at(address) if len(self.records) < _MAX_TYPES else None
        if rtype is None:
            self._keys.setdefault(address, -2)
            return None
        if rtype.name.startswith(_SHAPE):
            # the one type that generic code is compiled for; where it stands for itself its own name is the type's
            real = self.find(rtype.name[len(_SHAPE) :])
            if real is not None and real != address:
                found = self.intern(real)
                if found is not None and self.records[found].kind == rtype.kind:
                    self.by_address[address] = found
                    self._keys[address] = found
                    return found
        type_id = self._new(TypeRecord(rtype.name.removeprefix(_SHAPE), int(rtype.kind), rtype.size, address))
        self.by_address[address] = type_id
        self._keys[address] = type_id
        if rtype.map is not None:
            self.map_fields[type_id] = rtype.map
        self._work.append(lambda: self._compile(type_id, rtype))
        self._run()
        return TypeId(type_id)

    def add_key(self, address: int, type_id: int) -> None:
        """Makes the kernel take ``address`` (an itab, a closure's entry) for ``type_id``."""
        self._keys.setdefault(address, type_id)

    def name_index(self, addresses: Iterable[int]) -> None:
        """Lets types be found by name: needed for the few that only other types' names lead to."""
        for address in addresses:
            rtype = self.reader.at(address)
            if rtype is not None and rtype.map is not None:
                self._map_types.append(address)
            if rtype is None:
                continue
            known = self._by_name.setdefault(rtype.name, address)
            other = self.reader.at(known) if known != address else None
            # a plugin has its own descriptors of types that the program has too (runtime/type.go: typelinksinit)
            if known != address and (other is None or other.hash != rtype.hash):
                self._by_name[rtype.name] = 0  # two packages with one last part: the name decides nothing

    def addresses_of_maps(self) -> list[int]:
        """Descriptors of map types among those given to ``name_index``."""
        return self._map_types

    def add(self, record: TypeRecord) -> int:
        """A type that has no descriptor in the process (DWARF alone names it); give it its words with ``set_words``."""
        return self._new(record)

    def set_words(self, type_id: int, words: npt.NDArray[np.uint64]) -> None:
        """The descriptors of a type made by ``add``."""
        self._set(type_id, words, descriptor(Op.PTR, type_id))

    def word_of(self, type_id: int) -> int:
        """Descriptor of a word that holds a value of a map or channel type."""
        words = self._descs[type_id]
        if words is not None and len(words):
            return int(words[0])
        rtype = self.reader.at(self.records[type_id].address)
        return self._word(rtype)[1] if rtype is not None else 0

    def find_dwarf_name(self, name: str) -> int | None:
        """As ``find``, for a name as DWARF writes it: with import paths (``map[string]*example.com/x.Rec``)."""
        return self._by_name.get(_short(name)) or None

    def find(self, name: str) -> int | None:
        """Address of the type descriptor with this name, among those given to ``name_index``."""
        return self._by_name.get(name) or None

    def _compile(self, type_id: int, rtype: RType) -> None:
        words = self._flatten(rtype)
        direct = words[0] if rtype.direct_iface and words else None
        self._set(type_id, words, descriptor(Op.PTR, type_id) if direct is None else direct)

    def _flatten(self, rtype: RType) -> list[int]:
        """Descriptors of every word of the type, structs and arrays unfolded."""
        count = min(rtype.size // 8, MAX_WORDS)
        words = [0] * count
        if not rtype.has_pointers:
            return words if count <= 64 else []
        parts = [(rtype, 0)]
        done = 0
        while parts and done < _MAX_PARTS:
            part, at = parts.pop()
            done += 1
            if at >= count or not part.has_pointers:
                continue
            if part.kind is Kind.STRUCT:
                special = self._special_struct(part)
                if special is not None:
                    words[at] = special
                    continue
                for field in part.fields:
                    inner = self.reader.at(field.type)
                    if inner is not None and field.offset < part.size and inner.has_pointers:
                        parts.append((inner, at + field.offset // 8))
            elif part.kind is Kind.ARRAY:
                inner = self.reader.at(part.elem)
                if inner is not None and inner.size >= 8:
                    room = (count - at) // max(inner.size // 8, 1) + 1
                    parts.extend((inner, at + k * (inner.size // 8)) for k in range(min(part.length, room, _MAX_PARTS)))
            else:
                where, word = self._word(part)
                if at + where < count:
                    words[at + where] = word
        return words

    def _word(self, part: RType) -> tuple[int, int]:
        """Which word of a basic part is the pointer, and its descriptor."""
        if part.kind is Kind.POINTER:
            return 0, self.pointer_to(part.elem)
        if part.kind is Kind.SLICE:
            elem = self.intern(part.elem)
            return 0, descriptor(Op.NONE) if elem is None else descriptor(Op.FILL, elem)
        if part.kind is Kind.INTERFACE:
            return 1, descriptor(Op.IFACE if part.methods else Op.EFACE)
        if part.kind is Kind.MAP:
            own = self.intern(part.address)
            return 0, 0 if own is None else descriptor(Op.PTR, self.header_type(own))
        if part.kind is Kind.CHAN:
            return 0, descriptor(Op.PTR, self.channel_type(part.elem))
        if part.kind is Kind.FUNC:
            return 0, descriptor(Op.FUNC)
        return 0, descriptor(Op.NONE)

    def pointer_to(self, address: int) -> int:
        """Descriptor of a pointer to the type at ``address``."""
        elem = self.reader.at(address)
        if elem is None:
            return descriptor(Op.NONE)
        if elem.kind is Kind.STRUCT and elem.name.startswith("sync.node["):
            return self._trie_node(elem)
        if elem.kind is Kind.ARRAY and elem.length > 1 and elem.size > 8 * MAX_WORDS:
            inner = self.intern(elem.elem)
            return descriptor(Op.NONE) if inner is None else descriptor(Op.FILL, inner)
        found = self.intern(address)
        return descriptor(Op.NONE) if found is None else descriptor(Op.PTR, found)

    def _special_struct(self, part: RType) -> int | None:
        """Structs whose unsafe.Pointer has a type all the same.

        ``atomic.Pointer[T]`` names T in a zero-length array (sync/atomic/type.go), and ``sync.entry.p`` points to an
        ``any`` up to Go 1.19 (sync/map.go).
        """
        if part.name.startswith("atomic.Pointer[") and part.size == 8:
            for field in part.fields:
                inner = self.reader.at(field.type)
                if inner is not None and inner.kind is Kind.ARRAY and inner.length == 0:
                    pointer = self.reader.at(inner.elem)
                    if pointer is not None and pointer.kind is Kind.POINTER:
                        return self.pointer_to(pointer.elem)
        if part.name == "sync.entry" and part.size == 8 and len(part.fields) == 1:
            inner = self.reader.at(part.fields[0].type)
            if inner is not None and inner.kind is Kind.UNSAFE_POINTER:
                return descriptor(Op.PTR, self.eface_id)
        return None

    def _trie_node(self, node: RType) -> int:
        """``internal/sync.node[K, V]`` of HashTrieMap (internal/sync/hashtriemap.go): an entry or an indirect.

        The node's descriptor does not lead to either; the indirect is found by name, the entry by name or, for
        ``sync.Map``'s ``[any, any]``, built: isEntry, overflow, key, value.
        """
        key = ("trie", node.address)
        if key not in self._pseudo_of:
            entry = self._new(TypeRecord(node.name.replace("node[", "entry[", 1), Kind.STRUCT, 0, 0, "trieentry"))
            indirect = self._new(
                TypeRecord(node.name.replace("node[", "indirect[", 1), Kind.STRUCT, 0, 0, "trieindirect")
            )
            self._pseudo_of[key] = entry
            self._work.append(lambda: self._compile_trie(node, entry, indirect))
        return descriptor(Op.TRIENODE, self._pseudo_of[key])

    def _compile_trie(self, node: RType, entry: int, indirect: int) -> None:
        for type_id in (entry, indirect):
            address = self.find(self.records[type_id].name)
            rtype = self.reader.at(address) if address is not None else None
            if rtype is not None:
                self._set(type_id, self._flatten(rtype), descriptor(Op.PTR, type_id))
            elif type_id == entry and node.name.endswith("[interface {},interface {}]"):
                eface = descriptor(Op.EFACE)
                self._set(entry, [0, descriptor(Op.PTR, entry), 0, eface, 0, eface], descriptor(Op.PTR, entry))
            else:
                self._set(type_id, [], descriptor(Op.PTR, type_id))

    def channel_type(self, elem_address: int) -> int:
        """Pseudo type of the ``hchan`` of channels of the type at ``elem_address`` (runtime/chan.go)."""
        key = ("hchan", elem_address)
        if key not in self._pseudo_of:
            with self._step("channel_type", elem_address):
                self._channel_type(elem_address)
        return self._pseudo_of[key]

    def _channel_type(self, elem_address: int) -> None:
        layout = self.layouts.struct("hchan")
        rtype = self.reader.at(elem_address)
        name = rtype.name if rtype is not None else "?"
        type_id = self._new(TypeRecord(f"hchan<{name}>", Kind.STRUCT, layout.size, 0, "hchan"))
        self._pseudo_of["hchan", elem_address] = type_id
        words = [0] * (layout.size // 8)
        elem = self.intern(elem_address)
        if elem is not None:
            words[layout.offset("buf") // 8] = descriptor(Op.FILL, elem)
        self._set(type_id, words, descriptor(Op.PTR, type_id))

    def header_type(self, map_id: int) -> int:
        """Pseudo type of the header (``hmap`` or ``maps.Map``) of the map type ``map_id``."""
        if ("header", map_id) in self._pseudo_of:
            return self._pseudo_of["header", map_id]
        with self._step("header_type", map_id):
            return self._header_type(map_id)

    def _header_type(self, map_id: int) -> int:
        key = ("header", map_id)
        fields = self.map_fields[map_id]
        name = self.records[map_id].name
        swiss = fields.swiss
        layout = self.layouts.struct("swissmap" if swiss else "hmap")
        # group and tableptr must follow each other: Op.SWISSDIR relies on it
        inner = self._new(
            TypeRecord(
                f"{'group' if swiss else 'bucket'}<{name}>",
                Kind.STRUCT,
                fields.bucket_size,
                0,
                "group" if swiss else "bucket",
                map_id,
            )
        )
        self._pseudo_of["inner", map_id] = inner
        header = self._pseudo_of[key] = (
            self._swiss(map_id, inner, name)
            if swiss
            else self._new(TypeRecord(f"hmap<{name}>", Kind.STRUCT, layout.size, 0, "hmap", map_id))
        )
        self.hmap_ids[header] = map_id
        words = [0] * (layout.size // 8)
        if swiss:
            words[layout.offset("dirPtr") // 8] = descriptor(Op.SWISSDIR, inner)
        else:
            for field in ("buckets", "oldbuckets"):
                words[layout.offset(field) // 8] = descriptor(Op.FILL, inner)
        self._set(header, words, descriptor(Op.PTR, header))
        self._work.append(lambda: self._compile_bucket(inner, fields))
        self._run()
        return header

    def bucket_type(self, map_id: int) -> int:
        """Pseudo type of the buckets or groups of the map type ``map_id``; -2 when no such map was met."""
        return self._pseudo_of.get(("inner", map_id), -2)

    def _swiss(self, map_id: int, group: int, name: str) -> int:
        pointer = self._new(TypeRecord(f"*table<{name}>", Kind.POINTER, 8, 0, "tableptr", map_id))
        layout = self.layouts.struct("table")
        table = self._new(TypeRecord(f"table<{name}>", Kind.STRUCT, layout.size, 0, "table", map_id))
        self._set(pointer, [descriptor(Op.PTR, table)], descriptor(Op.PTR, pointer))
        words = [0] * (layout.size // 8)
        words[layout.offset("groups.data") // 8] = descriptor(Op.FILL, group)
        self._set(table, words, descriptor(Op.PTR, table))
        self._pseudo_of["table", map_id] = table
        size = self.layouts.struct("swissmap").size
        return self._new(TypeRecord(f"maps.Map<{name}>", Kind.STRUCT, size, 0, "hmap", map_id))

    def _compile_bucket(self, type_id: int, fields: MapTypeFields) -> None:
        rtype = self.reader.at(fields.bucket)
        words = self._flatten(rtype) if rtype is not None else [0] * min(fields.bucket_size // 8, MAX_WORDS)
        if fields.overflow_offset >= 0 and rtype is not None and rtype.has_pointers:
            last = fields.overflow_offset // 8
            if 0 < last < len(words):
                words[last] = descriptor(Op.PTR, type_id)
        self._set(type_id, words, descriptor(Op.PTR, type_id))

    # -- for the kernel

    def freeze(self) -> None:
        """Lays everything out as arrays. Call again after ``intern`` or ``add_key`` before the kernel runs again."""
        count = len(self.records)
        lengths = np.array([-1 if d is None or not len(d) else len(d) for d in self._descs], dtype=np.int32)
        flat = [d for d in self._descs if d is not None and len(d)]
        self.descriptors = np.concatenate([*flat, np.zeros(1, dtype=np.uint64)])
        sizes = np.maximum(lengths, 0).astype(np.int64)
        self.offsets = np.cumsum(sizes) - sizes
        self.words = lengths
        self.iface = np.array(self._iface, dtype=np.uint64)
        self.pseudo = np.fromiter((bool(r.pseudo) for r in self.records), dtype=np.uint8, count=count)
        size = 1 << max(4, (2 * len(self._keys)).bit_length())
        self.hash_keys = np.zeros(size, dtype=np.uint64)
        self.hash_values = np.full(size, -1, dtype=np.int32)
        keys = np.fromiter(self._keys, dtype=np.uint64, count=len(self._keys))
        values = np.fromiter(self._keys.values(), dtype=np.int32, count=len(self._keys))
        fill_hash(self.hash_keys, self.hash_values, keys, values)


def _short(name: str) -> str:
    """A DWARF type name with each import path cut to its last part, as reflect writes it."""
    return re.sub(r"[\w.~%-]+/", "", name)
