"""AWS's container credentials, as ECS and EKS serve them to every AWS SDK.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html; botocore 1.44
wants AccessKeyId, SecretAccessKey, Token and Expiration, and asks again from 15 minutes before.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime

from .answer import Answer, Asked, of_json
from .held import Held


def answer(asked: Asked, held: Held | None, secret: str) -> Answer:
    if not hmac.compare_digest(asked.headers.get("authorization", "").encode(), secret.encode()):
        return _refused(401, "Unauthorized", "Send AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if held is None:
        return _refused(404, "NotFound", "No session forwards an AWS identity any more")
    content = held.content
    until = datetime.fromtimestamp(held.expires_at, UTC)
    told = {
        "AccessKeyId": content["access_key_id"],
        "SecretAccessKey": content["secret_access_key"],
        "Token": content["session_token"],
        "Expiration": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        "AccountId": content.get("account"),
    }
    return of_json({name: value for name, value in told.items() if value})


def _refused(status: int, code: str, message: str) -> Answer:
    return of_json({"code": code, "message": message}, status)
