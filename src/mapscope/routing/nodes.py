"""The file that names the control database, the nodes and the shards, and how patient a move is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mapscope.routing.trouble import GrowthError

MAX_SHARDS = 1 << 20
_SPACE = 1 << 32


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One PostgreSQL database that holds shards.

    ``dsn`` is how the controller and routers reach it, ``replication_dsn`` how the other nodes do (default: the same).
    """

    dsn: str
    replication_dsn: str = ""

    @property
    def source_dsn(self) -> str:
        """What a subscription on another node connects to."""
        return self.replication_dsn or self.dsn


class Shards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``count`` hash ranges of equal width, each a schema ``prefix`` + number with tables of its own."""

    count: int
    prefix: str = "shard_"

    def schema(self, shard: int) -> str:
        """The schema of a shard, the same on each node."""
        return f"{self.prefix}{shard:04d}"

    def of_hash(self, value: int) -> int:
        """The shard whose range holds a hash of 32 bits."""
        return value * self.count // _SPACE

    def range_of(self, shard: int) -> tuple[int, int]:
        """First hash of a shard, and the first that is no longer in it."""
        return -(-shard * _SPACE // self.count), -(-(shard + 1) * _SPACE // self.count)


class Moving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How patient a move is, and what it may use. Seconds and bytes."""

    parallel: int = 2
    """Moves at a time."""
    ranges: int = 256
    """Checksums a table, each of a range of key hashes; a power of two."""
    fence_seconds: float = 5.0
    """How long writes may wait before the fence is lifted and the move streams on."""
    fence_attempts: int = 5
    """Fences before the move is abandoned."""
    fence_lag_seconds: float = 0.5
    """A row must come through the stream within this time before the fence is put up."""
    lock_seconds: float = 0.2
    """``lock_timeout`` of the first try for a lock; each further one waits twice as long."""
    lock_attempts: int = 6
    slot_seconds: float = 120.0
    """How long a slot may wait for transactions that were open before it."""
    retained_bytes: int = 8 << 30
    """WAL that the source may keep for the slot before the move is abandoned."""
    lag_seconds: float = 600.0
    """The lag must reach a new low within this time, or the move is abandoned."""
    receiver_restarts: int = 20
    """Restarts of the receiver without progress between, before the move is abandoned."""
    patience_seconds: float = 30.0
    """How long a node or the control database may be away."""
    reader_seconds: float = 600.0
    """How long clean-up waits for readers of the old epoch; after that it is left to ``resume``."""
    republish: bool = False
    """Allow a target whose other publications would publish the shard again (their subscribers use origin = none)."""


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    control: str
    nodes: dict[str, Node]
    shards: Shards
    moving: Moving = Moving()

    def node(self, name: str) -> Node:
        """A node by its name; GrowthError where there is none."""
        if name not in self.nodes:
            raise GrowthError(f"no node is named {name!r}", f"the file names {', '.join(sorted(self.nodes))}")
        return self.nodes[name]


def read(path: Path) -> Store:
    """The store file, as YAML. GrowthError with the line or the field where it is wrong."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise GrowthError(f"{path} is not UTF-8 text") from None
    try:
        tree = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        raise GrowthError(f"{where}: {error.problem or 'not YAML'}") from None
    except yaml.YAMLError as error:
        raise GrowthError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        store = msgspec.convert(tree, Store)
    except msgspec.ValidationError as error:
        raise GrowthError(f"{path}: {error}", "docs/how-to/growth.md shows a store file") from None
    _check(store, path)
    return store


def _check(store: Store, path: Path) -> None:
    moving = store.moving
    positive = {
        "parallel": moving.parallel, "fence_seconds": moving.fence_seconds, "fence_attempts": moving.fence_attempts,
        "lock_seconds": moving.lock_seconds, "lock_attempts": moving.lock_attempts, "lag_seconds": moving.lag_seconds,
        "retained_bytes": moving.retained_bytes, "slot_seconds": moving.slot_seconds,
        "fence_lag_seconds": moving.fence_lag_seconds,
    }  # fmt: skip
    for name, value in positive.items():
        if not value > 0:
            raise GrowthError(f"{path}: moving.{name} must be above 0, not {value}")
    if moving.ranges < 1 or moving.ranges & (moving.ranges - 1) or moving.ranges > 1 << 16:
        raise GrowthError(f"{path}: moving.ranges must be a power of two up to 65536, not {moving.ranges}")
    if not 1 <= store.shards.count <= MAX_SHARDS:
        raise GrowthError(f"{path}: shards.count must be 1 to {MAX_SHARDS}, not {store.shards.count}")
    prefix = store.shards.prefix
    if not prefix.isidentifier() or not prefix.isascii() or prefix != prefix.lower() or len(prefix) > 40:
        raise GrowthError(f"{path}: shards.prefix must be a plain lower-case name, not {prefix!r}")
    if len(store.nodes) < 1:
        raise GrowthError(f"{path}: nodes: at least one is needed")
