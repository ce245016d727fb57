"""`shoal cluster ssh` on this machine."""

from __future__ import annotations

import pytest

from tests.e2e.session import Session

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def test_a_command_runs_in_the_vms_directory_with_its_environment(session: Session) -> None:
    session.run(
        """
        import shoal
        if __name__ == "__main__":
            shoal.Cluster("reached", n_workers=1, worker_cpu=1, shutdown_on_close=False,
                          environ={"REEF": "north"}, wait_for_workers=True)
        """,
        timeout_s=240,
    )
    code = "import os, sys, dask; print(os.getcwd(), sys.prefix, os.environ['REEF'])"
    told = session.shoal("cluster", "ssh", "reached", "worker", "--", "python", "-c", code).stdout
    where, prefix, reef = told.split()
    assert where.startswith(str(session.state))
    assert where.endswith("-2")
    assert prefix.startswith(where)
    assert reef == "north"
    failing = session.shoal("cluster", "ssh", "reached", "--", "sh", "-c", "exit 7", check=False)
    assert failing.returncode == 7
    assert "cd " in session.shoal("cluster", "ssh", "reached", "--print").stdout
    missing = session.shoal("cluster", "ssh", "reached", "9", check=False)
    assert (missing.returncode, "has no VM '9' now" in missing.stderr) == (1, True)
    session.shoal("cluster", "stop", "reached")
    session.nothing_left()
