"""The settings from a YAML file; what is wrong is said with its line and column.

``mapscope watch`` has a larger reader of the same manner. Rooms of the top floor do not import each other, and these
dozen numbers need no more than this.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from mapscope.errors import UsageError
from mapscope.growth.settings import DEFAULT, Settings

MAX_BYTES = 1 << 20
_HINT = "docs/reference/growth.md lists the settings"
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_TIME = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_KNOWN = tuple(field.name for field in fields(Settings))
_RATIOS = {"load_enter", "load_leave", "free_enter", "free_leave", "skew_floor"}
_MOST = 1e9


def read(path: Path) -> Settings:
    """The settings in ``path``; what it does not name is as in ``DEFAULT``. UsageError with FILE:LINE:COLUMN."""
    try:
        import yaml
    except ImportError:
        raise UsageError("PyYAML is not installed", "pip install 'mapscope[fleet]'") from None
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", "give --config the settings") from None
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES >> 20} MB", _HINT)
    try:
        top = yaml.compose(raw.decode("utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text: byte {error.start}", _HINT) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise UsageError(f"{place}: this is no YAML: {error.problem or error.context}", _HINT) from None
    except (yaml.YAMLError, RecursionError):
        raise UsageError(f"{path}: this is no YAML", _HINT) from None
    return DEFAULT if top is None else _settings(top, path)


def _settings(top: Any, path: Path) -> Settings:
    import yaml

    if not isinstance(top, yaml.MappingNode):
        raise _wrong(path, top, "settings are KEY: VALUE on each line", _HINT)
    given: dict[str, float | int] = {}
    nodes: dict[str, Any] = {}
    for key, value in top.value:
        name = str(key.value)
        if not isinstance(key, yaml.ScalarNode) or name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, 1) if isinstance(key, yaml.ScalarNode) else []
            raise _wrong(path, key, f"unknown setting {name[:60]!r}", f"do you mean {near[0]}?" if near else _HINT)
        if name in nodes:
            raise _wrong(path, key, f"{name} is there twice", f"the other is in line {nodes[name].start_mark.line + 1}")
        nodes[name] = value
        given[name] = _number(name, value, path)
    made = replace(DEFAULT, **given)  # type: ignore[arg-type]
    for key, message, hint in problems(made):
        raise _wrong(path, nodes.get(key, top), message, hint)
    return made


def problems(settings: Settings) -> list[tuple[str, str, str]]:
    """What is wrong between settings: the key to blame, what is wrong, what to write instead."""
    found = [
        (name, f"{name} is a part of 1: 0 to 1, not {getattr(settings, name):g}", f"write {name}: 0.85")
        for name in _KNOWN
        if name in _RATIOS and not 0 <= getattr(settings, name) <= 1
    ]
    if settings.cpu_weight + settings.memory_weight <= 0:
        found.append(("cpu_weight", "one of cpu_weight and memory_weight must be above 0", "write cpu_weight: 0.5"))
    if settings.load_leave > settings.load_enter or settings.load_leave <= 0:
        found.append(("load_leave", "load_leave must be above 0 and not above load_enter", "write load_leave: 0.75"))
    if settings.free_leave < settings.free_enter or settings.free_leave >= 1:
        found.append(("free_leave", "free_leave must be below 1 and not below free_enter", "write free_leave: 0.20"))
    if not 1 <= settings.skew_leave <= settings.skew_enter:
        found.append(("skew_leave", "skew_leave must be 1 or more and not above skew_enter", "write skew_leave: 1.5"))
    if settings.observations < 1:
        found.append(("observations", "observations must be 1 or more", "write observations: 3"))
    return found


def _number(name: str, node: Any, path: Path) -> float | int:
    import yaml

    text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
    if name == "cool_down":
        time = _TIME.fullmatch(text)
        if time is None or len(text) > 12:
            raise _wrong(path, node, f"{name} is a time, not {_said(node)}", f"write {name}: 30m")
        return float(time[1]) * _SECONDS[time[2]]
    if isinstance(getattr(DEFAULT, name), int):
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise _wrong(path, node, f"{name} is a whole number, not {_said(node)}", f"write {name}: 3")
        return int(text)
    value = float(text) if _NUMBER.fullmatch(text) and len(text) < 30 else math.nan
    if not value <= _MOST:
        hint = f"write {name}: {getattr(DEFAULT, name):g}"
        raise _wrong(path, node, f"{name} is a number, not {_said(node)}", hint)
    return value


def _said(node: Any) -> str:
    import yaml

    return f"{str(node.value)[:60]!r}" if isinstance(node, yaml.ScalarNode) else "a list or keys"


def _wrong(path: Path, node: Any, message: str, hint: str) -> UsageError:
    mark = node.start_mark
    return UsageError(f"{path}:{mark.line + 1}:{mark.column + 1}: {message}", hint)
