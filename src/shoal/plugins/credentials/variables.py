"""The variables by which SDKs find the endpoint, in this process and in those it starts.

What the user has set stays (`environ=` of the cluster). What is forwarded comes before logins that
lie in files of this VM, which only VMs of the local cloud have: those files are hidden.

    AWS     https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
    Google  google.auth.environment_vars; GCE_METADATA_ROOT is what C++ (pyarrow) reads
    Azure   App Service: https://learn.microsoft.com/azure/app-service/overview-managed-identity
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, MutableMapping
from typing import NamedTuple

from .held import Held

_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_GOOGLE_METADATA = "google.auth.compute_engine._metadata"


class Place(NamedTuple):
    """Where the endpoint is. `secret` opens what has a secret in its protocol."""

    host: str
    port: int
    secret: str

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"


class Variables:
    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._ours: dict[str, str] = {}

    def lead_to(self, place: Place, held: Iterable[Held]) -> None:
        """To what is held, and no longer to what is not."""
        wanted: dict[str, str] = {}
        for it in held:
            if not any(self._users_own(name) for name in _LEADS_ELSEWHERE[it.cloud]):
                wanted |= _OF[it.cloud](place, it.content)
        for name in set(self._ours) - set(wanted):
            if self._environ.get(name) == self._ours.pop(name):
                del self._environ[name]
        for name, value in wanted.items():
            if not self._users_own(name):
                self._environ[name] = self._ours[name] = value
        if wanted:
            self._past_proxies(place.host)
        _tell_google(place.authority if "GCE_METADATA_HOST" in self._ours else None)

    def _users_own(self, name: str) -> bool:
        return name in self._environ and self._environ[name] != self._ours.get(name)

    def _past_proxies(self, host: str) -> None:
        """requests, which Google's and Azure's SDKs use, would ask a proxy for 127.0.0.1 too."""
        if any(self._environ.get(it) for it in _PROXIES):
            for name in ("no_proxy", "NO_PROXY"):
                before = self._environ.get(name, "")
                if host not in before.split(","):
                    self._environ[name] = f"{before},{host}".lstrip(",")


_LEADS_ELSEWHERE = {
    "aws": ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    "gcp": ("GCE_METADATA_HOST", "GCE_METADATA_ROOT"),
    "azure": ("IDENTITY_ENDPOINT", "MSI_ENDPOINT"),
}


def _aws(place: Place, content: dict[str, str]) -> dict[str, str]:
    found = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{place.authority}/aws",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": place.secret,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
    }
    return found | ({"AWS_DEFAULT_REGION": content["region"]} if content.get("region") else {})


def _gcp(place: Place, content: dict[str, str]) -> dict[str, str]:
    names = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
    found = dict.fromkeys(names, place.authority) | {"CLOUDSDK_CONFIG": os.devnull}
    quota = content.get("quota_project")
    return found | ({"GOOGLE_CLOUD_QUOTA_PROJECT": quota} if quota else {})


def _azure(place: Place, content: dict[str, str]) -> dict[str, str]:
    return {
        "IDENTITY_ENDPOINT": f"http://{place.authority}/azure",
        "IDENTITY_HEADER": place.secret,
    }


_OF = {"aws": _aws, "gcp": _gcp, "azure": _azure}


def _tell_google(host: str | None) -> None:
    """google-auth reads GCE_METADATA_HOST when it is imported (2.63), which a task of an earlier
    session, or a preloaded module, may have done."""
    module = sys.modules.get(_GOOGLE_METADATA)
    if module is not None:
        default = getattr(module, "_GCE_DEFAULT_HOST", "metadata.google.internal")
        module.__dict__["_GCE_METADATA_HOST"] = host or default
