from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shoal.core.boot import HOME, MAX_BYTES, bare_boot_text, boot_text
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


@pytest.mark.skipif(sys.platform == "win32", reason="a VM has a POSIX shell")
@pytest.mark.parametrize(("crashes", "ends"), [(0, False), (2, False), (9, True)])
def test_a_crashed_agent_lives_again_and_one_that_does_not_stay_ends_its_vm(
    tmp_path: Path, crashes: int, ends: bool
) -> None:
    document = msgspec.structs.replace(DOCUMENT, cloud="gcp")
    text = bare_boot_text(document, b"pass").replace(HOME, str(tmp_path))
    text = text.replace("/run/systemd/system", str(tmp_path / "no-systemd"))
    programs = {
        "python3": f"echo >> {tmp_path}/starts; [ $(wc -l < {tmp_path}/starts) -gt {crashes} ]",
        "sleep": "true",
        "setsid": 'exec "$@"',
        "systemctl": f'echo "$@" > {tmp_path}/ended',
    }
    for name, program in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / name).chmod(0o700)
    path = {"PATH": f"{tmp_path}:/bin:/usr/bin"}
    subprocess.run(["/bin/sh", "-c", f"{text}\nwait"], env=path, check=True)
    starts = (tmp_path / "starts").read_text().count("\n")
    assert starts == min(crashes + 1, 5)
    assert (tmp_path / "ended").exists() is ends
