"""`python -I -m shoal.agent boot.json`: the agent of this VM, as head or as worker.

Its start is on the way of everyone who waits for a cluster, so each role imports what it needs
only, and the head's door is open before it does: whoever dials meanwhile waits instead of failing.

Exit status: 0 when the agent has ended its VM or was told to; anything else is a bug of ours.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from pathlib import Path

import msgspec

from shoal.agent import vm as vm_module
from shoal.agent.vm import Vm
from shoal.wire.boot import BootDocument
from shoal.wire.specs import Role

_BACKLOG = 1024  # workers that dial at the same moment


def main() -> None:
    os.umask(0o077)
    boot_file = Path(sys.argv[1])
    boot = msgspec.json.decode(boot_file.read_bytes(), type=BootDocument)
    vm = vm_module.from_environment(os.environ)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("shoal").setLevel(logging.INFO)
    age_s = max(time.time() - boot_file.stat().st_mtime, 0.0)  # of the VM, not of this process
    status = 1
    try:
        if boot.role is Role.SCHEDULER:
            _head(boot, vm, age_s)
        else:
            _worker(boot, vm, age_s)
        status = 0
    finally:
        _end_everything()
        logging.shutdown()
        if status == 0:
            os._exit(0)  # threads may still wait for an installer


def _head(boot: BootDocument, vm: Vm, age_s: float) -> None:
    with socket.create_server((vm.host, vm.port), backlog=_BACKLOG) as door:
        from shoal.agent import head, processes

        processes.adopt_descendants()
        asyncio.run(head.run(boot, vm, door, age_s=age_s))


def _worker(boot: BootDocument, vm: Vm, age_s: float) -> None:
    from shoal.agent import processes, worker

    processes.adopt_descendants()
    asyncio.run(worker.run(boot, vm, age_s=age_s))


def _end_everything() -> None:
    from shoal.agent import processes

    processes.end_all()


if __name__ == "__main__":
    main()
