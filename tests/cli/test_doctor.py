"""What `shoal doctor` tells of the logins that a session's clusters are forwarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.cli.doctor import identities
from shoal.cli.findings import Grade
from shoal.client.credentials import evidence
from shoal.client.credentials.found import Place


def test_without_a_login_none_is_forwarded(tmp_path: Path) -> None:
    [found] = identities(Place({"HOME": str(tmp_path)}, lambda name: ""))
    assert found.grade is Grade.GOOD
    assert "no login" in found.found


def test_a_login_that_cannot_be_read_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "of-nobody")
    aws = [it for it in identities(evidence.here()) if it.check == "credentials, aws"]
    assert [it.grade for it in aws] == [Grade.NOTE]
    assert "of-nobody" in aws[0].found
    assert "AWS_PROFILE" in aws[0].fix
