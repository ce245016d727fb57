"""`python -I -m shoal.agent boot.json`: the agent of this VM, as head or as worker.

Its start is on the way of everyone who waits for a cluster, so each role imports what it needs
only, and the head's door is open before it does: whoever dials meanwhile waits instead of failing.

Exit status: 0 when the agent has ended its VM or was told to; anything else is a bug of ours.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import time
from collections.abc import Coroutine
from pathlib import Path

import msgspec

from shoal.agent import memory, processes
from shoal.agent.ending import End
from shoal.agent.vm import from_environment
from shoal.wire.boot import BootDocument
from shoal.wire.specs import Role

_BACKLOG = 1024  # workers that dial at the same moment


def main() -> None:
    gc.disable()  # imports leave little garbage, and looking for it is a tenth of their time
    os.umask(0o077)
    processes.allow_many_files()
    boot_file = Path(sys.argv[1])
    boot = msgspec.json.decode(boot_file.read_bytes(), type=BootDocument)
    group = memory.own_group()
    vm = from_environment(os.environ, group.limit_bytes() if group else None)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("shoal").setLevel(logging.INFO)
    if vm.scratch is not None:
        from shoal.agent import scratch

        vm = msgspec.structs.replace(vm, scratch=scratch.prepared(vm.scratch))
    age_s = max(time.time() - boot_file.stat().st_mtime, 0.0)  # of the VM, not of this process
    if boot.role is Role.SCHEDULER:
        family = socket.AF_INET6 if ":" in vm.host else socket.AF_INET
        with socket.create_server((vm.host, vm.port), family=family, backlog=_BACKLOG) as door:
            from shoal.agent import head

            asyncio.run(_live(head.run(boot, vm, door, age_s=age_s)))
    else:
        from shoal.agent import worker

        asyncio.run(_live(worker.run(boot, vm, age_s=age_s)))


async def _live(life: Coroutine[None, None, End]) -> None:
    gc.enable()
    processes.adopt_descendants()
    end = None
    try:
        end = await life
    finally:
        processes.end_all()
        if end is not None:
            logging.shutdown()
            if end.ends_vm and os.environ.get("SHOAL_VM_END") == "poweroff":
                from shoal.agent.bootstrap import power_off

                power_off()
            os._exit(0)  # a thread may still wait for an installer that was just ended


if __name__ == "__main__":
    main()
