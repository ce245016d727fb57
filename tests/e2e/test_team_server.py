"""A server for a team, on PostgreSQL: members log in, compute, and see their own workspace."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.session import Session, until
from tests.postgres import Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def test_members_of_a_team_share_a_server_on_postgresql(
    session: Session, postgres_server: Server, tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    team = dict(session.environment, SHOAL_STATE_DIR=str(session.state / "team"))
    shoal = session.python.parent / "shoal"
    with log.open("w") as told:
        server = subprocess.Popen(
            [shoal, "server", "start", "--listen", "127.0.0.1:0",
             "--database", postgres_server.new_database()],
            env=team, stdout=told, stderr=told,
        )  # fmt: skip
    try:
        until(lambda: "Shoal listens on" in log.read_text(), 150, log.read_text)
        url = log.read_text().partition("Shoal listens on ")[2].split()[0]
        token = (session.state / "team" / "token").read_text().strip()
        assert os.stat(session.state / "team" / "token").st_mode & 0o777 == 0o600
        member = dict(session.environment, SHOAL_CONFIG_DIR=str(tmp_path / "config"))
        _ask(shoal, member, "login", url, "--token", token)
        script = session.work / "team.py"
        script.write_text(
            "import shoal\n"
            "with shoal.Cluster('ours', n_workers=1, worker_cpu=1) as cluster:\n"
            "    with cluster.get_client() as client:\n"
            "        print('RESULT', client.submit(sum, [1, 2]).result())\n"
        )
        done = subprocess.run(
            [session.python, script], env=member, capture_output=True, text=True, timeout=240,
            cwd=session.work, check=False,
        )  # fmt: skip
        assert "RESULT 3" in done.stdout, done.stdout + done.stderr
        made = json.loads(
            _ask(shoal, member, "token", "create", "ada", "--workspace", "x", "--json")
        )
        ada = dict(session.environment, SHOAL_CONFIG_DIR=str(tmp_path / "ada"))
        _ask(shoal, ada, "login", url, "--token", made["secret"])
        listed = json.loads(_ask(shoal, ada, "cluster", "list", "--all", "--json"))
        assert "ours" not in json.dumps(listed)
        assert token not in log.read_text()
    finally:
        server.terminate()
        assert server.wait(20) == 0


def _ask(shoal: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [shoal, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
