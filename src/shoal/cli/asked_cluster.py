"""What a cluster that somebody only asks about would be made of, for `shoal doctor`.

As the server would choose it, from the catalog here. Nothing is asked of any server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from shoal.client import arguments
from shoal.clouds.catalog import Catalog
from shoal.core import defaults, proposal
from shoal.core.proposal import Part
from shoal.core.records import Cluster
from shoal.errors import NotPossible
from shoal.wire.ids import ClusterId, UserName, WorkspaceName
from shoal.wire.specs import Cloud
from shoal.wire.state_directory import state_directory


def parts(cloud: Cloud, region: str, options: Mapping[str, object]) -> Sequence[Part]:
    """`options`: arguments of `shoal.Cluster`. Raises NotPossible where nothing fits."""
    given = {**options, "cloud": cloud.value, "region": region}
    spec = arguments.asked("doctor", given, local_cpus=1).spec
    offers = Catalog(state_directory().catalog).offers(cloud, region)
    if not offers:
        raise NotPossible(f"No offers of {cloud} in {region} are known.", hint="shoal offers")
    resolved = defaults.resolve(spec, offers)
    now = datetime.now(UTC)
    cluster = Cluster(ClusterId(""), WorkspaceName(""), UserName(""), resolved, 0, now)
    return proposal.of(cluster, offers).parts


def described(found: Sequence[Part]) -> str:
    """ "1 × e2-standard-4, 100 × n2-standard-8 (spot)"."""
    return ", ".join(
        f"{it.most} × {it.offers[0].machine_type}{' (spot)' if it.offers[0].spot else ''}"
        for it in found
        if it.offers and it.most
    )
