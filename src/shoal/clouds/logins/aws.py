"""The AWS SDK's default chain: environment, profile, SSO, role."""

from __future__ import annotations

import os

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from shoal.clouds.logins.missing import Missing, NotSaid
from shoal.errors import NotPossible
from shoal.wire.accounts import AwsAccount


def discover(owner: str | None, region: str | None) -> AwsAccount:
    """The login belongs to one account: another `owner` is a mistake."""
    profile = os.environ.get("AWS_PROFILE", "")
    try:
        session = boto3.Session()
        place = region or session.region_name
        sts = session.client("sts", region_name=place or "us-east-1")
        account = str(sts.get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise NotPossible(
            f"There is no login to AWS here: {error}", hint="aws sso login"
        ) from error
    if owner is not None and owner != account:
        raise NotPossible(
            f"The login is of account {account}, not of {owner}.",
            hint="Choose another: export AWS_PROFILE=…",
        )
    if not place:
        hint = "Name one: --region us-east-1"
        raise NotSaid("The profile has no region.", hint=hint, missing=Missing.REGION)
    return AwsAccount(account, place, profile)
