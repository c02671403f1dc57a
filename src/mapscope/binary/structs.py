"""Where the fields of a struct lie: the common word of DWARF, layout tables and parsers."""

from __future__ import annotations

from msgspec import Struct

from mapscope.errors import LayoutError


class Field(Struct, frozen=True):
    """One field: ``offset`` and ``size`` in bytes; ``type`` is Go's name of its type."""

    offset: int
    size: int
    type: str = ""


class StructLayout(Struct, frozen=True):
    """A struct of the runtime in one release and architecture. Nested fields have dotted names: ``sched.sp``."""

    name: str
    size: int
    fields: dict[str, Field]

    def offset(self, field: str) -> int:
        """Offset in bytes of ``field``; LayoutError when this release has none."""
        return self.field(field).offset

    def field(self, name: str) -> Field:
        """The field ``name``; LayoutError when this release has none."""
        try:
            return self.fields[name]
        except KeyError:
            raise LayoutError(
                f"{self.name} has no field {name} in this release",
                "the program's Go release is not what it says, or not supported yet",
            ) from None

    def __contains__(self, field: str) -> bool:
        return field in self.fields
