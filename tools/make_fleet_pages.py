"""Writes docs/reference/watch-config.md and metrics.md from the code. Run: ``python tools/make_fleet_pages.py``."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, Literal

import msgspec

from mapscope.fleet import config, marks
from mapscope.fleet.asking import REASONS
from mapscope.fleet.metrics import METRICS

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- made by tools/make_fleet_pages.py -->"
SECTIONS: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("The file", config.Config),
    ("global", config.Global),
    ("scrape_configs", config.ScrapeConfig),
    ("static_configs", config.StaticConfig),
    ("file_sd_configs", config.FileSD),
    ("kubernetes_sd_configs", config.KubernetesSD),
    ("namespaces", config.Namespaces),
    ("selectors", config.Selector),
    ("tls_config", config.TLSConfig),
    ("authorization", config.Authorization),
    ("basic_auth", config.BasicAuth),
    ("store", config.Store),
    ("retention", config.Retention),
    ("limits", config.Limits),
    ("web", config.Web),
)
WORDS: dict[Any, str] = {
    str: "text", bool: "true, false", int: "number", marks.Duration: "time", marks.Size: "size", marks.FilePath: "file",
}  # fmt: skip
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))

CONFIG_HEAD = f"""\
# Settings of the watch

{NOTE}

`mapscope watch CONFIG` reads one YAML file in Prometheus' style. `mapscope watch CONFIG --check` says whether it is
good; what is wrong is named with line, column and what to write instead. An unknown key is an error. SIGHUP reads the
file again: a wrong one changes nothing, and `store` and `web` change with a restart only.

    global:
      scrape_interval: 1m
    scrape_configs:
    - job_name: shop
      executables: [/srv/shop/bin/*]
      static_configs:
      - targets: ["10.0.0.7:6060", "10.0.0.8:6060"]
        labels: {{service: checkout}}

A *time* is `30s`, `5m`, `1h30m`, `7d`; a bare number is refused. A *size* is `64MB` or `64MiB`. A *file* that is not
absolute lies in the folder of the settings; secrets are read from files only.
"""
METRICS_HEAD = f"""\
# Metrics of the watch

{NOTE}

`mapscope watch` serves these at `http://LISTEN/metrics` (`web.listen`, 127.0.0.1:9719), beside `/healthz` (the event
loop turns, the store's writer is there) and `/readyz` (targets are known, the store can be written).
`target` is HOST:PORT of a process, so that
Prometheus' own `instance` stays that of the watch. Series of targets that are gone are gone. `process_*` and
`python_info` are of the watch itself. P1 to P7 are [indicators](indicators.md); one that cannot be told (no
executable, too few profiles) has no series.

| metric | kind | labels | meaning |
|---|---|---|---|
"""


def name_of(kind: Any) -> str:
    """A type as the page says it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return name_of(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(name_of(one) for one in arguments if one is not type(None))
    if origin is list:
        return f"list of {name_of(arguments[0])}"
    if origin is dict:
        return "names and texts"
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    for title, record in SECTIONS:
        if kind is record:
            return f"[{title}](#{title})"
    return WORDS[kind]


def default_of(kind: Any, value: Any) -> str:
    """A default as one would write it."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if value is None or value in ([], {}) or isinstance(value, msgspec.Struct):
        return ""
    if kind is marks.Duration:
        return next(f"`{value / size:g}{unit}`" for size, unit in UNITS if value % size == 0)
    if kind is marks.Size:
        return f"`{value // 10**9}GB`" if value % 10**9 == 0 else f"`{value // 10**6}MB`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def meaning_of(kind: Any) -> str:
    """The description beside the type; that of the record where the type is one."""
    if typing.get_origin(kind) is typing.Annotated:
        for one in typing.get_args(kind)[1:]:
            if isinstance(one, msgspec.Meta) and one.description:
                return one.description
        return meaning_of(typing.get_args(kind)[0])
    for part in (kind, *typing.get_args(kind)):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return (part.__doc__ or "").splitlines()[0]
    return ""


def table(record: type[msgspec.Struct]) -> list[str]:
    """A row a key."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for one in msgspec.structs.fields(record):
        default = one.default if one.default is not msgspec.NODEFAULT else None
        shown = "must be given" if one.required else default_of(one.type, default)
        lines.append(f"| `{one.encode_name}` | {name_of(one.type)} | {shown} | {meaning_of(one.type)} |")
    return lines


def config_page() -> str:
    """The page of the settings."""
    lines = [CONFIG_HEAD]
    for title, record in SECTIONS:
        lines += [f"## {title}", "", (record.__doc__ or "").splitlines()[0], "", *table(record), ""]
    return "\n".join(lines).rstrip() + "\n"


def metrics_page() -> str:
    """The page of the metrics."""
    rows = [
        f"| `mapscope_{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in METRICS
    ]
    reasons = ", ".join(f"`{one}`" for one in ("ok", *REASONS))
    tail = f"\nValues of `outcome`: {reasons}.\n"
    return METRICS_HEAD + "\n".join(rows) + "\n" + tail


PAGES = {"watch-config.md": config_page, "metrics.md": metrics_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
