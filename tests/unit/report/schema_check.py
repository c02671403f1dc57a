"""A small judge of JSON Schema, independent of msgspec: the words that our schema uses, an error for any other."""

from __future__ import annotations

import re
from typing import Any

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
_WORDS = {
    "$ref", "anyOf", "type", "properties", "required",
    "items", "additionalProperties", "minimum", "pattern", "enum", "const",
    "title", "description", "default", "discriminator", "$schema", "$defs",
}  # fmt: skip


def problems(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """Why ``value`` does not fit ``schema``; empty when it does."""
    unknown = set(schema) - _WORDS
    assert not unknown, f"this judge does not know {unknown}"
    if "$ref" in schema:
        return problems(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    if "anyOf" in schema:
        tries = [problems(value, option, root, at) for option in schema["anyOf"]]
        return [] if any(not found for found in tries) else min(tries, key=len)
    found: list[str] = []
    if "type" in schema and not _is(value, schema["type"]):
        return [f"{at}: {value!r:.60} is no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is none of {schema['enum']}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{at}: {value} is below {schema['minimum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: {value!r} is not like {schema['pattern']}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += problems(item, schema.get("items", {}), root, f"{at}[{index}]")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        found += [f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        other = schema.get("additionalProperties", {})
        for name, item in value.items():
            if name in known:
                found += problems(item, known[name], root, f"{at}.{name}")
            elif "properties" in schema and "additionalProperties" not in schema:
                found.append(f"{at}: {name} is not documented")
            else:
                found += problems(item, other if isinstance(other, dict) else {}, root, f"{at}.{name}")
    return found


def _is(value: Any, kind: str) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, _TYPES[kind])
