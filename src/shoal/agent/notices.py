"""Whether the cloud is about to take this VM back, as its metadata service tells it.

Each cloud has its own way to say so, half a minute to two minutes before (CLOUDS.md has the facts):

    gcp    instance/preempted becomes TRUE; a long poll answers at once
    aws    spot/instance-action is not found until there is a notice; asked every five seconds
    azure  scheduled events of type Preempt; the first question switches the service on, and may
           take two minutes

AWS also recommends to move on, earlier, where it expects to interrupt: a warning, from which
nothing follows for the VM itself.

A metadata service that does not answer tells nothing: it is asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec

from shoal.wire.reports import NO_NOTICE

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

EVERY_S = 5.0
_LONG_POLL_S = 60
_FIRST_ANSWER_S = 130.0
_TOKEN_S = 21_600

_GCP = "/computeMetadata/v1/instance/preempted"
_AWS = "/latest/meta-data/spot/instance-action"
_AWS_EARLIER = "/latest/meta-data/events/recommendations/rebalance"
_AZURE = "/metadata/scheduledevents?api-version=2020-07-01"


class Watcher:
    """Of one VM; `look` asks once, and answers "" while there is no notice."""

    def __init__(self, cloud: str, name: str, client: httpx2.AsyncClient) -> None:
        looks: dict[str, Callable[[], Awaitable[str]]] = {
            "gcp": self._google,
            "aws": self._amazon,
            "azure": self._azure,
        }
        self.look = looks[cloud]
        self._client = client
        self._name = name
        self._etag = ""
        self._token = ""
        self.warning = ""  # what was said before a notice

    async def _google(self) -> str:
        query = {"wait_for_change": "true", "timeout_sec": _LONG_POLL_S, "last_etag": self._etag}
        path = f"{_GCP}?{urlencode(query)}" if self._etag else _GCP
        headers = {"Metadata-Flavor": "Google"}
        answer = await self._client.get(path, headers=headers)
        answer.raise_for_status()
        self._etag = answer.headers.get("ETag", "")
        return "Google Cloud preempts this VM" if answer.text.strip() == "TRUE" else ""

    async def _amazon(self) -> str:
        if not self._token:
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_S)}
            asked = await self._client.put("/latest/api/token", headers=headers)
            self._token = asked.raise_for_status().text
        if told := await self._told_by_amazon(_AWS, _Action):
            return f"AWS will {told.action} this VM at {told.time}"
        if not self.warning and (said := await self._told_by_amazon(_AWS_EARLIER, _Recommended)):
            self.warning = f"may be interrupted soon, AWS said at {said.notice_time}"
        return ""

    async def _told_by_amazon(self, path: str, kind: type[_T]) -> _T | None:
        answer = await self._client.get(path, headers={"X-aws-ec2-metadata-token": self._token})
        if answer.status_code == 404:
            return None
        if answer.status_code == 401:
            self._token = ""
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=kind)

    async def _azure(self) -> str:
        answer = await self._client.get(_AZURE, headers={"Metadata": "true"})
        answer.raise_for_status()
        for it in msgspec.json.decode(answer.content, type=_Scheduled).events:
            if it.type == "Preempt" and self._name in it.resources:
                return f"Azure evicts this VM at {it.not_before or 'any moment'}"
        return ""

    @property
    def waits_by_itself(self) -> bool:
        return bool(self._etag)


class _Recommended(msgspec.Struct, frozen=True, rename="camel"):
    notice_time: str


class _Action(msgspec.Struct, frozen=True):
    action: str
    time: str


class _ScheduledEvent(msgspec.Struct, frozen=True, rename="pascal"):
    type: str = msgspec.field(name="EventType", default="")
    resources: tuple[str, ...] = ()
    not_before: str = ""


class _Scheduled(msgspec.Struct, frozen=True, rename="pascal"):
    events: tuple[_ScheduledEvent, ...] = ()


async def notice(
    cloud: str,
    name: str,
    metadata: str,
    warned: Callable[[str], None] = lambda warning: None,
    *,
    every_s: float = EVERY_S,
) -> str:
    """Returns when there is one, with what it says; `warned` is called once with what came before.
    That the service answers at all is logged once: `shoal doctor --live` looks for it."""
    heard = told_before = False
    async with httpx2.AsyncClient(
        base_url=metadata, trust_env=False, timeout=_FIRST_ANSWER_S
    ) as client:
        watcher = Watcher(cloud, name, client)
        while True:
            answered = False
            try:
                if told := await watcher.look():
                    return told
                answered = True
                if watcher.warning and not told_before:
                    told_before = True
                    warned(watcher.warning)
                if not heard:
                    heard = True
                    _log.info(NO_NOTICE)
            except (httpx2.HTTPError, msgspec.MsgspecError) as error:
                _log.debug("no word of preemption: %s", error)
            if not (answered and watcher.waits_by_itself):
                await asyncio.sleep(every_s)
