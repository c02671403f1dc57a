"""Fills the parts of the reference that the code itself tells: commands, documents, layouts, thresholds.

A page marks the place with ``<!-- from the code: NAME -->``; the text is Markdown that is made when the page is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from msgspec.structs import fields
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from mapscope.cli.main import cli
from mapscope.findings.thresholds import DEFAULT
from mapscope.report.schema import json_schema

_MARK = re.compile(r"<!-- from the code: (\w+) -->")
_DOCS = Path(__file__).resolve().parents[1]
_LAYOUTS = _DOCS.parent / "src" / "mapscope" / "goruntime" / "layouts"
_STRUCTS = (
    "runtime.hmap", "runtime.hiter", "runtime.mapextra",
    "internal/runtime/maps.Map", "internal/runtime/maps.table", "internal/runtime/maps.Iter",
)  # fmt: skip
_MORE = {"profile": ("diff", "watch")}
"""Commands behind a command that is no group."""


def commands() -> Iterator[str]:
    """Every command with its help, its options, and its examples."""
    for path, command in _walk(cli, "mapscope"):
        yield f"## {path}\n"
        with click.Context(command, info_name=path) as context:
            usage = " ".join(command.collect_usage_pieces(context))
        yield f"```\n{path} {usage}\n```\n"
        yield _paragraphs(command.help or "")
        rows = [row for row in map(_option, command.params) if row]
        if rows:
            yield "| option | what it does |\n|---|---|"
            yield "\n".join(rows) + "\n"
        yield _paragraphs(command.epilog or "")


def _walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    name = path.rpartition(" ")[2]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _walk(found, f"{path} {inner}")
    for inner in _MORE.get(name, ()):
        found = command.make_context(path, [inner, "old", "new"][: 3 if inner == "diff" else 2]).command
        yield f"{path} {inner}", found


def _paragraphs(text: str) -> str:
    out = []
    for part in re.split(r"\n\s*\n", text.strip()):
        if part.startswith("\b"):
            out.append("```\n" + part.lstrip("\b\n") + "\n```")
        else:
            out.append(_plain(part))
    return "\n\n".join(out) + "\n"


def _plain(text: str) -> str:
    """Words that Markdown must not take for its own."""
    return re.sub(r"([<>*_|\[\]])", r"\\\1", " ".join(text.split()))


def _option(parameter: click.Parameter) -> str:
    if not isinstance(parameter, click.Option) or parameter.hidden:
        return ""
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    value = "" if parameter.is_flag else f" `{parameter.make_metavar(click.Context(cli))}`".replace("|", "\\|")
    help_ = parameter.help or ""
    if parameter.show_default and parameter.default is not None:
        help_ += f" Default: {parameter.default}."
    return f"| {names}{value} | {_plain(help_)} |"


def documents() -> Iterator[str]:
    """Every kind of document, field by field, and the records in them."""
    schema = json_schema()
    kinds = [one.get("items", one)["$ref"].rpartition("/")[2] for one in schema["anyOf"]]
    yield from (_record(name, schema["$defs"][name], "##") for name in kinds)
    yield "## Records\n"
    yield from (_record(name, one, "###") for name, one in schema["$defs"].items() if name not in kinds)


def _record(name: str, schema: dict[str, Any], rank: str) -> str:
    lines = [f"{rank} {name}\n", _plain(schema.get("description", "")) + "\n"]
    if "properties" not in schema:
        return "\n".join([*lines, f"{_type(schema)}\n"])
    lines += ["| field | type | meaning |", "|---|---|---|"]
    for field, one in schema["properties"].items():
        told = one.get("description") or next(
            (o["description"] for o in one.get("anyOf", ()) if "description" in o), ""
        )
        lines.append(f"| `{field}` | {_type(one)} | {_plain(told)} |")
    return "\n".join(lines) + "\n"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"name to {_type(schema['additionalProperties'])}"
    return str(kind)


def layouts() -> Iterator[str]:
    """Offsets of the fields of the structs of maps, in each release with tables of its own."""
    tables = {}
    for path in sorted(_LAYOUTS.glob("go*-amd64.json")):
        name = path.name.removeprefix("go").removesuffix("-amd64.json")
        tables[name] = json.loads(path.read_text(encoding="utf-8"))["structs"]
    for struct in _STRUCTS:
        have = {name: one[struct] for name, one in tables.items() if struct in one}
        names: dict[str, None] = {}
        for one in have.values():
            names.update(dict.fromkeys(one["fields"]))
        yield f"## {struct}\n"
        yield "| field | " + " | ".join(have) + " |\n|---|" + "---|" * len(have)
        for field in names:
            cells = (str(one["fields"][field][0]) if field in one["fields"] else "" for one in have.values())
            yield f"| `{field}` | " + " | ".join(cells) + " |"
        yield "| *size* | " + " | ".join(str(one["size"]) for one in have.values()) + " |\n"


def thresholds() -> Iterator[str]:
    """The numbers that the rules use."""
    yield "| name | value |\n|---|---|"
    yield from (f"| `{one.name}` | {getattr(DEFAULT, one.name):,} |" for one in fields(DEFAULT))


def screenshots() -> Iterator[str]:
    """The pictures of the HTML report that are there, for a page in the folder of the documentation."""
    for path in sorted(_DOCS.glob("images/report-*.png")):
        yield f"![{path.stem.replace('-', ' ')}](images/{path.name})\n"


def others() -> Iterator[str]:
    """A table of contents of the pages that the first page does not name yet, so that none is left out of the site."""
    named = (_DOCS / "index.md").read_text(encoding="utf-8")
    pages = [path.relative_to(_DOCS).with_suffix("").as_posix() for path in sorted(_DOCS.rglob("*.md"))]
    missing = [page for page in pages if page != "index" and not re.search(rf"^{page}$", named, re.MULTILINE)]
    if missing:
        yield "```{toctree}\n:caption: More\n:hidden:\n\n" + "\n".join(missing) + "\n```"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "commands": commands,
    "documents": documents,
    "layouts": layouts,
    "others": others,
    "screenshots": screenshots,
    "thresholds": thresholds,
}


def fill(_app: Sphinx, name: str, source: list[str]) -> None:
    """Puts the parts in their places. ExtensionError for a part that does not exist."""

    def part(found: re.Match[str]) -> str:
        if found[1] not in PARTS:
            raise ExtensionError(f"{name}: the code has no part {found[1]!r}")
        return "\n".join(PARTS[found[1]]())

    source[0] = _MARK.sub(part, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
