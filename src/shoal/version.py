"""The version of this Shoal, for everyone who must tell it; pyproject.toml reads it here."""

from __future__ import annotations

VERSION = "0.1.0"
