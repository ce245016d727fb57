"""`python -m tests.vms.plain_server CLOUD BOOT ARCH …`: Shoal's server, with a plain cloud.

The remaining arguments are those of `python -m shoal.server`. The VMs are this process's, and end
with it. SIGUSR1 preempts one.
"""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable

from shoal.server import __main__ as server
from shoal.server import providers
from shoal.wire.specs import Cloud
from tests.vms import emulation, plain_cloud
from tests.vms.fabric import fabric
from tests.vms.machines import VmMachines
from tests.vms.plain_cloud import PlainAccount, PlainCloud
from tests.vms.vm import Boot

NOTICE_S = 30.0  # the least that clouds give


def main() -> int:
    cloud, boot, arch = Cloud(sys.argv[1]), Boot[sys.argv[2]], sys.argv[3]
    with (
        emulation.emulated(arch),
        fabric() as network,
        VmMachines(network, boot=boot, archs=[arch]) as machines,
    ):
        account = PlainAccount(cloud, machines)
        _reach(cloud, functools.partial(PlainCloud, account))
        signal.signal(signal.SIGUSR1, lambda *_: account.preempt(NOTICE_S))
        return server.main(sys.argv[4:])


def _reach(cloud: Cloud, made: Callable[..., PlainCloud]) -> None:
    """One more row in the server's table of adapters."""
    plain_cloud.reached = made
    providers._ADAPTERS[cloud] = providers._Adapter(plain_cloud.__name__, "reached")


if __name__ == "__main__":
    sys.exit(main())
