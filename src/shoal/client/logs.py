"""What `Cluster.get_logs` gives: from the server, which has those of VMs that are gone, too."""

from __future__ import annotations

from distributed.utils import Log, Logs

from shoal.client import pages
from shoal.client.api import Api
from shoal.client.log_places import Chosen
from shoal.wire.events import Event


async def read(api: Api, cluster: str, chosen: Chosen, *, happened: bool) -> Logs:
    """`happened`: the cluster's events too, as "Cluster"."""
    logs = Logs()
    if happened:
        events = [event_line(it) async for it in pages.events(api, cluster)]
        logs["Cluster"] = Log("\n".join(events))
    addresses = {it.id: it.dask_address or it.id async for it in pages.instances(api, cluster)}
    lines: dict[str, list[str]] = {}
    for line in await pages.log_lines(api, cluster):
        key = chosen.place(line, addresses)
        if key is not None:
            lines.setdefault(key, []).append(line.text)
    for key, texts in lines.items():
        logs[key] = Log("\n".join(texts))
    return logs


def event_line(event: Event) -> str:
    return f"{event.at:%Y-%m-%d %H:%M:%S} {event.kind}: {event.why}"
