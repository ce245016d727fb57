"""`shoal setup` as a person meets it: on a terminal, with answers that are wrong, or Ctrl+C."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import in_a_process
from terminal import CTRL_C, CTRL_D, Screen, Typed, on_a_terminal
from tests.doubles.aws.knobs import Knobs
from tests.doubles.aws.server import AwsDouble
from tests.doubles.azure.arm import Arm
from tests.doubles.azure.login import login as azure_login
from tests.doubles.azure.server import AzureDouble
from tests.doubles.gcp.compute import Compute
from tests.doubles.gcp.compute import Knobs as Slow
from tests.doubles.gcp.login import login
from tests.doubles.gcp.server import GcpDouble

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.name != "posix", reason="a terminal is a pty"),
]

MAKE = "[y/N]: "


class Person:
    """Of one cloud: logged in to its double, with a state directory of their own. Where the login
    does not say enough, `answers` are what is asked and what is answered."""

    def __init__(
        self,
        cloud: str,
        root: Path,
        environment: dict[str, str],
        left: Callable[[], Sequence[object]],
        *,
        options: Sequence[str] = (),
        answers: Sequence[Typed],
        wrong: tuple[str, str, str],
    ) -> None:
        self.answers, self.wrong, self.left = list(answers), wrong, left
        self._cloud, self._options = cloud, options
        self.environment = {
            **{name: it for name, it in os.environ.items() if not name.startswith(_LOGINS)},
            "SHOAL_STATE_DIR": str(root / "state"),
            "SHOAL_CONFIG_DIR": str(root / "config"),
            "SHOAL_RUNTIME_SERVER_PYTHON": sys.executable,
            **environment,
        }

    def sets_up(self, *typed: Typed) -> Screen:
        """The options are for the double's sake."""
        return on_a_terminal(("setup", self._cloud, *self._options), self.environment, typed)

    def takes_it_away(self, *typed: Typed) -> Screen:
        line = ("setup", self._cloud, "--remove", *self._options)
        return on_a_terminal(line, self.environment, typed)

    def ends(self) -> None:
        in_a_process(("server", "stop"), self.environment)


_LOGINS = ("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_")


@contextmanager
def google(root: Path, compute: Compute | None = None) -> Iterator[Person]:
    compute = compute or Compute()
    with GcpDouble(compute) as double:
        (root / "login.json").write_text(json.dumps(login(double.account.endpoint)))
        variables = {
            "CLOUDSDK_CONFIG": str(root),
            "GCE_METADATA_HOST": "127.0.0.1:1",
            "GOOGLE_APPLICATION_CREDENTIALS": str(root / "login.json"),
        }
        yield Person(
            "gcp",
            root,
            variables,
            compute.left,
            options=("--set", f"endpoint={double.account.endpoint}"),
            answers=[("Region: ", "us-east1\r")],
            wrong=("Region: ", "us-eastt1\r", "There is no 'us-eastt1'. There are: us-east1"),
        )


@contextmanager
def amazon(root: Path) -> Iterator[Person]:
    with AwsDouble(Knobs(regions=("us-east-1",)), prepared=False) as double:
        endpoint, mine = double.account.endpoint, [{"Name": "tag-key", "Values": ["shoal"]}]
        ec2 = double.session.client("ec2", "us-east-1", endpoint_url=endpoint)
        yield Person(
            "aws",
            root,
            {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "of-the-double",
                "AWS_SECRET_ACCESS_KEY": "not-to-be-seen",
                "AWS_CONFIG_FILE": str(root / "none"),
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            lambda: ec2.describe_vpcs(Filters=mine)["Vpcs"],
            answers=[("Region: ", "us-east-1\r")],
            wrong=("Region: ", "mars\r", "There is no 'mars'."),
        )


@contextmanager
def microsoft(root: Path) -> Iterator[Person]:
    with AzureDouble(Arm(), root) as double:
        yield Person(
            "azure",
            root,
            azure_login(root, default=False),
            lambda: [*double.arm.resources, *double.arm.groups],
            options=("--set", f"endpoint={double.account.endpoint}"),
            answers=[("Subscription: ", "ours\r"), ("Region: ", "eastus\r")],
            wrong=("Subscription: ", "theirs\r", "There is no 'theirs'. There are: ours"),
        )


CLOUDS = {"gcp": google, "aws": amazon, "azure": microsoft}


@pytest.fixture(params=CLOUDS)
def person(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Person]:
    with CLOUDS[request.param](tmp_path) as made:
        yield made
        made.ends()


def test_a_person_is_asked_told_and_obeyed(person: Person) -> None:
    where, wrong, told = person.wrong
    first, _ = person.answers[0]
    for typed in ([(first, CTRL_C)], [*person.answers, (MAKE, CTRL_D)]):
        left = person.sets_up(*typed)
        assert left.status == 130, left.text
        assert left.text.rstrip().endswith("Interrupted.")
        assert "Traceback" not in left.text
    refused = person.sets_up((where, wrong), *person.answers, (MAKE, "n\r"))
    assert refused.status == 1
    assert told in refused.text
    assert refused.text.rstrip().endswith("Nothing was done.")
    assert person.left() == []
    made = person.sets_up(*person.answers, (MAKE, "y\r"))
    assert made.status == 0, made.text
    assert "Clusters can go to" in made.text
    assert person.left() != []
    kept = person.takes_it_away((MAKE, CTRL_C))
    assert kept.status == 130
    assert person.left() != []
    gone = person.takes_it_away((MAKE, "y\r"))
    assert gone.status == 0, gone.text
    assert person.left() == []


def test_ctrl_c_while_it_is_made_says_how_to_go_on_and_how_to_take_it_away(tmp_path: Path) -> None:
    compute = Compute(Slow(slow_polls=1_000_000))  # an operation that is never over

    def once_it_is_begun() -> str:
        while "networks.insert" not in compute.calls:
            time.sleep(0.01)
        return CTRL_C

    with google(tmp_path, compute) as ann:
        seen = ann.sets_up(*ann.answers, (MAKE, "y\r"), ("y\r\n", once_it_is_begun))
        assert seen.status == 130, seen.text
        assert "Traceback" not in seen.text
        assert "Or take it away: shoal setup gcp --remove" in seen.text
        compute.knobs.slow_polls = 0
        for name in list(compute._polls):
            compute._polls[name] = 0
        gone = ann.takes_it_away(*ann.answers, (MAKE, "y\r"))
        assert gone.status == 0, gone.text
        assert compute.left() == []
        ann.ends()
