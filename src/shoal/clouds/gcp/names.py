"""What things are called in Google Cloud: derived from what they belong to, never looked up.

Labels know small letters, digits, "_" and "-" only. Ours are made of those; a user's tags are
brought into that alphabet.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence

from shoal.core.records import Batch
from shoal.wire.accounts import GcpAccount
from shoal.wire.ids import InstallationId

INSTALLATION_LABEL = "shoal-installation"
CLUSTER_LABEL = "shoal-cluster"
BATCH_LABEL = "shoal-batch"
VM_TAG = (
    "shoal-vm"  # a network tag: the rule that lets VMs reach each other is for those who bear it
)
MADE_BY = "Made by shoal setup"  # description of what bears no labels
HEAD_TAG = "shoal-head-"  # and which addresses reach it
_OWN_NETWORK = "shoal"  # the one that setup makes, unless another is named
_NAMESPACE = uuid.UUID("6f1e2a52-7e0c-5d0b-9a43-0c7b52c5a9b1")  # of our request ids
_MOST = 63  # characters of a label


def labels(batch: Batch, installation: InstallationId) -> dict[str, str]:
    made = {_label(key) or "tag": _label(value) for key, value in batch.tags}
    ours = {INSTALLATION_LABEL: installation, CLUSTER_LABEL: batch.cluster, BATCH_LABEL: batch.id}
    return made | ours


def request_id(*parts: str) -> str:
    """The same for the same request, whoever repeats it."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def ingress_rule(account: GcpAccount, cidrs: Sequence[str]) -> str:
    """Of the rule that lets these reach a head, and of the network tag that heads bear for it."""
    place = [] if account.network == _OWN_NETWORK else [network(account)]
    digest = hashlib.sha256(" ".join([*place, *sorted(set(cidrs))]).encode()).hexdigest()[:10]
    return f"{HEAD_TAG}{digest}"


def internal_rule(account: GcpAccount) -> str:
    """Rules are named in the project, so each network's has a name of its own."""
    if account.network == _OWN_NETWORK:
        return "shoal-internal"
    return f"shoal-internal-{hashlib.sha256(network(account).encode()).hexdigest()[:10]}"


def network(account: GcpAccount) -> str:
    """ "projects/HOST/global/networks/NAME": the project's own, or (Shared VPC) another's, which
    the account names in full."""
    if "/" in account.network:
        return _path(account.network)
    return f"projects/{account.project}/global/networks/{account.network}"


def subnet(account: GcpAccount, region: str) -> str:
    """Of the project whose the network is, unless it is named in full."""
    if "/" in account.subnet:
        return _path(account.subnet)
    return f"projects/{host(account)}/regions/{region}/subnetworks/{account.subnet}"


def host(account: GcpAccount) -> str:
    """The project whose network it is, in which its rules are."""
    return network(account).split("/")[1]


def _path(url: str) -> str:
    """Without "https://www.googleapis.com/compute/v1/"."""
    return url[url.index("projects/") :] if "projects/" in url else f"projects/{url}"


def inside(project: str) -> str:
    """What Compute Engine's zonal DNS calls a VM; of a project "domain.org:name", turned round
    (https://cloud.google.com/compute/docs/internal-dns, read 2026-11; not tried)."""
    domain, _, name = project.rpartition(":")
    return "{vm}.{zone}.c." + (f"{name}.{domain}" if domain else name) + ".internal"


def last(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def region_of(zone: str) -> str:
    return zone.rpartition("-")[0]


def _label(text: str) -> str:
    plain = re.sub(r"[^a-z0-9_-]", "_", text.lower())
    return plain[:_MOST]
