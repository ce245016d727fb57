"""Bring a database forward to the schema that this version knows; refuse a newer one.

Migrations of the facts are in migrations/versions, one a file, and only go forward. One transaction
looks and upgrades, so that of two servers that start at once one waits and finds it done. Samples
have no migrations: where they do not look as declared they are dropped and made anew.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, inspect

from shoal.errors import StoreFault
from shoal.store.tables import samples


def upgrade(engine: Engine, revision: str = "head") -> None:
    config = configuration()
    script = ScriptDirectory.from_config(config)
    with engine.begin() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found not in {it.revision for it in script.walk_revisions()}:
            raise StoreFault(
                f"The database was written by a newer Shoal: it has schema {found}, "
                f"this one knows up to {script.get_current_head()}.",
                hint="Install the version that wrote it, or a newer one.",
            )
        if found != script.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, revision)


def renew_samples(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in samples.sorted_tables:
            if not _looks_as_declared(connection, table):
                table.drop(connection, checkfirst=True)
        samples.create_all(connection)
        for table in samples.sorted_tables:
            for index in table.indexes:
                index.create(connection, checkfirst=True)


def _looks_as_declared(connection: Connection, table: Table) -> bool:
    inspector = inspect(connection)
    if not inspector.has_table(table.name):
        return False
    found = {it["name"] for it in inspector.get_columns(table.name)}
    return found == {it.name for it in table.columns}


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
