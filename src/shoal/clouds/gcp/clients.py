"""Google's own client of Compute Engine: over REST, without retries, its errors made the four.

A call blocks, so it runs in a thread of this cloud's own limiter. Credentials are what the server
runs as (Application Default Credentials); none is made or kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import google.auth
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth import credentials as auth
from google.auth import exceptions as auth_exceptions
from google.auth.transport.requests import AuthorizedSession
from google.cloud import compute_v1

from shoal.clouds.gcp.errors import LOG_IN, error_of
from shoal.clouds.provider import LaunchError, Refused, Scope, Unknown
from shoal.core.records import Offer
from shoal.wire.accounts import GcpAccount

T = TypeVar("T")
THREADS = 16  # calls at a time
_ENDPOINT = "https://compute.googleapis.com"
_TIMEOUT_S = 60.0
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_STATUS = {401: "authError", 403: "forbidden", 404: "notFound", 429: "rateLimitExceeded"}


class Clients:
    def __init__(
        self,
        account: GcpAccount,
        *,
        clock: Callable[[], datetime],
        credentials: auth.Credentials | None = None,
    ) -> None:
        self._account = account
        self._clock = clock
        self._credentials = credentials
        self._limiter = anyio.CapacityLimiter(THREADS)

    async def call(self, work: Callable[[], T], about: Sequence[Offer] = ()) -> T:
        """Raises a LaunchError. `about`: what is asked for."""
        return await anyio.to_thread.run_sync(
            functools.partial(self._told, work, about), limiter=self._limiter
        )

    async def found(self, work: Callable[[], T]) -> T | None:
        """None: what it is about is not there."""

        def or_none() -> T | None:
            try:
                return work()
            except exceptions.NotFound:
                return None

        return await self.call(or_none)

    def ask(self, method: Callable[..., T], **request: Any) -> T:
        return method(request=request, retry=None, timeout=_TIMEOUT_S)

    def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """For what the client lacks: the API itself, by its path after "/compute/v1/"."""
        url = f"{self._account.endpoint or _ENDPOINT}/compute/v1/{path}"
        answer = self.session.get(url, params=dict(query), timeout=_TIMEOUT_S)
        if not answer.ok:
            raise exceptions.from_http_response(answer)
        return bytes(answer.content)

    def rest(self, method: str, host: str, path: str, body: object = None) -> Any:
        """Another API of Google's; where the account has an endpoint of its own, there."""
        answer = self.session.request(
            method, f"{self._account.endpoint or host}{path}", json=body, timeout=_TIMEOUT_S
        )
        if not answer.ok:
            raise exceptions.from_http_response(answer)
        return answer.json()

    @functools.cached_property
    def session(self) -> AuthorizedSession:
        """With the same login as the clients."""
        return AuthorizedSession(self._credentials or google.auth.default(scopes=[_SCOPE])[0])

    @functools.cached_property
    def instances(self) -> Any:
        return self._client(compute_v1.InstancesClient)

    @functools.cached_property
    def region_instances(self) -> Any:
        return self._client(compute_v1.RegionInstancesClient)

    @functools.cached_property
    def region_operations(self) -> Any:
        return self._client(compute_v1.RegionOperationsClient)

    @functools.cached_property
    def advice(self) -> Any:
        return self._client(compute_v1.AdviceClient)

    @functools.cached_property
    def disks(self) -> Any:
        return self._client(compute_v1.DisksClient)

    @functools.cached_property
    def firewalls(self) -> Any:
        return self._client(compute_v1.FirewallsClient)

    @functools.cached_property
    def networks(self) -> Any:
        return self._client(compute_v1.NetworksClient)

    @functools.cached_property
    def subnetworks(self) -> Any:
        return self._client(compute_v1.SubnetworksClient)

    @functools.cached_property
    def regions(self) -> Any:
        return self._client(compute_v1.RegionsClient)

    @functools.cached_property
    def global_operations(self) -> Any:
        return self._client(compute_v1.GlobalOperationsClient)

    def _client(self, kind: Any) -> Any:
        options = ClientOptions(api_endpoint=self._account.endpoint or None)
        return kind(credentials=self._credentials, client_options=options, transport="rest")

    def _told(self, work: Callable[[], T], about: Sequence[Offer]) -> T:
        try:
            return work()
        except exceptions.GoogleAPICallError as error:
            raise self._error(error, about) from error
        except auth_exceptions.GoogleAuthError as error:
            words = f"There is no login for Google Cloud: {error}"
            raise Refused(words, scope=Scope(), hint=LOG_IN) from error
        except (OSError, exceptions.GoogleAPIError) as error:
            raise Unknown(f"Google Cloud did not answer: {error}") from error

    def _error(self, error: exceptions.GoogleAPICallError, about: Sequence[Offer]) -> LaunchError:
        told = [it.get("reason", "") for it in error.errors if isinstance(it, dict)]
        code = int(error.code or 0)
        reason = next(filter(None, told), "") or _STATUS.get(code, str(code))
        return error_of(reason, error.message, now=self._clock(), offers=about)
