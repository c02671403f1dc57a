"""The measures of a store on PostgreSQL: what its shards weigh and occupy, asked of the nodes themselves.

A database does not know the CPU, the memory and the disk of its machine, so those come from a file that whatever
watches the machines writes. Sizes are the engine's (tables, indexes, TOAST), weights are rows that were read and
written in a window of some seconds by its statistics: a row written counts as four rows read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
from msgspec import Meta
from psycopg import Connection
from psycopg.rows import TupleRow

from mapscope.errors import UsageError
from mapscope.growth.fleet import Fleet, Node, Shard
from mapscope.growth.measures_file import Bytes, Part, Power
from mapscope.growth.trouble import GrowthError, Unreachable, words
from mapscope.routing.nodes import Store

WRITTEN = 4.0
"""Weight of a row written, in rows read."""
_CONNECT_SECONDS = 5
_MAX_BYTES = 16 << 20
_SIZES = """
select n.nspname, sum(pg_total_relation_size(c.oid))::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'm') group by 1"""
_WORK = """
select schemaname, sum(n_tup_ins + n_tup_upd + n_tup_del)::float8,
    sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::float8
from pg_stat_user_tables where schemaname = any(%s) group by 1"""
_USED = "select sum(pg_database_size(oid))::bigint from pg_database where datallowconn"
_MOVES = """
select shard, source, target, state not in ('cleaned', 'abandoned') from mapscope_control.move
where state not in ('cleaned', 'abandoned')
    or state = 'cleaned' and changed > clock_timestamp() - make_interval(secs => %s) order by id"""


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a database does not know of its machine; ``used_bytes`` left out is the size of its databases."""

    cpu: Part
    memory: Part
    capacity_bytes: Annotated[int, Meta(gt=0, le=1 << 60)]
    used_bytes: Bytes | None = None
    power: Power = 1.0
    accepts: bool = True


@dataclass(frozen=True, slots=True)
class _Look:
    """The rows written and read of each shard's schema so far, at one moment of the monotone clock."""

    at: float
    work: Mapping[str, tuple[float, float]]


def hosts(path: Path, store: Store) -> dict[str, Host]:
    """The machines by the names of their nodes. UsageError where one is missing, unknown or wrong."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
        found = msgspec.json.decode(raw, type=dict[str, Host])
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", "give --hosts the file") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: {error}", "docs/reference/growth.md shows such a file") from None
    for name in sorted(set(store.nodes) ^ set(found)):
        what = "is missing" if name in store.nodes else "is no node of the store"
        raise UsageError(f"{path}: {name!r} {what}", f"it needs {', '.join(sorted(store.nodes))}")
    return found


def measure(store: Store, machines: Mapping[str, Host], seconds: float, cool_down: float) -> Fleet:
    """The fleet now, after a window of ``seconds``. What moved in the last ``cool_down`` seconds rests. Unreachable."""
    places, resting, moving = _recorded(store, cool_down)
    held: dict[str, list[int]] = {name: [] for name in store.nodes}
    for shard, name in places.items():
        if name not in held:
            raise GrowthError(f"shard {shard} is at node {name}, which the file does not name", "add the node")
        held[name].append(shard)
    links: dict[str, Connection[TupleRow]] = {}
    try:
        for name, node in sorted(store.nodes.items()):
            links[name] = _connect(node.dsn, f"node {name}")
        before = {name: _look(links[name], store, held[name]) for name in links}
        time.sleep(seconds)
        nodes, shards = [], []
        for name, link in links.items():
            after = _look(link, store, held[name])
            sizes = _sizes(link, store, held[name])
            host = machines[name]
            used = max(_used(link) if host.used_bytes is None else host.used_bytes, sum(sizes.values()))
            nodes.append(
                Node(name, host.cpu, host.memory, host.capacity_bytes, used, host.power, host.accepts, name in resting)
            )
            for shard in held[name]:
                why = moving.get(shard, "")
                weight = _weight(before[name], after, store.shards.schema(shard))
                shards.append(Shard(shard, name, sizes.get(store.shards.schema(shard), 0), weight, not why, why))
    except psycopg.Error as error:
        raise Unreachable(words(error), "check the nodes of the store file") from None
    finally:
        for link in links.values():
            link.close()
    return Fleet(tuple(nodes), tuple(sorted(shards, key=lambda one: one.id)))


def _connect(dsn: str, what: str) -> Connection[TupleRow]:
    try:
        return psycopg.connect(
            dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="mapscope_measure"
        )
    except psycopg.OperationalError as error:
        raise Unreachable(f"{what}: {words(error)}", "check the addresses in the store file") from None


def _recorded(store: Store, cool_down: float) -> tuple[dict[int, str], set[str], dict[int, str]]:
    """Where each shard is, which nodes rest, and which shards may not move and why."""
    link = _connect(store.control, "control database")
    try:
        places = {int(row[0]): str(row[1]) for row in link.execute("select shard, node from mapscope_control.route")}
        resting: set[str] = set()
        moving: dict[int, str] = {}
        for shard, source, target, is_open in link.execute(_MOVES, (cool_down,)):
            moving[shard] = "it is being moved" if is_open else "it rests after a move"
            resting |= {source, target}
    except psycopg.errors.UndefinedTable:
        raise GrowthError("the control database knows no store yet", "run mapscope growth setup first") from None
    finally:
        link.close()
    return places, resting, moving


def _schemas(store: Store, shards: Sequence[int]) -> list[str]:
    return [store.shards.schema(shard) for shard in shards]


def _look(link: Connection[TupleRow], store: Store, shards: Sequence[int]) -> _Look:
    rows = link.execute(_WORK, (_schemas(store, shards),)).fetchall()
    return _Look(time.monotonic(), {row[0]: (row[1], row[2]) for row in rows})


def _sizes(link: Connection[TupleRow], store: Store, shards: Sequence[int]) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in link.execute(_SIZES, (_schemas(store, shards),))}


def _used(link: Connection[TupleRow]) -> int:
    row = link.execute(_USED).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _weight(before: _Look, after: _Look, schema: str) -> float:
    """Work of a shard a second; nothing where the statistics began anew between the looks."""
    written, read = after.work.get(schema, (0.0, 0.0))
    old_written, old_read = before.work.get(schema, (0.0, 0.0))
    elapsed = max(after.at - before.at, 1e-3)
    return max(WRITTEN * (written - old_written) + read - old_read, 0.0) / elapsed
