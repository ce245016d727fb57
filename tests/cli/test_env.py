"""`shoal env`: kept under names, listed, shown, forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from fake_server import NOW, Call, FakeServer, view
from running import Shoal

from shoal.errors import NotFound
from shoal.software.agreement import in_this_session
from shoal.software.targets import here
from shoal.wire import endpoints
from shoal.wire.endpoints import EnvironmentList, Nothing
from shoal.wire.environments import Manifest, PackageSummary
from shoal.wire.ids import EnvironmentId, UserName
from shoal.wire.requests import SaveEnvironment
from shoal.wire.views import EnvironmentNeeds, EnvironmentView

KEPT = EnvironmentView(
    "pipelines", EnvironmentId("env-1"), 40, 3 << 20, "3.11.7", here().platform, NOW,
    UserName("ada"), None, 5, 1,
)  # fmt: skip
MANIFEST = Manifest(
    EnvironmentId("env-1"), "", "3.11.7", "x", packages=(PackageSummary("dask", "1", "index"),)
)


@pytest.fixture(autouse=True)
def _kept(server: FakeServer) -> None:
    server.on(endpoints.ENVIRONMENTS, lambda call: EnvironmentList((KEPT,)))
    server.on(endpoints.FORGET_ENVIRONMENT, lambda call: Nothing())
    server.on(endpoints.SAVE_ENVIRONMENT, lambda call: KEPT)


def test_kept_ones_are_listed_with_their_use(shoal: Shoal) -> None:
    told = shoal("env", "list").out
    for word in ("pipelines", "env-1", "40", "3.0 MiB", here().platform, "never", "5, 1 running"):
        assert word in told
    [read] = json.loads(shoal("env", "list", "--json").out)["environments"]
    assert read["name"] == "pipelines"


def test_with_none_the_next_step_is_told(shoal: Shoal, server: FakeServer) -> None:
    server.on(endpoints.ENVIRONMENTS, lambda call: EnvironmentList(()))
    assert "shoal env save NAME" in shoal("env", "list").err


def test_a_name_is_shown_and_else_a_cluster_s(shoal: Shoal, server: FakeServer) -> None:
    def known(call: Call) -> Manifest:
        if call.path["environment"] in ("pipelines", "env-0"):
            return MANIFEST
        raise NotFound("no")

    server.on(endpoints.ENVIRONMENT, known)
    server.on(endpoints.CLUSTER, lambda call: view())
    assert "dask" in shoal("env", "show", "pipelines").out
    assert not server.asked(endpoints.CLUSTER)
    assert "dask" in shoal("env", "show", "mine").out
    assert server.asked(endpoints.CLUSTER)
    assert shoal("env", "show", "env-9").status == 1


def test_a_name_is_forgotten(shoal: Shoal, server: FakeServer) -> None:
    assert shoal("env", "forget", "pipelines").status == 0
    assert server.asked(endpoints.FORGET_ENVIRONMENT)[0].path == {"name": "pipelines"}


def lock(directory: Path, **versions: str) -> Path:
    made = directory / "pylock.toml"
    packages = (
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\n'
        f'wheels = [{{ url = "https://h/{name}.whl", hashes = {{ sha256 = "00" }} }}]\n\n'
        for name, version in versions.items()
    )
    made.write_text('lock-version = "1.0"\n\n' + "".join(packages))
    return made


def test_a_file_is_kept_for_other_machines(
    shoal: Shoal, server: FakeServer, tmp_path: Path
) -> None:
    ours = in_this_session()
    file = lock(tmp_path, dask=ours["dask"], distributed=ours["distributed"])

    def registered(call: Call) -> EnvironmentNeeds:
        manifest = msgspec.json.decode(call.body, type=Manifest)
        assert manifest.platform == "aarch64-unknown-linux-gnu"
        return EnvironmentNeeds(manifest.id, ())

    server.on(endpoints.PUT_ENVIRONMENT, registered)
    ran = shoal("env", "save", "pipelines", "--software", str(file), "--for", "linux-aarch64")
    assert ran.status == 0, ran.err
    assert ran.out == 'shoal.Cluster(software="pipelines")\n'
    [saved] = server.asked(endpoints.SAVE_ENVIRONMENT)
    [put] = server.asked(endpoints.PUT_ENVIRONMENT)
    assert saved.path == {"name": "pipelines"}
    body = msgspec.json.decode(saved.body, type=SaveEnvironment)
    assert body.environment == put.path["environment"]


def test_what_a_file_has_is_shown_with_what_differs(shoal: Shoal, tmp_path: Path) -> None:
    ours = in_this_session()
    major = ours["tornado"].split(".")[0]
    file = lock(tmp_path, dask=ours["dask"], distributed=ours["distributed"], tornado=f"{major}.99")
    ran = shoal("env", "scan", "--software", str(file))
    assert f"tornado      {major}.99" in ran.out
    assert f"note: tornado: {major}.99 there and {ours['tornado']} in this session" in ran.err
