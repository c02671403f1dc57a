"""Where the fields of a struct lie: the common word of DWARF, layout tables and parsers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``offset`` and ``size`` in bytes; ``type`` is Go's name of its type."""

    offset: int
    size: int
    type: str = ""


@dataclass(frozen=True, slots=True)
class StructLayout:
    """A struct of the runtime in one release and architecture. Nested fields have dotted names: ``sched.sp``."""

    name: str
    size: int
    fields: dict[str, Field]

    def offset(self, field: str) -> int:
        """Offset in bytes of ``field``; KeyError when this release has none."""
        return self.fields[field].offset

    def __contains__(self, field: str) -> bool:
        return field in self.fields
