"""Records of Go's type descriptors (internal/abi/type.go; runtime/type.go before Go 1.21)."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class Kind(IntEnum):
    """reflect.Kind; the numbers are the same in every release."""

    INVALID = 0
    BOOL = 1
    INT = 2
    INT8 = 3
    INT16 = 4
    INT32 = 5
    INT64 = 6
    UINT = 7
    UINT8 = 8
    UINT16 = 9
    UINT32 = 10
    UINT64 = 11
    UINTPTR = 12
    FLOAT32 = 13
    FLOAT64 = 14
    COMPLEX64 = 15
    COMPLEX128 = 16
    ARRAY = 17
    CHAN = 18
    FUNC = 19
    INTERFACE = 20
    MAP = 21
    POINTER = 22
    SLICE = 23
    STRING = 24
    STRUCT = 25
    UNSAFE_POINTER = 26


TFLAG_UNCOMMON = 1
TFLAG_EXTRA_STAR = 2
TFLAG_NAMED = 4
TFLAG_REGULAR_MEMORY = 8
TFLAG_GC_MASK_ON_DEMAND = 16
"""From Go 1.24 on."""
TFLAG_DIRECT_IFACE = 32
"""From Go 1.26 on; before, bit 5 of the kind."""
KIND_MASK = 31
KIND_DIRECT_IFACE = 32
KIND_GC_PROGRAM = 64
"""Up to Go 1.23."""


class TypeField(Struct, frozen=True):
    """One field of a struct: ``type`` is the address of its type descriptor, ``offset`` in bytes."""

    name: str
    type: int
    offset: int
    embedded: bool


class MapTypeFields(Struct, frozen=True):
    """How a map type lays out its slots, for classic and Swiss maps alike. All sizes and offsets in bytes.

    ``bucket`` is the type of a bucket (classic) or of a group (Swiss), ``bucket_size`` its size; it holds 8 slots. Key
    i lies at ``keys_offset + i * key_stride``, element i at ``elems_offset + i * elem_stride``; ``key_size`` and
    ``elem_size`` are what lies there: 8 when held by pointer. A classic bucket starts with tophash[8] and ends with
    the overflow pointer; a Swiss group starts with its control word.
    """

    swiss: bool
    key: int
    elem: int
    bucket: int
    hasher: int
    key_size: int
    elem_size: int
    bucket_size: int
    keys_offset: int
    key_stride: int
    elems_offset: int
    elem_stride: int
    indirect_key: bool
    indirect_elem: bool
    need_key_update: bool
    hash_might_panic: bool

    @property
    def overflow_offset(self) -> int:
        """Where a classic bucket keeps the pointer to its overflow bucket; -1 for Swiss maps."""
        return -1 if self.swiss else self.bucket_size - 8

    @property
    def split(self) -> bool:
        """Whether all keys come before all elements (classic maps; Swiss ones with GOEXPERIMENT=mapsplitgroup)."""
        return self.elems_offset >= self.keys_offset + 8 * self.key_stride


class RType(Struct, frozen=True):
    """One type descriptor. Addresses are of the memory that the TypeReader reads; 0 is "none".

    ``name`` is what reflect's Type.String gives (``map[string]*main.Rec``); ``name_known`` is False where it was put
    together from the parts because the descriptor was made by reflect at run time and its name lies out of reach.
    ``ptrdata`` is the length in bytes of the prefix that can hold pointers. ``gc_program``: ``gcdata`` is a GC program
    (up to Go 1.23); ``gc_on_demand``: it points to a pointer to the mask (from 1.24 on). ``elem`` and ``key`` are type
    addresses, ``length`` is an array's, ``chan_dir`` a channel's (1 receive, 2 send, 3 both), ``params`` and
    ``results`` a function's types.
    """

    address: int
    kind: Kind
    name: str
    name_known: bool
    size: int
    ptrdata: int
    align: int
    hash: int
    tflag: int
    gcdata: int
    gc_program: bool
    gc_on_demand: bool
    direct_iface: bool
    ptr_to_this: int
    elem: int = 0
    key: int = 0
    length: int = 0
    chan_dir: int = 0
    fields: tuple[TypeField, ...] = ()
    params: tuple[int, ...] = ()
    results: tuple[int, ...] = ()
    methods: int = 0
    map: MapTypeFields | None = None

    @property
    def named(self) -> bool:
        """Whether the type has a name of its own (``type T …`` and the predeclared ones)."""
        return bool(self.tflag & TFLAG_NAMED)

    @property
    def has_pointers(self) -> bool:
        """Whether values of this type can hold pointers."""
        return self.ptrdata != 0

    def field_at(self, offset: int) -> TypeField | None:
        """The struct field that covers ``offset``: the last one that starts at or before it."""
        found = None
        for field in self.fields:
            if field.offset <= offset:
                found = field
        return found
