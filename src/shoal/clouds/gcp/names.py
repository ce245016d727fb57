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
from shoal.wire.ids import InstallationId

INSTALLATION_LABEL = "shoal-installation"
CLUSTER_LABEL = "shoal-cluster"
BATCH_LABEL = "shoal-batch"
VM_TAG = (
    "shoal-vm"  # a network tag: the rule that lets VMs reach each other is for those who bear it
)
HEAD_TAG = "shoal-head-"  # and which addresses reach it
_NAMESPACE = uuid.UUID("6f1e2a52-7e0c-5d0b-9a43-0c7b52c5a9b1")  # of our request ids
_MOST = 63  # characters of a label


def labels(batch: Batch, installation: InstallationId) -> dict[str, str]:
    made = {_label(key) or "tag": _label(value) for key, value in batch.tags}
    ours = {INSTALLATION_LABEL: installation, CLUSTER_LABEL: batch.cluster, BATCH_LABEL: batch.id}
    return made | ours


def request_id(*parts: str) -> str:
    """The same for the same request, whoever repeats it."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def ingress_rule(cidrs: Sequence[str]) -> str:
    """Of the rule that lets these reach a head, and of the network tag that heads bear for it."""
    digest = hashlib.sha256(" ".join(sorted(set(cidrs))).encode()).hexdigest()[:10]
    return f"{HEAD_TAG}{digest}"


def last(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def region_of(zone: str) -> str:
    return zone.rpartition("-")[0]


def _label(text: str) -> str:
    plain = re.sub(r"[^a-z0-9_-]", "_", text.lower())
    return plain[:_MOST]
