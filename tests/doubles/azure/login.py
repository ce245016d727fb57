"""A person who is logged in with the Azure CLI: its file of subscriptions, and a program that gives
the double's token."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.doubles.azure.arm import SUBSCRIPTION
from tests.doubles.azure.server import TOKEN

_AZ = """\
# The Azure CLI, as its login is asked for a token.
import os, sys
if not os.path.exists(os.path.join(os.environ["AZURE_CONFIG_DIR"], "azureProfile.json")):
    sys.exit("Please run 'az login' to setup account.")
print('''{token}''')
"""


def login(root: Path, *, default: bool = True) -> dict[str, str]:
    """The variables of such a person. `default`: their one subscription is the default one."""
    for name in ("in", "bin"):
        (root / name).mkdir()
    told = [{"id": SUBSCRIPTION, "name": "ours", "isDefault": default}]
    (root / "in" / "azureProfile.json").write_text(json.dumps({"subscriptions": told}))
    az = root / "bin" / "az"
    az.write_text(f"#!{sys.executable}\n{_AZ.format(token=_token())}")
    az.chmod(0o700)
    return {
        "AZURE_CONFIG_DIR": str(root / "in"),
        "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",  # no other login of this machine
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "REQUESTS_CA_BUNDLE": str(root / "azure-ca.pem"),
    }


def _token() -> str:
    until = datetime.now(UTC) + timedelta(hours=1)
    return json.dumps(
        {
            "accessToken": TOKEN,
            "expiresOn": f"{until:%Y-%m-%d %H:%M:%S.%f}",
            "expires_on": int(until.timestamp()),
            "tokenType": "Bearer",
        }
    )
