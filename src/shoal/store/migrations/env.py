"""What Alembic runs for each migration: on the connection it was given, in its transaction."""

from __future__ import annotations

from alembic import context

from shoal.store.tables import facts

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=facts,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
