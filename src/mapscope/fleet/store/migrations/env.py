"""What Alembic runs: the migrations, on the connection of the caller and in its transaction."""

from __future__ import annotations

from alembic import context

from mapscope.fleet.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True)
context.run_migrations()
