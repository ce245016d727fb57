"""The matrix sees: each of the mistakes that lose VMs, made on purpose, is reported."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable

import msgspec
import pytest

from shoal.clouds.provider import Launched, Unknown
from shoal.clouds.sim import SimCloud
from shoal.core.actions import Intend, Sweep, Terminate
from shoal.core.records import Batch
from shoal.server.passes.reconcile import Reconciler
from shoal.store import instances
from shoal.wire.ids import InstallationId, InstanceId
from tests.kill.matrix import LAG_S, WEATHERS, Column, Extent, Report, Variant, walk
from tests.kill.rig import Site, databases
from tests.kill.stories import STORIES


def complaints(variant: Variant, story: str, weather: str) -> set[str]:
    """Of all runs of one column."""
    told = next(it for it in STORIES if it.name == story)
    here = next(it for it in WEATHERS if it.name == weather)
    report = Report()
    with databases(told.sites) as opened:
        column = Column(opened, told, here, variant)
        asyncio.run(walk([column], Extent(), report))
    return set(itertools.chain.from_iterable(it.complaints for it in report.failures))


class CreatesFirst(Reconciler):
    """Asks the cloud, and records what came of it."""

    async def _write(self, action):  # type: ignore[no-untyped-def]
        if isinstance(action, Intend):
            await self.provider.launch(action.batch, self._boot_text(action.batch))
        return await super()._write(action)


class TakesErrorsForAnswers(Reconciler):
    """A VM that could not be ended must be gone."""

    async def _end_vms(self, actions: Iterable[Terminate | Sweep], asked: set[str]) -> None:
        vms = [vm for action in actions for vm in action.vms]
        try:
            if vms:
                await self.provider.terminate(vms)
        except Unknown:
            ids = [InstanceId(it.name) for it in vms]
            await self._database.run(instances.gone, ids, self._clock(), "it cannot be ended")


class TagsLater(SimCloud):
    """Creates VMs with nobody's tag, and tags them in another call."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.scene.account, site.installation, site.scene.clock)
        self._site = site

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        account, now = self.account, self._site.scene.clock()
        answer = account.create(InstallationId(""), batch, boot_text, now)
        await self._site.scene.points.reach("after create, before tagging", changed=True)
        for vm in answer.vms:
            account.vms[vm.id] = msgspec.structs.replace(
                account.vms[vm.id], installation=self._site.installation
            )
        return answer


@pytest.mark.long
def test_the_unbroken_one_has_no_complaints_where_the_broken_ones_have() -> None:
    sound = Variant()
    assert complaints(sound, "create", "lag") == set()
    assert complaints(sound, "create", "lost answers") == set()
    assert complaints(sound, "scale down", "lost requests") == set()
    assert complaints(sound, "delete while launching", "fine") == set()


def test_creating_before_recording_is_reported() -> None:
    found = complaints(Variant(CreatesFirst), "create", "fine")
    assert any("before it was on record" in it for it in found)


@pytest.mark.long
def test_believing_an_absence_at_once_is_reported() -> None:
    assert LAG_S > 0
    found = complaints(Variant(listing_lag_s=0.0), "create", "lag")
    assert any("were enough" in it for it in found)  # VMs that run are replaced


@pytest.mark.long
def test_taking_an_error_of_terminate_for_its_success_is_reported() -> None:
    found = complaints(Variant(TakesErrorsForAnswers), "scale down", "lost requests")
    assert any("was believed gone while" in it for it in found)


def test_tagging_after_creating_is_reported() -> None:
    found = complaints(Variant(provider=TagsLater), "delete while launching", "fine")
    assert any("carries nobody's tag" in it for it in found)


def test_chance_in_the_boot_text_is_reported() -> None:
    counter = itertools.count()
    chance = Variant(text=lambda batch: f"{batch.cluster} {next(counter)}")
    found = complaints(chance, "create", "lag, lost answers")
    assert any("came again with other bytes" in it for it in found)
