"""The identity of a project's VMs: a service account that may do nothing, and has no key.

Whoever wants workers to read a bucket by themselves gives it a role there. It is the project's, not
a region's. Only one that says in its description that setup made it is ever removed.
"""

from __future__ import annotations

from typing import Any

from google.api_core import exceptions

from shoal.clouds.gcp.clients import Clients
from shoal.clouds.gcp.names import MADE_BY
from shoal.wire.accounts import GcpAccount

ID = "shoal-vm"
NONE = "none"  # as an account's `service_account`: VMs are to have no identity
_IAM = "https://iam.googleapis.com"


def email(project: str) -> str:
    """Of a project "domain.org:name", turned round
    (https://cloud.google.com/iam/docs/service-account-types, read 2026-11; not tried)."""
    domain, _, name = project.rpartition(":")
    return f"{ID}@{name}.{domain + '.' if domain else ''}iam.gserviceaccount.com"


def is_ours(account: GcpAccount) -> bool:
    """Unless the account names another one, or none."""
    return account.service_account in ("", email(account.project))


def what(project: str) -> str:
    return f"identity {email(project)} of VMs: it may do nothing until a role is given to it"


def command(project: str) -> str:
    return (
        f"gcloud iam service-accounts create {ID} --project {project} "
        f"--display-name 'VMs of Shoal clusters' --description '{MADE_BY}'"
    )


def removal(project: str) -> str:
    return f"gcloud iam service-accounts delete {email(project)} --project {project}"


class Identity:
    def __init__(self, clients: Clients, account: GcpAccount) -> None:
        self._clients, self._project = clients, account.project
        self._all = f"/v1/projects/{account.project}/serviceAccounts"
        self._one = f"{self._all}/{email(account.project)}"

    def get(self) -> Any:
        """Raises NotFound."""
        return self._clients.rest("GET", _IAM, self._one)

    def make(self) -> None:
        told = {"displayName": "VMs of Shoal clusters", "description": MADE_BY}
        body = {"accountId": ID, "serviceAccount": told}
        try:
            self._clients.rest("POST", _IAM, self._all, body)
        except exceptions.Conflict:
            return  # a lost answer's

    def remove(self) -> None:
        self._clients.rest("DELETE", _IAM, self._one)
