"""`python -m tests.vms.plain_server CLOUD BOOT ARCH …`: Shoal's server, with a plain cloud.

The remaining arguments are those of `python -m shoal.server`. The VMs are this process's, and end
with it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from shoal.server import __main__ as server
from shoal.server import providers
from shoal.wire.specs import Cloud
from tests.vms import emulation, plain_cloud
from tests.vms.fabric import fabric
from tests.vms.machines import VmMachines
from tests.vms.plain_cloud import PlainCloud
from tests.vms.vm import Boot


def main() -> int:
    cloud, boot, arch = Cloud(sys.argv[1]), Boot[sys.argv[2]], sys.argv[3]
    with (
        emulation.emulated(arch),
        fabric() as network,
        VmMachines(network, boot=boot, archs=[arch]) as machines,
    ):
        _reach(cloud, functools.partial(PlainCloud, cloud, machines, arch))
        return server.main(sys.argv[4:])


def _reach(cloud: Cloud, made: Callable[..., PlainCloud]) -> None:
    """One more row in the server's table of adapters."""
    plain_cloud.reached = made
    providers._ADAPTERS[cloud] = providers._Adapter(plain_cloud.__name__, "reached")


if __name__ == "__main__":
    sys.exit(main())
