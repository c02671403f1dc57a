"""A store of the watch over two servers, as tests see it: what lies where, and moves."""

from __future__ import annotations

import uuid

from mapscope.fleet.config import Retention
from mapscope.fleet.marks import Duration
from mapscope.routing import router
from tests.services.growing import Growing

KEEP = Retention(profiles=Duration(10**9), indicators=Duration(10**9), interval=Duration(10**6))
SHARDS = 4
SERVICES = tuple(f"svc-{number}" for number in range(8))


def shard_of(made: Growing, service: str) -> int:
    return made.store.shards.of_hash(router.hash_of(service))


def everything(made: Growing) -> dict[str, list[uuid.UUID]]:
    """The profiles of each service by their identity, from all schemas of all nodes: no route is asked."""
    found: dict[str, list[uuid.UUID]] = {}
    for name in made.names:
        for (schema,) in made.ask(name, "select nspname from pg_namespace where nspname ~ '^shard_'"):
            for service, key in made.ask(name, f"select service, id from {schema}.profiles order by taken_us"):
                assert isinstance(key, uuid.UUID)
                found.setdefault(str(service), []).append(key)
    return found


def moved(made: Growing, *shards: int) -> None:
    """Moves shards to the other server, two at a time."""
    sources = [made.place(shard) for shard in shards]
    wanted = [(shard, at, "b" if at == "a" else "a") for shard, at in zip(shards, sources, strict=True)]
    outcome = made.carry_out(*wanted)
    assert [move.reason for move in outcome.ended] == [""] * len(shards)
    assert [made.place(shard) for shard in shards] == [target for _, _, target in wanted]
