"""What a head says and is told, in the words of the record: the boundary of two ways to name.

Inside a cluster a VM is known by the name that its cloud gave it, and addresses are those of its
network. On record it is an Instance, and addresses are those that the server and clients dial.
Google Cloud and Azure name VMs as we say, so there is nothing to translate; EC2 gives ids of its
own, which the record binds to instances once it has seen them. A VM may speak before it is bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from shoal.store.attendance import Attended
from shoal.wire.ids import InstanceId
from shoal.wire.reports import HeadReport, Orders, SchedulerReport, VmReport
from shoal.wire.specs import Cloud
from shoal.wire.telemetry import Chunk, HostSample, Item, TaskException, WorkerEvent

NAMES_VMS_ITSELF = frozenset({Cloud.AWS})


class Names:
    """`bound`: instances by the name of their VM, where the cloud gave it."""

    def __init__(self, bound: Mapping[str, InstanceId]) -> None:
        self._instances = bound
        self._vms = {instance: vm for vm, instance in bound.items()}

    def know(self, names: Iterable[str]) -> bool:
        """Whether each of these, of VMs or instances, has its other name here."""
        return all(it in self._instances or it in self._vms for it in names)

    def unknown(self, vms: Iterable[VmReport]) -> dict[InstanceId, VmReport]:
        """Those with a name that no instance is bound to yet; `told` leaves them as they are."""
        known = self._instances.keys()
        return {
            it.instance: it
            for it in vms
            if it.instance not in known and not it.instance.startswith("shoal-")
        }

    def told(self, report: HeadReport) -> HeadReport:
        if not self._instances:
            return report
        change = msgspec.structs.replace
        scheduler = report.scheduler
        return change(
            report,
            vms=tuple(change(it, instance=self._instance(it.instance)) for it in report.vms),
            scheduler=scheduler
            and change(scheduler, closable=tuple(map(self._instance, scheduler.closable))),
            logs=tuple(
                change(it, line=change(it.line, instance=self._instance(it.line.instance)))
                for it in report.logs
            ),
            telemetry=tuple(self._chunk(it) for it in report.telemetry),
        )

    def ordered(self, orders: Orders) -> Orders:
        retire = tuple(InstanceId(self._vms.get(it, it)) for it in orders.retire)
        return msgspec.structs.replace(orders, retire=retire)

    def _instance(self, name: str) -> InstanceId:
        return self._instances.get(name, InstanceId(name))

    def _chunk(self, chunk: Chunk) -> Chunk:
        return msgspec.structs.replace(chunk, item=self._item(chunk.item))

    def _item(self, item: Item) -> Item:
        match item:
            case HostSample(instance=name):
                return msgspec.structs.replace(item, instance=self._instance(name))
            case WorkerEvent(worker=name) | TaskException(worker=name):
                return msgspec.structs.replace(item, worker=self._instance(name))
            case _:
                return item


def seen_from_outside(report: HeadReport, head: Attended) -> HeadReport:
    """With the scheduler's addresses as they are dialled from outside its network."""
    scheduler = report.scheduler
    inside, outside = _host(head.inside), _host(head.address)
    if scheduler is None or not inside or inside == outside:
        return report
    return msgspec.structs.replace(report, scheduler=_moved(scheduler, inside, outside))


def _moved(scheduler: SchedulerReport, inside: str, outside: str) -> SchedulerReport:
    def moved(address: str) -> str:
        scheme, separator, place = address.rpartition("://")
        host, _, port = place.rpartition(":")
        return f"{scheme}{separator}{outside}:{port}" if host == inside else address

    return msgspec.structs.replace(
        scheduler,
        address=moved(scheduler.address),
        dashboard_address=moved(scheduler.dashboard_address),
    )


def _host(address: str) -> str:
    return address.rpartition(":")[0]
