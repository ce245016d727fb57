"""The stories that are kept as transcripts, and in which weather they are told."""

from __future__ import annotations

import msgspec

from tests.kill.matrix import WEATHERS, Weather
from tests.kill.stories import STORIES, Story


class Told(msgspec.Struct, frozen=True):
    story: Story
    about: str
    weather: Weather

    @property
    def file(self) -> str:
        return self.about.partition(":")[0].replace(",", "").replace(" ", "-") + ".txt"


def _told(name: str, about: str, weather: str = "fine") -> Told:
    return Told(
        next(it for it in STORIES if it.name == name),
        about,
        next(it for it in WEATHERS if it.name == weather),
    )


TOLD = (
    _told("create", "create: a scheduler and three workers come up"),
    _told("scale up", "scale up: two more workers join two"),
    _told("scale down", "scale down: three of four workers are drained before they go"),
    _told("adapt", "adapt: workers follow Dask's work, down only when that lasts"),
    _told(
        "delete while launching",
        "delete while launching: what is on its way is ended when it is seen",
        "lag, unnamed",
    ),
    _told("failing VMs", "failing VMs: one that never boots is replaced, alone"),
    _told("no capacity, which returns", "no capacity: what cannot be had is told, and had later"),
    _told("limits", "limits: one caps the workers, and a budget ends the cluster when it is spent"),
    _told("preemption", "preemption: a spot worker is taken away, and its pool avoided"),
    _told(
        "create",
        "lost answers: the cloud does what it is asked, and does not say so",
        "lag, lost answers",
    ),
)
