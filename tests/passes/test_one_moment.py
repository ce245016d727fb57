"""A world is one moment's: what another replica writes meanwhile is in the next one."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event

from shoal.core.actions import Intend
from shoal.store import instances, world
from shoal.wire.specs import Cloud
from tests.passes.site import Site
from tests.store.samples import an_event


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_rows_and_tallies_are_read_as_of_one_moment(site: Site) -> None:
    """(SQLite lets nobody write meanwhile.)"""
    engine, written = site.database.engine, []

    async def run() -> None:
        await site.ask(1)
        cluster = await site.cluster()
        [action] = await site.reconciler.decide(None)
        assert isinstance(action, Intend)

        def interfere(tx: object, cursor: object, statement: str, *rest: object) -> None:
            if "FROM instance" in statement and not written:
                written.append(statement)
                with engine.begin() as other:
                    assert instances.intend(other, action.batch, 1, an_event(cluster))

        event.listen(engine, "after_cursor_execute", interfere)
        before = await site.database.run(world.read, Cloud.SIM, site.clock())
        event.remove(engine, "after_cursor_execute", interfere)
        after = await site.database.run(world.read, Cloud.SIM, site.clock())
        seen = [(len(it.instances), it.tallies[cluster.id].batches) for it in (before, after)]
        assert written
        assert seen == [(0, 0), (1, 1)]

    asyncio.run(run())
