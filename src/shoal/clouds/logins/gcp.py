"""Application Default Credentials, and gcloud's own configuration for the region."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

import google.auth
from google.auth.exceptions import DefaultCredentialsError

from shoal.clouds.logins.missing import Missing, NotSaid
from shoal.errors import NotPossible
from shoal.wire.accounts import GcpAccount


def discover(owner: str | None, region: str | None) -> GcpAccount:
    """Both named: whatever needs a login will say so itself."""
    if owner and region:
        return GcpAccount(owner, region)
    try:
        _, found = google.auth.default()
    except DefaultCredentialsError as error:
        raise NotPossible(
            "There is no login to Google Cloud here.", hint="gcloud auth application-default login"
        ) from error
    project = owner or found or _configured("core", "project")
    if not project:
        hint = "Name one: --owner PROJECT"
        raise NotSaid("The login names no project.", hint=hint, missing=Missing.OWNER)
    place = region or os.environ.get("CLOUDSDK_COMPUTE_REGION") or _configured("compute", "region")
    if not place:
        hint = "Name one: --region us-east1"
        raise NotSaid("gcloud has no default region.", hint=hint, missing=Missing.REGION)
    return GcpAccount(project, place)


def _configured(section: str, name: str) -> str:
    """Of gcloud's active configuration."""
    home = Path(os.environ.get("CLOUDSDK_CONFIG", Path.home() / ".config" / "gcloud"))
    active = home / "active_config"
    which = os.environ.get("CLOUDSDK_ACTIVE_CONFIG_NAME") or (
        active.read_text().strip() if active.is_file() else "default"
    )
    parser = configparser.ConfigParser()
    parser.read(home / "configurations" / f"config_{which}")
    return parser.get(section, name, fallback="")
