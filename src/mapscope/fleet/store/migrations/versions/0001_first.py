"""The first tables.

They are written out here and not taken from ``tables.py``: a migration stays as it was.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "profiles",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("taken_us", sa.BigInteger, nullable=False),
        sa.Column("raw_size", sa.BigInteger, nullable=False),
        sa.Column("stored_size", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index("profiles_by_service", "profiles", ["service", "kind", "taken_us"])
    op.create_index("profiles_by_age", "profiles", ["taken_us", "stored_size"])
    op.create_table(
        "indicators",
        sa.Column("profile_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("taken_us", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
    )
    op.create_index("indicators_by_service", "indicators", ["service", "taken_us"])
    op.create_index("indicators_by_age", "indicators", ["taken_us"])
    op.create_table(
        "sites",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("function", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("type", sa.Text),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
    )
    op.create_table(
        "places",
        sa.Column("profile_id", sa.Uuid, primary_key=True),
        sa.Column("site_id", sa.BigInteger, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("taken_us", sa.BigInteger, nullable=False),
        sa.Column("inuse_bytes", sa.BigInteger, nullable=False),
        sa.Column("inuse_objects", sa.BigInteger, nullable=False),
        sa.Column("alloc_bytes", sa.BigInteger, nullable=False),
        sa.Column("alloc_objects", sa.BigInteger, nullable=False),
    )
    op.create_index("places_by_service", "places", ["service", "taken_us"])
    op.create_index("places_by_age", "places", ["taken_us"])
    op.create_table(
        "findings",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("indicator", sa.Text, nullable=False),
        sa.Column("function", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("type", sa.Text),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("goroutines", sa.BigInteger),
        sa.Column("began_us", sa.BigInteger, nullable=False),
        sa.Column("last_us", sa.BigInteger, nullable=False),
        sa.Column("ended_us", sa.BigInteger),
    )
    op.create_index("findings_by_service", "findings", ["service", "began_us"])


def downgrade() -> None:
    """Drops everything."""
    for name in ("findings", "places", "sites", "indicators", "profiles"):
        op.drop_table(name)
