"""Machine types with their prices, and the accounts that clusters go to."""

from __future__ import annotations

from typing import Annotated

import msgspec

from shoal import errors
from shoal.wire import accounts, views
from shoal.wire.endpoints.kinds import MISSING, Endpoint, Positive


class OfferQuery(msgspec.Struct, frozen=True):
    """Which machines; what is not given does not matter. Memory in bytes."""

    cloud: str = "local"
    region: str | None = None  # None: the account's own, else the first of the catalog
    zone: str | None = None
    cpu: Positive | None = None
    cpu_most: Positive | None = None  # None: as `cpu`
    memory_bytes: Positive | None = None
    memory_bytes_most: Positive | None = None
    gpu: Annotated[int, msgspec.Meta(ge=0, le=16)] | None = None
    gpu_type: str | None = None
    arm: bool | None = None
    spot: bool | None = None
    why: bool = False  # tell what was left out too


class RegionQuery(msgspec.Struct, frozen=True):
    region: str | None = None  # None: the account's own


OFFERS = Endpoint(
    "offers",
    "GET",
    "/v1/offers",
    "Machine types with prices",
    "clusters",
    views.OfferList,
    query=OfferQuery,
    problems=MISSING,
)

REFRESH_OFFERS = Endpoint(
    "refresh_offers",
    "POST",
    "/v1/offers/{cloud}/refresh",
    "Ask a cloud for its machine types and prices of today, with the server's login",
    "clusters",
    views.Refreshed,
    query=RegionQuery,
    problems=(errors.NotFound, errors.CloudError),
)

ACCOUNTS = Endpoint(
    "accounts",
    "GET",
    "/v1/accounts",
    "The cloud accounts that clusters can go to",
    "clusters",
    accounts.AccountList,
)

PUT_ACCOUNT = Endpoint(
    "put_account",
    "PUT",
    "/v1/accounts/{cloud}",
    "Register a cloud account, or change it; `shoal setup` does it",
    "admin",
    accounts.AccountList,
    body=accounts.CloudAccount,
    problems=(errors.NotPossible, errors.Conflict),
)

REMOVE_ACCOUNT = Endpoint(
    "remove_account",
    "DELETE",
    "/v1/accounts/{cloud}",
    "Forget a cloud account that no cluster uses",
    "admin",
    accounts.AccountList,
    problems=(errors.NotFound, errors.Conflict),
)
