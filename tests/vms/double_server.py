"""`python -m tests.vms.double_server CLOUD BOOT …`: Shoal's server, and beside it a cloud's double.

The remaining arguments are those of `python -m shoal.server`. Says which account to register, and
fails at the end if the double's ledger is not empty.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import msgspec

from shoal.server import __main__ as server
from shoal.server import providers
from shoal.wire.specs import Cloud
from tests.vms import double_clouds
from tests.vms.fabric import fabric
from tests.vms.vm import Boot

DOUBLES = {
    Cloud.GCP: double_clouds.gcp,
    Cloud.AWS: double_clouds.aws,
    Cloud.AZURE: double_clouds.azure,
}


def main() -> int:
    cloud, boot = Cloud(sys.argv[1]), Boot[sys.argv[2]]
    with (
        tempfile.TemporaryDirectory() as folder,
        fabric() as network,
        DOUBLES[cloud](network, boot, Path(folder)) as double,
    ):
        double_clouds.reached = double.adapter
        providers._ADAPTERS[cloud] = providers._Adapter(double_clouds.__name__, "reached")
        print("Account:", msgspec.json.encode(double.account).decode(), flush=True)
        status = server.main(sys.argv[3:])
        left = double.left()
        print("Left:", *left, file=sys.stderr)
        return 1 if left else status


if __name__ == "__main__":
    sys.exit(main())
