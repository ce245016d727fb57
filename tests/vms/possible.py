"""Skips a test, with the reason, where no VM can be made."""

from __future__ import annotations

import os

import pytest

from tests.vms import base, namespaces


def skip_where_impossible() -> None:
    """In CI root has the programs (.ci/run): there a missing one is a failure."""
    missing = namespaces.missing()
    if missing and os.environ.get("CI") and os.geteuid() == 0:
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if reason := namespaces.forbidden(base.cache()):
        pytest.skip(reason)
