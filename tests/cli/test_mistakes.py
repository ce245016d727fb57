"""What a person did wrong is said in a line with a next step, never as a traceback: real runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shoal.cli import mistakes
from shoal.errors import InvalidRequest


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SHOAL_", "DASK_"))}
    return subprocess.run(
        [sys.executable, *command], env=kept | environment, capture_output=True, text=True
    )


SHOAL = ("-c", "from shoal.cli.main import main; main()")
SERVER = ("-m", "shoal.server")


def said(ran: subprocess.CompletedProcess[str], status: int) -> str:
    assert ran.returncode == status, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Error: " in ran.stderr
    assert len(ran.stderr.strip().splitlines()) <= 3, ran.stderr
    assert ran.stdout == ""
    return ran.stderr


def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "state")
    told = said(run(*SHOAL, "server", "status", SHOAL_STATE_DIR=place), 2)
    assert f"{place} cannot be made: Not a directory." in told
    assert "SHOAL_STATE_DIR" in told.splitlines()[1]


@pytest.mark.long
def test_the_servers_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = said(run(*SERVER, "--state-dir", str(tmp_path / "file" / "state")), 1)
    assert "Not a directory" in told


@pytest.mark.long
def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("not PEM")
    given = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "cert.pem"))
    state = {"SHOAL_STATE_DIR": str(tmp_path / "state")}
    for command in ((*SHOAL, "server", "start"), SERVER):
        told = said(run(*command, "--listen", "127.0.0.1:0", *given, **state), 2)
        assert "cert.pem cannot be used" in told
        assert "Give PEM files" in told


@pytest.mark.long
@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--max-workers", "abc", "--max-workers cannot be 'abc'"),
        ("--log-days", "0", "--log-days cannot be '0'"),
        ("--idle-exit-s", "-1", "--idle-exit-s cannot be '-1'"),
        ("--seen-as", "my house", "is not a network"),
        ("--otlp-endpoint", "collector:4318", "is not the address of an HTTP server"),
        ("--listen", "8780", "Give HOST:PORT"),
    ],
)
def test_a_setting_that_cannot_be(tmp_path: Path, flag: str, value: str, words: str) -> None:
    assert words in said(run(*SERVER, "--state-dir", str(tmp_path), f"{flag}={value}"), 2)
    assert [it.name for it in tmp_path.iterdir()] == []  # before anything exists


@pytest.mark.long
def test_a_variable_that_cannot_be_names_itself(tmp_path: Path) -> None:
    told = said(run(*SERVER, "--state-dir", str(tmp_path), SHOAL_SERVER_MAX_WORKERS="many"), 2)
    assert "--max-workers cannot be 'many'" in told
    assert "SHOAL_SERVER_MAX_WORKERS" in told


@pytest.mark.long
def test_a_malformed_configuration_of_dask(tmp_path: Path) -> None:
    (tmp_path / "dask.yaml").write_text("distributed: [unclosed\n")
    state = str(tmp_path / "state")
    told = said(run(*SHOAL, "cluster", "list", DASK_CONFIG=str(tmp_path), SHOAL_STATE_DIR=state), 2)
    assert "dask.yaml" in told


def test_our_own_bugs_still_show_where_they_are() -> None:
    assert mistakes.in_words(ValueError("a bug")) is None
    full = mistakes.in_words(OSError(28, "No space left on device", "/state/x"))
    assert full is not None
    assert (full.message, full.hint[:4]) == ("/state/x: No space left on device.", "Free")
    yaml = mistakes.in_words(ValueError("A dask config file at 'x.yaml' is malformed"))
    assert isinstance(yaml, InvalidRequest)
