"""The protobuf package as the oracle of profiles: the format described at run time, no generated code."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_NUMBERS = {"i": 3, "u": 4, "b": 8, "s": 9, "m": 11}
"""FieldDescriptorProto.Type: int64, uint64, bool, string, message."""

MESSAGES = {
    # name: (field, number, kind, message); a kind in capitals is a list. profile.proto of google/pprof.
    "ValueType": (("type", 1, "i", ""), ("unit", 2, "i", "")),
    "Label": (("key", 1, "i", ""), ("str", 2, "i", ""), ("num", 3, "i", ""), ("num_unit", 4, "i", "")),
    "Sample": (("location_id", 1, "U", ""), ("value", 2, "I", ""), ("label", 3, "M", "Label")),
    "Mapping": (
        ("id", 1, "u", ""), ("memory_start", 2, "u", ""), ("memory_limit", 3, "u", ""), ("file_offset", 4, "u", ""),
        ("filename", 5, "i", ""), ("build_id", 6, "i", ""), ("has_functions", 7, "b", ""),
        ("has_filenames", 8, "b", ""), ("has_line_numbers", 9, "b", ""), ("has_inline_frames", 10, "b", ""),
    ),
    "Line": (("function_id", 1, "u", ""), ("line", 2, "i", ""), ("column", 3, "i", "")),
    "Location": (
        ("id", 1, "u", ""), ("mapping_id", 2, "u", ""), ("address", 3, "u", ""), ("line", 4, "M", "Line"),
        ("is_folded", 5, "b", ""),
    ),
    "Function": (
        ("id", 1, "u", ""), ("name", 2, "i", ""), ("system_name", 3, "i", ""), ("filename", 4, "i", ""),
        ("start_line", 5, "i", ""),
    ),
    "Profile": (
        ("sample_type", 1, "M", "ValueType"), ("sample", 2, "M", "Sample"), ("mapping", 3, "M", "Mapping"),
        ("location", 4, "M", "Location"), ("function", 5, "M", "Function"), ("string_table", 6, "S", ""),
        ("drop_frames", 7, "i", ""), ("keep_frames", 8, "i", ""), ("time_nanos", 9, "i", ""),
        ("duration_nanos", 10, "i", ""), ("period_type", 11, "m", "ValueType"), ("period", 12, "i", ""),
        ("comment", 13, "I", ""), ("default_sample_type", 14, "i", ""), ("doc_url", 15, "i", ""),
    ),
}  # fmt: skip


def _profile_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package="oracle", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            message.field.add(
                name=field,
                number=number,
                type=_NUMBERS[kind.lower()],
                label=3 if kind.isupper() else 1,
                type_name=f".oracle.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("oracle.Profile"))


Profile = _profile_class()
"""The message class of the format."""
