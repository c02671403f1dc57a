"""YAML with line and column: nodes become typed records, and what is wrong is said with its place in the file.

Own walk over PyYAML's nodes, because ``msgspec.convert`` sees values without their places.
"""

from __future__ import annotations

import difflib
import os
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NewType, TypeVar

import msgspec
import yaml

from mapscope.errors import UsageError
from mapscope.units import parse_duration, parse_size

Duration = NewType("Duration", float)
"""Seconds, written as Prometheus does: ``30s``, ``1h30m``."""
Size = NewType("Size", int)
"""Bytes, written ``64MB`` (SI) or ``64MiB``."""
FilePath = NewType("FilePath", str)
"""A file or a pattern of files; taken from the folder of the configuration where it is not absolute."""

T = TypeVar("T")
MAX_BYTES = 4 << 20
_MAX_VALUES = 200_000
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}


class ConfigError(UsageError):
    """The configuration is wrong at one place; the message begins with file, line and column."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a record finds wrong about itself: the key to blame, what is wrong, and what to write instead.

    ``inside``: the way from the value of the key to what is wrong in it: positions in lists, names of keys.
    """

    key: str
    message: str
    hint: str
    inside: tuple[str | int, ...] = ()


def read_yaml(path: str) -> yaml.Node:
    """The document in the file. Raises ConfigError."""
    try:
        with open(path, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}", "give the file of the settings") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path} has more than {MAX_BYTES >> 20} MB", "give the file of the settings")
    try:
        node = yaml.compose(raw.decode("utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text: byte {error.start}", "give the file of the settings") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        hint = "put text with : # { [ * & ! in quotes; indent with spaces"
        raise ConfigError(f"{place}: this is no YAML: {error.problem or error.context}", hint) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: this is no YAML: {str(error).splitlines()[0]}", "it is binary?") from error
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply", "settings have no more than ten levels") from None
    if node is None:
        raise ConfigError(f"{path} is empty", "write at least scrape_configs with one job")
    return node


def decode(kind: type[T], node: yaml.Node, path: str) -> T:
    """``node`` as a ``kind``, a msgspec Struct or a type of its fields. Raises ConfigError."""
    return typing.cast(T, _Decoder(path).value(kind, node, ""))


class _Decoder:
    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0

    def wrong(self, node: yaml.Node, message: str, hint: str) -> ConfigError:
        mark = node.start_mark
        return ConfigError(f"{self._path}:{mark.line + 1}:{mark.column + 1}: {message}", hint)

    def value(self, kind: Any, node: yaml.Node, key: str) -> Any:
        """The value of one node; ``key`` is whose value it is."""
        self._count += 1  # aliases can make a small file large
        if self._count > _MAX_VALUES:
            raise self.wrong(node, f"more than {_MAX_VALUES:,} values", "split the settings; use file_sd_configs")
        origin = typing.get_origin(kind)
        if origin is typing.Annotated:
            return self.value(typing.get_args(kind)[0], node, key)
        if origin in (typing.Union, types.UnionType):
            if _is_null(node):
                return None
            return self.value(next(one for one in typing.get_args(kind) if one is not type(None)), node, key)
        if origin is list:
            return self._list(typing.get_args(kind)[0], node, key)
        if origin is dict:
            return self._texts(node, key)
        if origin is Literal:
            return self._choice(typing.get_args(kind), node, key)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._record(kind, node, key)
        return _SCALARS[kind](self, node, key)

    def _list(self, kind: Any, node: yaml.Node, key: str) -> list[Any]:
        if _is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, f"{key} is a list", f"write {key}: [one, two], or each behind a dash")
        return [self.value(kind, one, f"an entry of {key}") for one in node.value]

    def _pairs(self, node: yaml.Node, key: str) -> list[tuple[str, yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{key or 'the file'} has keys, not {_said(node)}", "write KEY: VALUE on each line")
        found: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                raise self.wrong(name, "a key must be a word", "write KEY: VALUE")
            if name.value in found:
                line = found[name.value][1].start_mark.line + 1
                raise self.wrong(name, f"{name.value} is there twice", f"keep one; the other is in line {line}")
            found[name.value] = name.value, name, value
        return list(found.values())

    def _texts(self, node: yaml.Node, key: str) -> dict[str, str]:
        if _is_null(node):
            return {}
        return {name: self.text(value, name) for name, _, value in self._pairs(node, key)}

    def _record(self, kind: type[msgspec.Struct], node: yaml.Node, key: str) -> msgspec.Struct:
        known = {one.encode_name: one for one in msgspec.structs.fields(kind)}
        given: dict[str, Any] = {}
        nodes: dict[str, yaml.Node] = {}
        pairs = [] if _is_null(node) and key else self._pairs(node, key)
        for name, at, value in pairs:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                listed = ", ".join(known)
                hint = f"do you mean {near[0]}?" if near else f"known here: {listed}"
                raise self.wrong(at, f"unknown key {name}" + (f" in {key}" if key else ""), hint)
            given[known[name].name] = self.value(known[name].type, value, name)
            nodes[name] = value
        for name, one in known.items():
            if one.required and name not in nodes:
                raise self.wrong(node, f"{key or 'the file'} lacks {name}", f"add {name}: …")
        made = kind(**given)
        check: Callable[[], Problem | None] | None = getattr(made, "problem", None)
        if check is not None and (found := check()) is not None:
            raise self.wrong(_descended(nodes.get(found.key, node), found.inside), found.message, found.hint)
        return made

    def _choice(self, allowed: tuple[Any, ...], node: yaml.Node, key: str) -> str:
        text = self.text(node, key)
        if text not in allowed:
            raise self.wrong(node, f"{key} cannot be {text!r}", f"write {' or '.join(map(str, allowed))}")
        return text

    def text(self, node: yaml.Node, key: str) -> str:
        """A text; a number's own spelling serves, a yes or no does not."""
        if not isinstance(node, yaml.ScalarNode) or _tag(node) in ("null", "bool"):
            raise self.wrong(node, f"{key} is a text, not {_said(node)}", f'put it in quotes: {key}: "…"')
        return str(node.value)

    def switch(self, node: yaml.Node, key: str) -> bool:
        """A true or a false."""
        if not isinstance(node, yaml.ScalarNode) or _tag(node) != "bool":
            raise self.wrong(node, f"{key} is true or false, not {_said(node)}", f"write {key}: true")
        return _BOOLEANS[node.value.lower()]

    def number(self, node: yaml.Node, key: str) -> int:
        """A whole number that is not negative."""
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise self.wrong(node, f"{key} is a whole number, not {_said(node)}", f"write {key}: 10")
        return int(text)

    def duration(self, node: yaml.Node, key: str) -> float:
        """Seconds; a bare number is refused, as Prometheus refuses it."""
        try:
            text = self.text(node, key)
            if text.replace(".", "").isdigit() and float(text):
                raise UsageError(f"{text!r} is no time", f"write {text}s")
            return parse_duration(text)
        except ConfigError:
            raise
        except UsageError as error:
            raise self.wrong(node, f"{key}: {error}", error.hint) from None

    def size(self, node: yaml.Node, key: str) -> int:
        """Bytes."""
        try:
            return parse_size(self.text(node, key))
        except ConfigError:
            raise
        except UsageError as error:
            raise self.wrong(node, f"{key}: {error}", error.hint) from None

    def path(self, node: yaml.Node, key: str) -> str:
        """A path, absolute."""
        text = self.text(node, key)
        if not text or "\0" in text:
            raise self.wrong(node, f"{key} is no path", f"write {key}: FILE")
        return os.path.join(os.path.dirname(os.path.abspath(self._path)), text)


_SCALARS: dict[Any, Callable[[_Decoder, yaml.Node, str], Any]] = {
    str: _Decoder.text,
    bool: _Decoder.switch,
    int: _Decoder.number,
    Duration: _Decoder.duration,
    Size: _Decoder.size,
    FilePath: _Decoder.path,
}


def _descended(node: yaml.Node, way: tuple[str | int, ...]) -> yaml.Node:
    for step in way:
        if isinstance(step, int) and isinstance(node, yaml.SequenceNode) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for name, value in node.value if name.value == step), node)
    return node


def _tag(node: yaml.Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and _tag(node) == "null"


def _said(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "nothing" if _is_null(node) else f"{str(node.value)[:60]!r}"
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys and values"
