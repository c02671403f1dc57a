"""Map types of a snapshot: from type descriptors to what decoding needs."""

from __future__ import annotations

from msgspec import Struct

from mapscope.binary.rtype import MapTypeFields
from mapscope.binary.rtypes import TypeReader
from mapscope.maps.model import MapType
from mapscope.units import Addr


class MapShape(Struct, frozen=True):
    """A map type with the offsets of its slots; ``noscan``: its buckets or groups hold no pointers."""

    type: MapType
    fields: MapTypeFields
    noscan: bool
    bucket_address: int
    key_noscan: bool
    """Keys hold no pointers."""
    elem_noscan: bool

    @property
    def key_is_string(self) -> bool:
        """Keys are strings held in the slot."""
        return self.type.key_kind == "string" and not self.fields.indirect_key


def map_shape(reader: TypeReader, address: int) -> MapShape | None:
    """The map type whose descriptor lies at ``address``; None when there is none."""
    rtype = reader.at(address)
    if rtype is None or rtype.map is None:
        return None
    fields = rtype.map
    key, elem, bucket = reader.at(fields.key), reader.at(fields.elem), reader.at(fields.bucket)
    noscan = not bucket.has_pointers if bucket is not None else False
    found = MapType(
        address=Addr(address),
        name=rtype.name,
        key=key.name if key else "?",
        elem=elem.name if elem else "?",
        key_kind=kind_word(key.kind.name) if key else "?",
        elem_kind=kind_word(elem.kind.name) if elem else "?",
        key_size=key.size if key else 0,
        elem_size=elem.size if elem else 0,
        key_indirect=fields.indirect_key,
        elem_indirect=fields.indirect_elem,
        slot_key_size=fields.key_size,
        slot_elem_size=fields.elem_size,
        bucket_size=fields.bucket_size,
    )
    return MapShape(
        found,
        fields,
        noscan,
        fields.bucket,
        key is None or not key.has_pointers,
        elem is None or not elem.has_pointers,
    )


def kind_word(name: str) -> str:
    """Reflect's word for a kind: ``ptr``, ``unsafe.Pointer``, ``string`` and so on."""
    return {"POINTER": "ptr", "UNSAFE_POINTER": "unsafe.Pointer"}.get(name, name.lower())
