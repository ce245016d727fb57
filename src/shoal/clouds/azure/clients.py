"""Azure's management API, reached through its own SDK: clients, login, threads, errors.

The SDK blocks, so every call runs in one of this cloud's threads. It repeats nothing: the next pass
is the retry. What comes out is plain data (`record`), or one of the four errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
)
from azure.core.pipeline import policies
from azure.core.rest import HttpRequest
from azure.identity import DefaultAzureCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.deployments import DeploymentsMgmtClient
from azure.mgmt.resource.resources import ResourceManagementClient

from shoal.clouds.azure.errors import THROTTLED_FOR_S, Fault, FaultBody, error_of
from shoal.clouds.provider import LaunchError, Refused, Scope, Unknown
from shoal.wire.accounts import AzureAccount

PUBLIC_CLOUD = "https://management.azure.com"
_THREADS = 32
_CONNECT_S, _READ_S, _POLL_S = 10, 60, 2

T = TypeVar("T")


class Trust(msgspec.Struct, frozen=True):
    """How a test's double is reached: Azure's own world needs none of it."""

    credential: Any  # a TokenCredential
    ca_file: str
    poll_s: float = 0.02  # between two looks at a long operation


class Clients:
    """One account's clients, made when first asked for: importing and logging in take a second."""

    def __init__(
        self, account: AzureAccount, *, clock: Callable[[], datetime], trust: Trust | None = None
    ) -> None:
        self._account = account
        self._clock = clock
        self._trust = trust
        self._limiter = anyio.CapacityLimiter(_THREADS)

    async def call(self, what: Callable[[], T]) -> T:
        """In a thread; raises one of the four."""
        try:
            return await anyio.to_thread.run_sync(what, limiter=self._limiter)
        except AzureError as error:
            raise self.error(error) from error

    async def found(self, what: Callable[[], T]) -> T | None:
        """The same; None where Azure says that it is not there."""

        def asked() -> T | None:
            try:
                return what()
            except HttpResponseError as error:
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise
                return None

        return await self.call(asked)

    def error(self, error: AzureError) -> LaunchError:
        match error:
            case ClientAuthenticationError():
                fault = fault_of(error) if error.response is not None else Fault()
                if fault.code:
                    return error_of(fault, status=401, until=self._clock())
                return Refused(
                    "There is no valid login to Azure here.",
                    scope=Scope(),
                    hint="az login; on a VM of Azure, give it a managed identity.",
                )
            case HttpResponseError():
                cause = fault_of(error).causes()[0]
                return error_of(cause, status=error.status_code or 0, until=self._until(error))
            case _:
                return Unknown(f"Azure did not answer: {error.message}")

    def _until(self, error: HttpResponseError) -> datetime:
        headers = error.response.headers if error.response is not None else {}
        told = str(headers.get("Retry-After", ""))
        wait_s = float(told) if told.isdigit() else THROTTLED_FOR_S
        return self._clock() + timedelta(seconds=wait_s)

    @cached_property
    def compute(self) -> ComputeManagementClient:
        return ComputeManagementClient(**self._arguments())

    @cached_property
    def network(self) -> NetworkManagementClient:
        return NetworkManagementClient(**self._arguments())

    @cached_property
    def groups(self) -> ResourceManagementClient:
        return ResourceManagementClient(**self._arguments())

    @cached_property
    def deployments(self) -> DeploymentsMgmtClient:
        return DeploymentsMgmtClient(**self._arguments())

    @cached_property
    def _credential(self) -> TokenCredential:
        logging.getLogger("azure.identity").setLevel(logging.ERROR)  # it lists all it tried
        return self._trust.credential if self._trust else DefaultAzureCredential()

    @cached_property
    def _endpoint(self) -> str:
        return (self._account.endpoint or PUBLIC_CLOUD).rstrip("/")

    def get(self, path: str) -> bytes:
        """Of the management API, for what has no client here. Blocks."""
        return self._sent(HttpRequest("GET", self._endpoint + path))

    def post(self, path: str, body: Mapping[str, object]) -> bytes:
        """The same, of a question that has a body."""
        return self._sent(HttpRequest("POST", self._endpoint + path, json=body))

    def _sent(self, request: HttpRequest) -> bytes:
        response = self._plain.send_request(request)
        response.raise_for_status()
        return bytes(response.content)

    @cached_property
    def _plain(self) -> ARMPipelineClient[Any, Any]:
        chain = [
            policies.HeadersPolicy(),
            ARMChallengeAuthenticationPolicy(self._credential, f"{self._endpoint}/.default"),
        ]
        made: ARMPipelineClient[Any, Any] = ARMPipelineClient(
            base_url=self._endpoint, policies=chain, **self._transport()
        )
        return made

    def _arguments(self) -> dict[str, Any]:
        return {
            "credential": self._credential,
            "subscription_id": self._account.subscription,
            "base_url": self._endpoint,
            "credential_scopes": [f"{self._endpoint}/.default"],
            "retry_total": 0,
            "polling_interval": self._trust.poll_s if self._trust else _POLL_S,
            "logging_enable": False,
            **self._transport(),
        }

    def _transport(self) -> dict[str, Any]:
        made: dict[str, Any] = {"connection_timeout": _CONNECT_S, "read_timeout": _READ_S}
        if self._trust:
            made["connection_verify"] = self._trust.ca_file
        return made


def fault_of(error: HttpResponseError) -> Fault:
    """As it was answered; only its status where the body says nothing."""
    try:
        text = error.response.text() if error.response is not None else ""
        return msgspec.json.decode(text, type=FaultBody).error
    except (msgspec.DecodeError, AttributeError):
        return Fault(message=str(error.message))


def record(model: Any, shape: type[T]) -> T:
    """The SDK's object as one of our structs."""
    return msgspec.convert(model.as_dict(), shape, strict=False)
