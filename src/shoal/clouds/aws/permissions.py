"""What the server's identity must be allowed in AWS, each with the reason; and the policy.

`setup` needs more (SETUP), and runs as the user.
"""

from __future__ import annotations

import json

from shoal.clouds.account import Permission
from shoal.clouds.aws import identity, names
from shoal.wire.accounts import AwsAccount

ALL = (
    Permission("ec2:CreateFleet", "launch a batch"),
    Permission("ec2:RunInstances", "launch a batch: a fleet runs its VMs in the caller's name"),
    Permission("ec2:CreateLaunchTemplate", "what the VMs of a batch share, their boot text"),
    Permission("ec2:DeleteLaunchTemplate", "take that away after the launch"),
    Permission("ec2:DescribeLaunchTemplates", "see what a launch left behind"),
    Permission("ec2:CreateTags", "whose a VM, its disk and its interface are, in the same call"),
    Permission("ec2:TerminateInstances", "end VMs"),
    Permission("ec2:DescribeInstances", "see what there is"),
    Permission("ec2:DescribeRegions", "where to look for VMs"),
    Permission("ec2:DescribeVolumes", "see what a VM left behind"),
    Permission("ec2:DeleteVolume", "disks that a VM left behind"),
    Permission("ec2:DescribeNetworkInterfaces", "see what a VM left behind"),
    Permission("ec2:DeleteNetworkInterface", "interfaces that a VM left behind"),
    Permission("ec2:DescribeVpcs", "find the network"),
    Permission("ec2:DescribeSubnets", "find the network"),
    Permission("ec2:DescribeSecurityGroups", "find the network"),
    Permission("ec2:CreateSecurityGroup", "who may reach a scheduler"),
    Permission("ec2:AuthorizeSecurityGroupIngress", "who may reach a scheduler"),
    Permission("ec2:DescribeImages", "boot the image"),
    Permission("ssm:GetParameter", "the newest image of Ubuntu LTS"),
    Permission("ec2:GetSpotPlacementScores", "ask where spot VMs are likely to be had"),
    Permission("ec2:DescribeAvailabilityZones", "which zone a score is of"),
    Permission("ec2:DescribeInstanceTypes", "machine types of the catalog, once a day"),
    Permission("ec2:DescribeInstanceTypeOfferings", "in which zones they are, once a day"),
    Permission("ec2:DescribeSpotPriceHistory", "spot prices of the catalog, once a day"),
    Permission("pricing:GetProducts", "on-demand prices of the catalog, once a day"),
)
# What whoever runs `shoal setup aws` needs besides: once, not the server.
SETUP = (
    Permission("ec2:CreateVpc", "the network"),
    Permission("ec2:DeleteVpc", "take it away again"),
    Permission("ec2:CreateSubnet", "a subnet in each zone"),
    Permission("ec2:DeleteSubnet", "take it away again"),
    Permission("ec2:DescribeInternetGateways", "see whether there is a way out"),
    Permission("ec2:CreateInternetGateway", "the way out"),
    Permission("ec2:AttachInternetGateway", "the way out"),
    Permission("ec2:DetachInternetGateway", "take it away again"),
    Permission("ec2:DeleteInternetGateway", "take it away again"),
    Permission("ec2:DescribeRouteTables", "the route to the way out"),
    Permission("ec2:CreateRoute", "the route to the way out"),
    Permission("ec2:DeleteSecurityGroup", "take groups away again"),
    Permission("iam:ListRoles", "see whether the account's fleets may work"),
    Permission("iam:CreateServiceLinkedRole", "let the account's fleets work"),
    Permission("iam:GetRole", "see whether the VMs' identity is there"),
    Permission("iam:GetInstanceProfile", "see whether the VMs' identity is there"),
    Permission("iam:CreateRole", "the VMs' identity, which may do nothing by itself"),
    Permission("iam:TagRole", "whose it is"),
    Permission("iam:CreateInstanceProfile", "lend it to VMs"),
    Permission("iam:TagInstanceProfile", "whose it is"),
    Permission("iam:AddRoleToInstanceProfile", "lend it to VMs"),
    Permission("iam:RemoveRoleFromInstanceProfile", "take it away again"),
    Permission("iam:DeleteInstanceProfile", "take it away again"),
    Permission("iam:ListAttachedRolePolicies", "take it away again"),
    Permission("iam:DetachRolePolicy", "take it away again"),
    Permission("iam:ListRolePolicies", "take it away again"),
    Permission("iam:DeleteRolePolicy", "take it away again"),
    Permission("iam:DeleteRole", "take it away again"),
    Permission("iam:SimulatePrincipalPolicy", "shoal doctor: which permissions are granted"),
    Permission("servicequotas:GetServiceQuota", "shoal doctor: quotas"),
    Permission("ec2:DescribeAvailabilityZones", "a subnet in each zone"),
)
# Only on what bears our tag: another's VM cannot be ended even by mistake.
_OF_OURS = frozenset(
    {
        "ec2:TerminateInstances",
        "ec2:DeleteLaunchTemplate",
        "ec2:DeleteVolume",
        "ec2:DeleteNetworkInterface",
    }
)
# And only in the call that makes the thing: nobody else's becomes ours by a tag.
_TAG = "ec2:CreateTags"
_CREATES = ["CreateFleet", "RunInstances", "CreateLaunchTemplate", "CreateSecurityGroup"]
# What the conditions ask about, and a value with which each holds: for a simulation.
CONDITIONS = {
    f"aws:ResourceTag/{names.INSTALLATION_TAG}": "any",
    "ec2:CreateAction": _CREATES[0],
}


def role(account: AwsAccount) -> str:
    """For `aws iam create-policy --policy-name shoal --policy-document file://FILE`."""
    tagged = {"StringLike": {f"aws:ResourceTag/{names.INSTALLATION_TAG}": "*"}}
    every = [it.name for it in ALL]
    statements: list[dict[str, object]] = [
        {
            "Sid": "LaunchAndLook",
            "Effect": "Allow",
            "Action": [it for it in every if it not in _OF_OURS and it != _TAG],
            "Resource": "*",
        },
        {
            "Sid": "TagWhatIsBeingMade",
            "Effect": "Allow",
            "Action": [_TAG],
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:CreateAction": _CREATES}},
        },
        {
            "Sid": "EndWhatIsOurs",
            "Effect": "Allow",
            "Action": [it for it in every if it in _OF_OURS],
            "Resource": "*",
            "Condition": tagged,
        },
    ]
    if account.instance_profile != identity.NONE:
        profile = account.instance_profile or identity.NAME
        lent = profile if profile == identity.NAME else "*"  # a profile's role may be called else
        statements.append(
            {
                "Sid": "GiveVmsTheirIdentity",
                "Effect": "Allow",
                "Action": ["iam:PassRole"],
                "Resource": f"arn:aws:iam::{account.account}:role/{lent}",
                "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
            }
        )
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2) + "\n"
