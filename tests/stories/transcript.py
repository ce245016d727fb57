"""A story as a person would read it: pass by pass, what was planned and why, what the VMs are
doing, and the sentence that the user sees. Quiet passes are left out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from shoal.core import status
from shoal.core.actions import Action
from shoal.server.passes import telling
from shoal.server.passes.reconcile import Reconciler
from shoal.store import viewing
from tests.kill.rig import STEP_S, Scene, databases
from tests.kill.stories import Story
from tests.stories.told import Told

_VMS = 1000  # more than any story has


class Narrated(Reconciler):
    """Keeps what it performs in one pass, each action once."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.told: dict[str, None] = {}

    async def perform(self, actions: Sequence[Action], asked_to_end: set[str]) -> bool:
        for it in actions:
            planned = telling.planned(it)
            self.told[f"{planned.action:9} {planned.subject} – {planned.why}"] = None
        return await super().perform(actions, asked_to_end)


def transcript(told: Told) -> str:
    """The whole text of its file."""
    with databases(1) as opened:
        scene = Scene(
            opened,
            knobs=told.weather.knobs(told.story),
            had=told.story.had,
            demand=told.story.demand,
            variant=Narrated,
        )
        passes = asyncio.run(_passes(scene, told.story))
    return "\n".join([told.about, "=" * len(told.about), *passes]) + "\n"


async def _passes(scene: Scene, story: Story) -> list[str]:
    lines: list[str] = []
    shown: list[str] = []
    while scene.elapsed_s <= story.until_s + story.after_s:
        now_s = scene.elapsed_s
        users = [f"{it.who:9} {it.words}" for it in story.script if _due(it.at_s, now_s)]
        for it in story.script:
            if _due(it.at_s, now_s):
                await it.do(scene)
        reconciler = scene.sites[0].replicas[0].reconciler
        assert isinstance(reconciler, Narrated)
        reconciler.told = {}
        await scene.step()
        after = await _state(scene)
        if users or reconciler.told or after != shown:
            minutes, seconds = divmod(int(now_s), 60)
            lines += ["", f"{minutes:02}:{seconds:02}", *(f"  {it}" for it in users)]
            lines += [f"  {it}" for it in (*reconciler.told, *after)]
        shown = after
        scene.advance()
    return lines


def _due(at_s: float, now_s: float) -> bool:
    return now_s <= at_s < now_s + STEP_S


async def _state(scene: Scene) -> list[str]:
    site = scene.sites[0]
    now = scene.clock()
    facts = await site.database.run(viewing.cluster, site.cluster, now)
    seen = await site.database.run(
        viewing.instances, site.cluster, after=None, limit=_VMS, had=True
    )
    view = status.cluster_view(
        facts.cluster,
        facts.vms,
        facts.head,
        facts.marks,
        now=now,
        url="",
        seq=0,
        hold=facts.hold,
    )
    counts: Counter[str] = Counter()
    for it in seen.instances:
        vm = status.instance_view(it, seen.observations.get(it.id), now)
        counts[f"{vm.role} {vm.state}, {vm.stage}"] += 1
    vms = "; ".join(f"{count} {what}" for what, count in counts.items()) or "none"
    return [f"{'VMs':9} {vms}", f"{'the user':9} {view.sentence}"]
