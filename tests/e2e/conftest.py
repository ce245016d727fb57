from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.session import Session, sessions


@pytest.fixture(scope="session")
def the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from sessions(tmp_path_factory.mktemp("user"))


@pytest.fixture
def session(the_session: Session) -> Iterator[Session]:
    """The user's session; after each test nothing is left of its clusters."""
    yield the_session
    listed = the_session.shoal("cluster", "list", "--json", check=False)
    assert listed.returncode == 0, listed.stderr
    the_session.nothing_left()
