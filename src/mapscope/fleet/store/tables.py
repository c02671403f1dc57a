"""The tables of the store, the same in SQLite and PostgreSQL.

Every row carries its service and has a key that is unique wherever it lies, so that rows of one service can move to
another server. Times are microseconds since 1970 by the clock of the watch.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text, Uuid

METADATA = MetaData()

PROFILES = Table(
    "profiles",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("service", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("taken_us", BigInteger, nullable=False),
    Column("raw_size", BigInteger, nullable=False),
    Column("stored_size", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("profiles_by_service", "service", "kind", "taken_us"),
    Index("profiles_by_age", "taken_us", "stored_size"),
)
"""Raw profiles. ``data``: zstd of the inflated profile, whose SHA-256 is ``digest``; last, so that scans skip it."""

INDICATORS = Table(
    "indicators",
    METADATA,
    Column("profile_id", Uuid, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("service", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("taken_us", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Index("indicators_by_service", "service", "taken_us"),
    Index("indicators_by_age", "taken_us"),
)
"""Indicators of docs/reference/indicators.md, a row each; they outlive their profile."""

SITES = Table(
    "sites",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("service", Text, nullable=False),
    Column("function", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("type", Text),
    Column("part", Text, nullable=False),
    Column("told", Text, nullable=False),
    Column("entry", Text, nullable=False),
)
"""Places in programs that make map memory; ``id`` is a hash of the rest."""

PLACES = Table(
    "places",
    METADATA,
    Column("profile_id", Uuid, primary_key=True),
    Column("site_id", BigInteger, primary_key=True),
    Column("service", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("taken_us", BigInteger, nullable=False),
    Column("inuse_bytes", BigInteger, nullable=False),
    Column("inuse_objects", BigInteger, nullable=False),
    Column("alloc_bytes", BigInteger, nullable=False),
    Column("alloc_objects", BigInteger, nullable=False),
    Index("places_by_service", "service", "taken_us"),
    Index("places_by_age", "taken_us"),
)
"""Map memory of the largest places of each profile."""

FINDINGS = Table(
    "findings",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("service", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("indicator", Text, nullable=False),
    Column("function", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("type", Text),
    Column("told", Text, nullable=False),
    Column("bytes", BigInteger),
    Column("goroutines", BigInteger),
    Column("began_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Index("findings_by_service", "service", "began_us"),
)
"""What was suspected, from when to when; ``ended_us`` is null while it lasts."""
