"""Cloud accounts that were registered: one of each cloud."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from shoal.errors import Conflict
from shoal.store import clusters, events, tables
from shoal.store.questions import reading
from shoal.store.rows import changed, upsert
from shoal.wire.accounts import CloudAccount, cloud_of
from shoal.wire.events import Event
from shoal.wire.specs import Cloud

_account = tables.account


def put(tx: Connection, account: CloudAccount, event: Event) -> None:
    """Repeating it changes nothing, and is no event."""
    cloud = cloud_of(account)
    if every(tx).get(cloud) == account:
        return
    upsert(tx, _account, [{"cloud": cloud, "record": account}])
    events.append(tx, event)


def remove(tx: Connection, cloud: Cloud, event: Event) -> bool:
    """Whether it was there. Raises Conflict while clusters have VMs in it, which could then not be
    ended any more."""
    if using := clusters.unsettled(tx, cloud):
        names = ", ".join(it.spec.name for it in using[:5])
        raise Conflict(
            f"{len(using)} clusters use the {cloud} account: {names}.",
            hint="Stop them first: shoal cluster stop NAME",
        )
    if not changed(tx, delete(_account).where(_account.c.cloud == cloud)):
        return False
    events.append(tx, event)
    return True


@reading
def every(tx: Connection) -> dict[Cloud, CloudAccount]:
    rows = tx.execute(select(_account.c.cloud, _account.c.record).order_by(_account.c.cloud))
    return {Cloud(cloud): account for cloud, account in rows}
