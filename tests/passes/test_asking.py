from __future__ import annotations

import asyncio
from collections.abc import Mapping

from shoal.clouds.provider import Unknown
from shoal.clouds.sim import SimCloud
from shoal.core.obtainability import Question
from shoal.wire.events import EventKind
from shoal.wire.ids import InstallationId
from shoal.wire.specs import SpotPolicy
from tests.passes.site import Site


class Advised(SimCloud):
    """It also says which of its zones is likely, or that it cannot be asked."""

    said: Mapping[str, float] | None = None
    asked: tuple[Question, ...] = ()

    async def likely(self, asked: Question) -> Mapping[str, float]:
        self.asked += (asked,)
        if self.said is None:
            raise Unknown("no answer")
        return self.said


async def zones(site: Site, said: Mapping[str, float] | None) -> tuple[Advised, set[str]]:
    cloud = Advised(site.account, InstallationId("i-1"), site.clock)
    cloud.said = said
    reconciler = site.another(cloud)
    await site.ask(2, spot=SpotPolicy.SPOT)
    for _ in range(3):
        await site.run_pass(reconciler)
    return cloud, {it.zone for it in await site.rows()}


def test_a_cluster_begins_where_the_cloud_calls_spot_vms_likely(site: Site) -> None:
    cloud, found = asyncio.run(zones(site, {"sim-1a": 0.2, "sim-1b": 0.8}))
    assert found == {"sim-1b"}
    [told, _] = asyncio.run(site.told(EventKind.BATCH_INTENDED))
    assert "sim-1b 0.8 of 1" in told.why
    assert len(cloud.asked) == 1
    assert cloud.asked[0].machine_types == ("s4",)


def test_without_an_answer_it_begins_where_it_would_have(site: Site) -> None:
    cloud, found = asyncio.run(zones(site, None))
    assert found == {"sim-1a"}
    assert len(cloud.asked) == 1
