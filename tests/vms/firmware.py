"""What a VM's firmware says of it (DMI): how cloud-init knows which cloud it is on."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping

from tests.doubles.machines import Machine

_AZURE_CHASSIS = "7783-7084-3265-9085-8269-3286-77"  # the same for every VM of Azure


def dmi(machine: Machine) -> Mapping[str, str]:
    """Files of /sys/class/dmi/id."""
    match machine.cloud:
        case "gcp":
            return {
                "sys_vendor": "Google",
                "product_name": "Google Compute Engine",
                "product_serial": f"GoogleCloud-{_uuid(machine.id).hex}",
                "product_uuid": str(_uuid(machine.id)),
                "chassis_asset_tag": "",
            }
        case "aws":
            serial = f"ec2{str(_uuid(machine.id))[3:]}"
            return {
                "sys_vendor": "Amazon EC2",
                "product_name": machine.machine_type,
                "product_serial": serial,
                "product_uuid": serial,
                "chassis_asset_tag": machine.id,
            }
        case "azure":
            return {
                "sys_vendor": "Microsoft Corporation",
                "product_name": "Virtual Machine",
                "product_serial": "0000-0000-0000",
                "product_uuid": str(_uuid(machine.id)),
                "chassis_asset_tag": _AZURE_CHASSIS,
            }
        case other:
            raise ValueError(f"no cloud {other!r}")


def _uuid(id: str) -> uuid.UUID:
    """The cloud's own id of the VM where that is one, as on Azure."""
    try:
        return uuid.UUID(id)
    except ValueError:
        return uuid.UUID(bytes=hashlib.sha256(id.encode()).digest()[:16])
