"""Whether there is a login here, by looking at names of variables and files only.

SDKs find out by asking metadata services that may not exist, which takes seconds; so they are asked
only when something points to their cloud. `In` tells logins of this session alone from those that
every process of this user finds: VMs of the local cloud are such processes.
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path

from shoal.client.credentials.found import Place
from shoal.wire.specs import Cloud

_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)
_GCP = ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST")
_AZURE = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT",
)
_AZURE_MACHINE = "7783-7084-3265-9085-8269-3286-77"  # the chassis' asset tag, on all of its VMs
_DMI = Path("/sys/class/dmi/id")


class In(Enum):
    SESSION = "the session's variables"
    FILES = "files of this user"
    MACHINE = "this machine, a VM of that cloud"


def here() -> Place:
    return Place(os.environ, firmware)


def firmware(name: str) -> str:
    try:
        return (_DMI / name).read_text().strip()
    except OSError:
        return ""


def of(cloud: Cloud, place: Place) -> In | None:
    """Where its SDK would find a login first; None: nothing points to one."""
    names: tuple[str, ...]
    match cloud:
        case Cloud.AWS:
            names, files = _AWS, _aws_files(place)
            machine = place.firmware("sys_vendor") == "Amazon EC2"
        case Cloud.GCP:
            names, files = _GCP, [_gcloud(place) / "application_default_credentials.json"]
            machine = place.firmware("product_name").startswith("Google")
        case Cloud.AZURE:
            names, files = _AZURE, [_azure(place) / "azureProfile.json"]
            machine = on_azure(place)
        case _:
            return None
    if any(place.environ.get(name) for name in names):
        return In.SESSION
    if any(it.is_file() for it in files):
        return In.FILES
    return In.MACHINE if machine else None


def on_azure(place: Place) -> bool:
    return place.firmware("chassis_asset_tag") == _AZURE_MACHINE


def _aws_files(place: Place) -> list[Path]:
    directory = _home(place) / ".aws"
    return [
        Path(place.environ.get("AWS_SHARED_CREDENTIALS_FILE") or directory / "credentials"),
        Path(place.environ.get("AWS_CONFIG_FILE") or directory / "config"),
    ]


def _gcloud(place: Place) -> Path:
    if os.name == "nt" and place.environ.get("APPDATA"):
        return Path(place.environ.get("CLOUDSDK_CONFIG") or place.environ["APPDATA"] + "/gcloud")
    return Path(place.environ.get("CLOUDSDK_CONFIG") or _home(place) / ".config" / "gcloud")


def _azure(place: Place) -> Path:
    return Path(place.environ.get("AZURE_CONFIG_DIR") or _home(place) / ".azure")


def _home(place: Place) -> Path:
    return Path(place.environ.get("HOME") or Path.home())
