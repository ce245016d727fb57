"""Bring a database forward to the schema that this version knows; refuse a newer one.

Migrations are in migrations/versions, one a file, and only go forward.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from shoal.errors import StoreFault


def upgrade(engine: Engine) -> None:
    config = configuration()
    script = ScriptDirectory.from_config(config)
    latest = script.get_current_head()
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found == latest:
        return
    if found is not None and found not in {it.revision for it in script.walk_revisions()}:
        raise StoreFault(
            f"The database has schema {found}, this version of Shoal knows up to {latest}.",
            hint="A newer Shoal has written it: install that version, or a newer one.",
        )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
