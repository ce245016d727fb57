"""What things are called in EC2: derived from what they belong to, never looked up.

EC2 gives ids of its own; ours are the tags, the names of templates and groups, and the tokens by
which it knows a repeated request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.clouds import regional
from shoal.core.records import Batch
from shoal.wire.accounts import AwsAccount
from shoal.wire.ids import InstallationId

INSTALLATION_TAG = "shoal-installation"
CLUSTER_TAG = "shoal-cluster"
BATCH_TAG = "shoal-batch"
SETUP_TAG = "shoal"  # of the network: what each part is
NETWORK, SUBNET = "network", "subnet"  # its values
VM_GROUP = "shoal-vm"  # the security group whose members reach each other
_MOST_TAGS = 50 - 5  # of a resource, less ours and Name


def tags(batch: Batch, installation: InstallationId) -> dict[str, str]:
    """Values may be anything; keys may not begin with "aws:"."""
    theirs = {
        key[:128]: value[:256] for key, value in batch.tags if not key.lower().startswith("aws:")
    }
    ours = {
        "Name": f"shoal {batch.cluster} {batch.role}",
        INSTALLATION_TAG: installation,
        CLUSTER_TAG: batch.cluster,
        BATCH_TAG: batch.id,
    }
    return dict(list(theirs.items())[:_MOST_TAGS]) | ours


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As EC2 writes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(resource: Mapping[str, Any]) -> dict[str, str]:
    return {it["Key"]: it["Value"] for it in resource.get("Tags", ())}


def token(*parts: str) -> str:
    """The same for the same request, whoever repeats it. EC2 takes 64 ASCII characters."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def template(installation: InstallationId, batch: Batch) -> str:
    """A launch template's name: unique in an account and region, so that it is made once."""
    return f"shoal-{installation}-{batch.id}"


def ingress_group(cidrs: Sequence[str]) -> str:
    """Of the security group that lets these reach a head."""
    digest = hashlib.sha256(" ".join(sorted(set(cidrs))).encode()).hexdigest()[:10]
    return f"shoal-head-{digest}"


def own_vpc(account: AwsAccount, region: str) -> str:
    """The existing network that the account names there; empty: it is Shoal's own."""
    return regional.of(account.vpc, region, home=account.region)


def own_subnets(account: AwsAccount) -> frozenset[str]:
    """Ids, of all regions; empty: any will do."""
    return frozenset(it.strip() for it in account.subnets.split(",") if it.strip())


def where(name: str, *values: str) -> dict[str, Any]:
    """One of a call's `Filters`."""
    return {"Name": name, "Values": list(values)}
