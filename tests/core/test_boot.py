from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shoal.core.boot import MAX_BYTES, boot_text
from shoal.errors import ServerFault
from shoal.wire.boot import BootDocument
from shoal.wire.specs import Role
from tests.core.worlds import C1, HEAD

DOCUMENT = BootDocument(C1, Role.WORKER, "-----BEGIN\n$HOME `id` 'quoted' \\ ü\n", "secret", HEAD)


def test_the_same_document_gives_the_same_bytes() -> None:
    again = msgspec.json.decode(msgspec.json.encode(DOCUMENT), type=BootDocument)
    assert boot_text(DOCUMENT) == boot_text(again)


def test_a_text_that_no_cloud_would_take_is_our_fault() -> None:
    with pytest.raises(ServerFault):
        boot_text(msgspec.structs.replace(DOCUMENT, ca_pem="x" * MAX_BYTES))


@pytest.mark.skipif(sys.platform == "win32", reason="a VM has a POSIX shell")
def test_a_shell_lays_the_document_down_unread_by_others_and_becomes_the_agent(
    tmp_path: Path,
) -> None:
    script, agent = tmp_path / "boot.sh", tmp_path / "agent"
    script.write_text(boot_text(DOCUMENT))
    agent.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    agent.chmod(0o700)
    done = subprocess.run(
        ["/bin/sh", script],
        env={
            "SHOAL_VM_DIR": str(tmp_path),
            "SHOAL_AGENT_PYTHON": str(agent),
            "PATH": "/bin:/usr/bin",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    written = tmp_path / "boot.json"
    assert done.stdout.split() == ["-I", "-m", "shoal.agent", str(written)]
    assert msgspec.json.decode(written.read_bytes(), type=BootDocument) == DOCUMENT
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
