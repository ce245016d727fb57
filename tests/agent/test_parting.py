"""Why a Dask process ended, in words, told apart by what was seen of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.agent.memory import Group
from shoal.agent.parting import Kills, Watched, parting
from shoal.wire.telemetry import Loss


@pytest.mark.parametrize(
    ("status", "killed_for", "words", "loss"),
    [
        (0, "", "closed by Dask", Loss.CLOSED),
        (1, "", "ended with status 1", Loss.CRASHED),
        (-11, "", "killed by signal 11", Loss.CRASHED),
        (-9, "", "killed by signal 9", Loss.CRASHED),
        (-9, "it used too much", "ended by the agent: it used too much", Loss.MEMORY),
    ],
)
def test_the_status_tells_how_it_ended(
    status: int, killed_for: str, words: str, loss: Loss
) -> None:
    told = parting(status, killed_for, Watched(), Kills(None))
    assert (told.why, told.loss) == (words, loss)


def test_what_it_said_itself_comes_first_and_one_that_retired_is_no_loss() -> None:
    watched = Watched()
    watched.retired = True
    assert parting(0, "", watched, Kills(None)).loss is Loss.RETIRED
    watched.failure = "no such module"
    assert parting(1, "", watched, Kills(None)).why == "no such module"


def test_a_kill_counts_as_the_kernels_when_the_group_had_one_meanwhile(tmp_path: Path) -> None:
    group = Group(tmp_path / "limit", tmp_path / "events")
    group.limit.write_text(str(2 << 30))
    group.events.write_text("oom_kill 3\n")
    kills, watched = Kills(group), Watched()
    watched.last_bytes = 1 << 30
    assert parting(-9, "", watched, kills).why == "killed by signal 9"
    group.events.write_text("oom_kill 4\n")
    told = parting(-9, "", watched, kills)
    assert told.loss is Loss.MEMORY
    assert "it used 1.00 GiB of 2.00 GiB when last looked at" in told.why
