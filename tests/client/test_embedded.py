"""The server of this machine: one a state directory, apart from the session that started it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import msgspec
import pytest

from shoal.client import embedded
from shoal.errors import ServerUnreachable
from shoal.wire.state_directory import ServerFile, StateDirectory, state_directory

FAKE = Path(__file__).with_name("fake_embedded.py")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the fake is started by a shell")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StateDirectory]:
    """Shoal's own environment is a script that runs the fake."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    python.chmod(0o700)
    monkeypatch.setenv("SHOAL_RUNTIME_SERVER_PYTHON", str(python))
    yield state_directory()
    embedded.stop(state_directory())


def starts(state: StateDirectory) -> list[list[str]]:
    return [line.split() for line in (state.root / "starts").read_text().splitlines()]


def test_the_first_who_asks_starts_it_and_the_next_finds_it(state: StateDirectory) -> None:
    first = embedded.ensure(state)
    assert embedded.ensure(state) == first
    assert first.token == "secret"
    assert len(starts(state)) == 1


def test_two_racing_starts_give_one_server(state: StateDirectory) -> None:
    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(embedded.ensure, [state] * 4))
    assert len(places) == 1
    assert len(starts(state)) == 1


def test_whoever_waits_for_a_start_that_takes_too_long_is_told(state: StateDirectory) -> None:
    theirs = filelock.FileLock(state.start_lock)
    with theirs, pytest.raises(ServerUnreachable, match="Another process") as told:
        embedded.ensure(state, patience_s=0.01)
    assert str(state.server_log) in told.value.hint


def test_ctrl_c_in_the_session_does_not_reach_it(state: StateDirectory) -> None:
    embedded.ensure(state)
    [[pid, group, _]] = starts(state)
    assert pid == group
    assert int(group) != os.getpgid(0)


def test_the_sessions_token_for_another_server_is_not_handed_on(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_SHOAL__TOKEN", "of a team")
    embedded.ensure(state)
    assert starts(state)[0][2] == "None"


def test_one_that_was_killed_is_replaced_though_its_file_is_there(state: StateDirectory) -> None:
    first = embedded.ensure(state)
    os.kill(int(starts(state)[0][0]), signal.SIGKILL)
    second = embedded.ensure(state)
    assert second != first
    assert len(starts(state)) == 2


def test_an_older_one_is_asked_to_stop_and_replaced(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SERVER_VERSION", "0.0.1")
    embedded.ensure(state)
    monkeypatch.delenv("FAKE_SERVER_VERSION")
    sentences: list[str] = []
    embedded.ensure(state, sentences.append)
    assert sentences[0] == "replacing the Shoal server 0.0.1 by 0.1.0"
    found = embedded.running(state)
    assert found is not None
    assert found.version == "0.1.0"


def test_a_newer_one_is_left_alone(state: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SERVER_VERSION", "9.0")
    assert embedded.ensure(state) == embedded.ensure(state)
    assert len(starts(state)) == 1


def test_one_that_cannot_start_is_told_with_its_last_words(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.server_log.write_text("of an earlier run\n")
    monkeypatch.setenv("FAKE_SERVER", "dies")
    with pytest.raises(ServerUnreachable, match="the database is from the future") as told:
        embedded.ensure(state)
    assert "of an earlier run" not in told.value.message
    assert str(state.server_log) in told.value.hint


def test_who_listens_there_now_but_is_no_server_is_not_taken_for_one(
    state: StateDirectory,
) -> None:
    first = embedded.ensure(state)
    found = embedded.read(state)
    assert found is not None
    (state.root / "wrong").write_text("another secret")
    other = msgspec.structs.replace(found, token_file=str(state.root / "wrong"))
    assert embedded.info(other) is None
    assert embedded.place(found) == first


def test_stopping_waits_until_it_is_gone_and_none_is_none(state: StateDirectory) -> None:
    embedded.ensure(state)
    assert embedded.stop(state) is not None
    assert not state.server_file.exists()
    assert embedded.stop(state) is None


def test_a_server_that_lacks_a_cloud_s_client_is_replaced(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOAL_RUNTIME_SERVER_PYTHON", raising=False)
    found = ServerFile("http://127.0.0.1:1", 1, "1.0", "", clouds=("aws",))
    assert embedded.lacks(state, found) == ()
    embedded.need(state, "gcp")
    embedded.need(state, "aws")
    assert embedded.needs(state) == ("aws", "gcp")
    assert embedded.lacks(state, found) == ("gcp",)
    monkeypatch.setenv("SHOAL_RUNTIME_SERVER_PYTHON", "/opt/shoal/bin/python")
    assert embedded.lacks(state, found) == ()
