"""AWS: temporary credentials as they are; for long-lived keys a session token in their place.

botocore's own chain finds the login. A profile that asks for an MFA code is left alone: nobody
would see the question. A session token cannot change IAM, which is no loss for work on data.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from shoal.client.credentials.found import Forwarded, no_client
from shoal.client.credentials.renewal import LEASE
from shoal.errors import NotPossible
from shoal.wire.specs import Cloud

_LONGEST = timedelta(hours=12)
_SOME_REGION = "us-east-1"  # STS answers anywhere
_NO_LOGIN = "aws sso login, or set AWS_PROFILE"


class AwsLogin:
    cloud = Cloud.AWS

    def __init__(self) -> None:
        try:
            import botocore.session
        except ModuleNotFoundError as error:
            raise no_client(self.cloud, "botocore") from error
        self._session = botocore.session.Session()
        self._who: dict[str, str] = {}  # access key id -> ARN, found once

    def read(self, now: datetime, resources: frozenset[str]) -> Forwarded:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._read(now)
        except (BotoCoreError, ClientError) as error:
            raise NotPossible(f"{type(error).__name__}: {error}", hint=_NO_LOGIN) from error

    def _read(self, now: datetime) -> Forwarded:
        if self._session.get_scoped_config().get("mfa_serial"):
            raise NotPossible(
                "the profile asks for an MFA code",
                hint="Log in first, and export what that gives: aws sts get-session-token",
            )
        found = self._session.get_credentials()
        if found is None:
            raise NotPossible("no credentials were found", hint=_NO_LOGIN)
        frozen = found.get_frozen_credentials()
        if frozen.token:
            expires_at = getattr(found, "_expiry_time", None) or now + LEASE
            keys = (frozen.access_key, frozen.secret_key, frozen.token)
        else:
            keys, expires_at = self._session_token()
        arn = self._arn(*keys)
        content = dict(
            zip(("access_key_id", "secret_access_key", "session_token"), keys, strict=True)
        )
        account = arn.split(":")[4] if arn.count(":") >= 5 else ""
        region = self._session.get_config_variable("region") or ""
        return Forwarded(
            self.cloud,
            arn,
            expires_at.astimezone(UTC),
            {**content, "account": account, "region": region},
        )

    def _session_token(self) -> tuple[tuple[str, str, str], datetime]:
        answer = self._sts().get_session_token(DurationSeconds=int(_LONGEST.total_seconds()))
        told = answer["Credentials"]
        keys = (told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])
        return keys, told["Expiration"]

    def _arn(self, key: str, secret: str, token: str) -> str:
        """Anyone may ask this of AWS about themselves; where STS cannot be reached, the key's id
        has to do."""
        from botocore.exceptions import BotoCoreError, ClientError

        if key not in self._who:
            sts = self._sts(
                aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token
            )
            try:
                answer = sts.get_caller_identity()
            except (BotoCoreError, ClientError):
                return f"access key {key}"
            self._who = {key: str(answer["Arn"])}
        return self._who[key]

    def _sts(self, **keys: str) -> Any:
        from botocore.config import Config

        patience = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 2})
        region = self._session.get_config_variable("region") or _SOME_REGION
        return self._session.create_client("sts", region_name=region, config=patience, **keys)
