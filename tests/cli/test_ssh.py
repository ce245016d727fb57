"""`shoal cluster ssh` where a cloud's VM does not answer: the vendor's command instead."""

from __future__ import annotations

import msgspec
from fake_server import NOW, FakeServer, view
from running import Shoal

from shoal.wire import endpoints
from shoal.wire.accounts import AccountList, GcpAccount
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import ClusterStatus, InstanceList, InstanceState, InstanceView, Stage

HEAD = InstanceView(
    InstanceId("shoal-c-a-1"),
    Role.SCHEDULER,
    InstanceState.LAUNCHED,
    Stage.READY,
    NOW,
    "accepted",
    zone="us-east1-b",
)


def test_without_an_open_port_the_vendors_command_is_told(shoal: Shoal, server: FakeServer) -> None:
    made = view(ClusterStatus.READY)
    spec = msgspec.structs.replace(made.spec, cloud=Cloud.GCP)
    server.on(endpoints.CLUSTER, lambda call: msgspec.structs.replace(made, spec=spec))
    server.on(endpoints.INSTANCES, lambda call: InstanceList((HEAD,)))
    server.on(endpoints.ACCOUNTS, lambda call: AccountList((GcpAccount("p-1", "us-east1"),)))
    ran = shoal("cluster", "ssh", "mine", "--", "uptime", "-p")
    assert (ran.status, ran.out) == (1, "")
    assert "opens no port" in ran.err
    assert (
        "gcloud compute ssh shoal-c-a-1 --project p-1 --zone us-east1-b --tunnel-through-iap "
        "--command 'uptime -p'" in ran.err
    )
