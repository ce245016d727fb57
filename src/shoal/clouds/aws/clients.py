"""Amazon's own client, boto3: without retries, its errors made the four.

There is one for each service and region. A call blocks, so it runs in a thread of this cloud's own
limiter. Credentials are what the server runs as (boto3's default chain, or a profile of it); none
is made or kept.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from shoal.clouds.aws.errors import LOG_IN, error_of, launch_error
from shoal.clouds.provider import LaunchError, Refused, Scope, Unknown
from shoal.core.records import Offer
from shoal.wire.accounts import AwsAccount

T = TypeVar("T")
_THREADS = 16
# One attempt: the next pass is the retry.
_ONCE = Config(
    retries={"total_max_attempts": 1, "mode": "standard"},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=_THREADS,
)


class Clients:
    def __init__(
        self,
        account: AwsAccount,
        *,
        clock: Callable[[], datetime],
        session: boto3.Session | None = None,
    ) -> None:
        self._account = account
        self._clock = clock
        self._session = session
        self._made: dict[tuple[str, str], Any] = {}
        self._making = threading.Lock()  # boto3 makes one client at a time
        self._limiter = anyio.CapacityLimiter(_THREADS)

    async def call(self, work: Callable[[], T], *, about: Offer | None = None) -> T:
        """Raises a LaunchError; of a launch it is `about` that offer's pool or region."""
        return await anyio.to_thread.run_sync(
            functools.partial(self._told, work, about), limiter=self._limiter
        )

    async def unless(self, codes: frozenset[str], work: Callable[[], T]) -> T | None:
        """None: EC2 answered with one of these codes ("InvalidGroup.Duplicate")."""

        def or_none() -> T | None:
            try:
                return work()
            except ClientError as error:
                if code_of(error) in codes:
                    return None
                raise

        return await self.call(or_none)

    def ec2(self, region: str) -> Any:
        return self._client("ec2", region)

    def ssm(self, region: str) -> Any:
        return self._client("ssm", region)

    def quotas(self, region: str) -> Any:
        return self._client("service-quotas", region)

    @property
    def iam(self) -> Any:
        return self._client("iam", self._account.region)

    @property
    def sts(self) -> Any:
        return self._client("sts", self._account.region)

    def _client(self, service: str, region: str) -> Any:
        with self._making:
            found = self._made.get((service, region))
            if found is None:
                if self._session is None:
                    self._session = boto3.Session(profile_name=self._account.profile or None)
                found = self._session.client(
                    service,
                    region_name=region,
                    endpoint_url=self._account.endpoint or None,
                    config=_ONCE,
                )
                self._made[service, region] = found
            return found

    def _told(self, work: Callable[[], T], about: Offer | None) -> T:
        try:
            return work()
        except ClientError as error:
            said = error.response.get("Error", {}).get("Message", "")
            raise self._error(code_of(error), said, about) from error
        except NoCredentialsError as error:
            raise Refused("There is no login for AWS.", scope=Scope(), hint=LOG_IN) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise Unknown(f"AWS did not answer: {error}") from error

    def _error(self, code: str, said: str, about: Offer | None) -> LaunchError:
        if about is None:
            return error_of(code, said, now=self._clock())
        return launch_error(code, said, about, now=self._clock())


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
