from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["names", "identities", "contexts", "dask_tls"])
def test_what_a_users_environment_needs_does_without_cryptography(module: str) -> None:
    program = f"import sys, shoal.trust.{module}; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
