"""Environments that clusters run, those kept under names, and their wheels."""

from __future__ import annotations

import msgspec

from shoal import errors
from shoal.wire import environments, requests, views
from shoal.wire.endpoints.kinds import MISSING, Endpoint, Nothing


class EnvironmentList(msgspec.Struct, frozen=True):
    environments: tuple[views.EnvironmentView, ...]  # by name


PUT_ENVIRONMENT = Endpoint(
    "put_environment",
    "PUT",
    "/v1/environments/{environment}",
    "Register an environment; the answer tells which wheels are missing",
    "clusters",
    views.EnvironmentNeeds,
    body=environments.Manifest,
)

ENVIRONMENT = Endpoint(
    "environment",
    "GET",
    "/v1/environments/{environment}",
    "An environment's lock and wheels, by its id or a name that it was given",
    "clusters",
    environments.Manifest,
    problems=MISSING,
)

ENVIRONMENTS = Endpoint(
    "environments",
    "GET",
    "/v1/environments",
    "Environments that are kept under names, with what was made of them",
    "clusters",
    EnvironmentList,
)

SAVE_ENVIRONMENT = Endpoint(
    "save_environment",
    "PUT",
    "/v1/environment-names/{name}",
    "Keep a registered environment under a name; one given again means the other from now on",
    "clusters",
    views.EnvironmentView,
    body=requests.SaveEnvironment,
    problems=(errors.NotFound, errors.Conflict),
)

FORGET_ENVIRONMENT = Endpoint(
    "forget_environment",
    "DELETE",
    "/v1/environment-names/{name}",
    "Forget the name of an environment; clusters keep what they have",
    "clusters",
    Nothing,
    problems=MISSING,
)

PUT_WHEEL = Endpoint(
    "put_wheel",
    "PUT",
    "/v1/wheels/{sha256}",
    "Upload a wheel; its content must have this SHA-256",
    "clusters",
    Nothing,
    body=bytes,
)
