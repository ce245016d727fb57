"""Dask's Security from what the agent tells: paths of certificates, and the minimal version."""

from __future__ import annotations

import ssl
from typing import Any

from distributed.security import Security


def security_from(arguments: dict[str, Any]) -> Security:
    minimum = ssl.TLSVersion(arguments["tls_min_version"])
    return Security(**{**arguments, "tls_min_version": minimum})
