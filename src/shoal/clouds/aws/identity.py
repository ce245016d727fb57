"""The identity of an account's VMs: a role that EC2 may lend them, in an instance profile.

It may do nothing. Whoever wants workers to read a bucket by themselves attaches a policy to it; no
key is made. It is the account's, not a region's. Only what bears the tag `shoal` is removed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from shoal.clouds.account import Step
from shoal.clouds.aws import names

NAME = "shoal-vm"
NONE = "none"  # as an account's `instance_profile`: VMs are to have no identity
WHAT = f"identity {NAME} of VMs: a role that may do nothing until a policy is attached to it"
_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
_TAGS = [{"Key": names.SETUP_TAG, "Value": "vms"}]
COMMAND = (
    f"aws iam create-role --role-name {NAME} --assume-role-policy-document '{_TRUST}' "
    f"--tags Key={names.SETUP_TAG},Value=vms; "
    f"aws iam create-instance-profile --instance-profile-name {NAME} "
    f"--tags Key={names.SETUP_TAG},Value=vms; "
    f"aws iam add-role-to-instance-profile --instance-profile-name {NAME} --role-name {NAME}"
)


def is_there(iam: Any, name: str = NAME) -> bool:
    profile = _profile(iam, name)
    return bool(profile and profile["Roles"])


def make(iam: Any) -> None:
    """What a killed call has left is completed."""
    if _role(iam) is None:
        iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=_TRUST, Tags=_TAGS)
    profile = _profile(iam, NAME)
    if profile is None:
        iam.create_instance_profile(InstanceProfileName=NAME, Tags=_TAGS)
    if not (profile and profile["Roles"]):
        iam.add_role_to_instance_profile(InstanceProfileName=NAME, RoleName=NAME)


def remove(iam: Any) -> Sequence[Step]:
    """With the policies that were attached to it since; these themselves stay."""
    steps = []
    profile = _profile(iam, NAME)
    if profile is not None and _is_ours(profile):
        for it in profile["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=NAME, RoleName=it["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=NAME)
        steps.append(_gone("instance-profile", "instance-profile-name"))
    role = _role(iam)
    if role is not None and _is_ours(role):
        for it in iam.list_attached_role_policies(RoleName=NAME)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=NAME, PolicyArn=it["PolicyArn"])
        for policy in iam.list_role_policies(RoleName=NAME)["PolicyNames"]:
            iam.delete_role_policy(RoleName=NAME, PolicyName=policy)
        iam.delete_role(RoleName=NAME)
        steps.append(_gone("role", "role-name"))
    return steps


def _profile(iam: Any, name: str) -> Any:
    return _found(partial(iam.get_instance_profile, InstanceProfileName=name), "InstanceProfile")


def _role(iam: Any) -> Any:
    return _found(partial(iam.get_role, RoleName=NAME), "Role")


def _found(ask: Any, what: str) -> Any:
    try:
        return ask()[what]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchEntity":
            return None
        raise


def _is_ours(thing: Any) -> bool:
    return any(it["Key"] == names.SETUP_TAG for it in thing.get("Tags", ()))


def _gone(kind: str, option: str) -> Step:
    return Step(f"{kind} {NAME}", f"aws iam delete-{kind} --{option} {NAME}", done=True)
