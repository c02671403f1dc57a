"""A fleet from a JSON file of measures: what each node does and holds, and what each shard weighs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from mapscope.errors import UsageError
from mapscope.growth.fleet import Fleet, Node, Shard
from mapscope.report.escape import ascii_json

MAX_BYTES = 512 << 20
_HINT = "docs/reference/growth.md shows such a file"

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Part = Annotated[float, Meta(ge=0, le=1000)]
Power = Annotated[float, Meta(ge=1e-6, le=1e6)]
Amount = Annotated[float, Meta(ge=0, le=1e18)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 60)]


class _Node(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    cpu: Part
    memory: Part
    capacity_bytes: Annotated[int, Meta(gt=0, le=1 << 60)]
    used_bytes: Bytes
    power: Power = 1.0
    accepts: bool = True
    rests: bool = False


class _Shard(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[int, Meta(ge=0, le=1 << 40)]
    node: Name
    size_bytes: Bytes
    weight: Amount
    movable: bool = True
    why_not: Annotated[str, Meta(max_length=200)] = ""


class _Measures(msgspec.Struct, forbid_unknown_fields=True):
    nodes: list[_Node]
    shards: list[_Shard]


def read(path: Path) -> Fleet:
    """The fleet in ``path``. UsageError says which field of which entry is wrong."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", "give --measures the file") from None
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES >> 20} MB", _HINT)
    try:
        found = msgspec.json.decode(raw, type=_Measures)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: {error}", _HINT) from None
    nodes = tuple(Node(**msgspec.structs.asdict(one)) for one in found.nodes)
    shards = tuple(Shard(**msgspec.structs.asdict(one)) for one in found.shards)
    _check(nodes, shards, path)
    return Fleet(nodes, shards)


def written(fleet: Fleet) -> bytes:
    """The file that ``read`` reads."""
    document = {"nodes": [asdict(one) for one in fleet.nodes], "shards": [asdict(one) for one in fleet.shards]}
    return ascii_json(msgspec.json.format(msgspec.json.encode(document), indent=2)) + b"\n"


def _check(nodes: tuple[Node, ...], shards: tuple[Shard, ...], path: Path) -> None:
    names: dict[str, int] = {}
    for index, node in enumerate(nodes):
        if node.name in names:
            raise UsageError(f"{path}: nodes[{index}] has the name of nodes[{names[node.name]}]", "names differ")
        names[node.name] = index
        if node.used_bytes > node.capacity_bytes:
            raise UsageError(f"{path}: nodes[{index}] uses more bytes than it has", "used_bytes <= capacity_bytes")
    held = dict.fromkeys(names, 0)
    ids: dict[int, int] = {}
    for index, shard in enumerate(shards):
        if shard.id in ids:
            raise UsageError(f"{path}: shards[{index}] has the id of shards[{ids[shard.id]}]", "ids differ")
        ids[shard.id] = index
        if shard.node not in names:
            raise UsageError(f"{path}: shards[{index}] is on a node that the file does not name", "add the node")
        held[shard.node] += shard.size_bytes
    for node in nodes:
        if held[node.name] > node.used_bytes:
            text = f"{path}: the shards of nodes[{names[node.name]}] are larger than its used_bytes"
            raise UsageError(text, "used_bytes counts everything on the disk, shards too")
