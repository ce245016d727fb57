"""A cloud account as `shoal setup` leaves it: where VMs go, and what was prepared for them.

Names and places only. No key is stored: the server uses the identity it runs as (Application
Default Credentials, an AWS profile or role, the Azure CLI's login or a managed identity).
"""

from __future__ import annotations

import msgspec

from shoal.wire.specs import Cloud


class GcpAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="gcp"):
    project: str
    region: str  # where clusters go that name none
    network: str = "shoal"  # or another project's, "projects/HOST/global/networks/NAME"
    subnet: str = "shoal"  # of this name in each region that was set up, or one in full
    service_account: str = ""  # e-mail of the VMs' own identity; empty or "none": they have none
    image: str = ""  # "projects/…/global/images/…", also by kind: clouds/images.py
    public_scheduler: bool = True  # False: the server and clients reach the network by themselves
    public_workers: bool = True  # outgoing only; False: the network has a NAT or its own index
    internal_dns: bool = (
        True  # False: the network resolves no names of VMs; its workers start later
    )
    endpoint: str = ""  # of the Compute API, where it is not Google's own


class AwsAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="aws"):
    account: str  # 12 digits
    region: str
    profile: str = ""  # of ~/.aws/config; empty: the default chain
    # An existing network's id, of `region`, or "REGION=ID,REGION=ID"; elsewhere, and where it is
    # empty, it is the one that is tagged as Shoal's.
    vpc: str = ""
    subnets: str = ""  # of existing networks, "ID,ID"; empty: one a zone of those that are there
    instance_profile: str = ""  # of the VMs; "none", or empty before setup: they have no identity
    image: str = ""  # "ami-…", an SSM parameter, an image's name, also by kind; empty: Ubuntu LTS
    public_scheduler: bool = True
    public_workers: bool = True
    endpoint: str = ""


class AzureAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="azure"):
    subscription: str
    region: str
    resource_group: str = "shoal"
    # A virtual network's name, one a region: "<network>-<region>"; or the resource id of one that
    # exists in `region`; or "REGION=ID,REGION=ID". Elsewhere it is "shoal-<region>".
    network: str = "shoal"
    subnet: str = "shoal"  # its name, or "REGION=NAME,REGION=NAME"
    identity: str = ""  # resource id, of VMs; "none", or empty before setup: they have none
    image: str = ""  # resource id or urn, also by kind; empty: Ubuntu LTS
    public_scheduler: bool = True
    public_workers: bool = True
    endpoint: str = ""


CloudAccount = GcpAccount | AwsAccount | AzureAccount


class AccountList(msgspec.Struct, frozen=True):
    accounts: tuple[CloudAccount, ...]


def cloud_of(account: CloudAccount) -> Cloud:
    return Cloud(str(account.__struct_config__.tag))
