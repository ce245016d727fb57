"""Keyword arguments become a specification, or a clear error before anything exists."""

from __future__ import annotations

from datetime import timedelta

import dask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.client import arguments, environment
from shoal.client.arguments import Asked, Options
from shoal.errors import InvalidRequest
from shoal.wire.specs import Cloud, Hardware, Range, SpotPolicy, Workers

GIB = 1 << 30


def asked(name: str | None = None, **options: object) -> Asked:
    return arguments.asked(name, options, local_cpus=8)


@pytest.mark.parametrize(
    ("n_workers", "expected"),
    [
        (3, Workers(3, 3, 3)),
        (0, Workers(0, 0, 0)),
        ([2, 10], Workers(2, 2, 10)),
        ((2, 5, 10), Workers(2, 5, 10)),
        (None, Workers(1, 4, 8)),
    ],
)
def test_n_workers_is_a_number_or_two_or_three(n_workers: object, expected: Workers) -> None:
    assert asked(n_workers=n_workers).spec.workers == expected


def test_off_this_machine_four_to_twenty_workers_are_asked_for() -> None:
    assert asked(cloud="gcp").spec.workers == Workers(4, 4, 20)


def test_sizes_that_nothing_says_are_left_to_the_server() -> None:
    assert asked().spec.cloud is Cloud.LOCAL
    assert asked().spec.worker == Hardware()


def test_a_single_memory_value_matches_within_a_tenth_and_a_pair_as_it_is() -> None:
    one = asked(worker_memory="10 GiB").spec.worker.memory_bytes
    two = asked(worker_memory=["10 GiB", "20 GiB"]).spec.worker.memory_bytes
    assert one == Range(9 * GIB, 11 * GIB)
    assert two == Range(10 * GIB, 20 * GIB)


@pytest.mark.parametrize("given", ["20 minutes", 1200, 1200.0, timedelta(minutes=20), "1200"])
def test_a_duration_may_be_written_in_many_ways(given: object) -> None:
    assert asked(idle_timeout=given).spec.stop.idle_timeout_s == 1200


def test_none_switches_a_timeout_off() -> None:
    stop = asked(idle_timeout=None, no_client_timeout=None).spec.stop
    assert stop.idle_timeout_s is None
    assert stop.no_client_timeout_s is None


@pytest.mark.parametrize(
    ("wait", "expected"),
    [(True, 10), (False, 0), (4, 4), (0.3, 3), (0.31, 4), (1.0, 10), (None, 3)],
)
def test_wait_for_workers_is_a_bool_a_count_or_a_fraction(wait: object, expected: int) -> None:
    assert asked(n_workers=10, wait_for_workers=wait).wait_for == expected


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n_worker": 3}, "no argument 'n_worker'.*n_workers"),
        ({"n_workers": -1}, "n_workers=-1"),
        ({"n_workers": "3"}, "n_workers: '3'"),
        ({"n_workers": True}, "n_workers: True"),
        ({"n_workers": [5, 2]}, "min ≤ start ≤ max"),
        ({"n_workers": [1, 2, 3, 4]}, "4 values"),
        ({"n_workers": []}, "0 values"),
        ({"cloud": "gpc"}, "Did you mean gcp"),
        ({"spot_policy": "spott"}, "Did you mean spot"),
        ({"spot_policy": True}, "spot_policy=True"),
        ({"worker_cpu": 0}, "worker_cpu=0"),
        ({"worker_cpu": [8, 2]}, "smaller number first"),
        ({"worker_cpu": 2.5}, "not a whole number"),
        ({"worker_memory": "lots"}, "worker_memory='lots' is not a size"),
        ({"worker_memory": 16}, '"16 GiB" may be meant'),
        ({"worker_memory": ["2 GiB", "1 GiB"]}, "smaller size comes first"),
        ({"scheduler_memory": "1 PiB"}, "must be between"),
        ({"worker_vm_types": ["m7i.large"], "worker_cpu": 4}, "worker_vm_types together with"),
        (
            {"cloud": "aws", "worker_vm_types": "m7g.large", "scheduler_vm_types": "m7i.large"},
            "are of two kinds of processor",
        ),
        (
            {"cloud": "aws", "worker_vm_types": ["m7i.large", "m7g.large"]},
            "mixes ARM .m7g.large. and x86 .m7i.large.",
        ),
        ({"cloud": "azure", "arm": True, "worker_vm_types": "Standard_D4s_v5"}, "is x86"),
        ({"worker_vm_types": [3]}, "not a list of names"),
        ({"worker_gpu": 99}, "between 0 and 16"),
        ({"worker_gpu": False, "worker_gpu_type": "T4"}, "worker_gpu=False with"),
        ({"worker_disk_size": "1 GiB"}, "between 10 GiB"),
        ({"zone": "a", "allow_cross_zone": True}, "one zone or several"),
        ({"software": "pylock.toml", "package_sync_ignore": ["x"]}, "together with a package_sync"),
        ({"software": "prod", "package_sync_strict": True}, "together with a package_sync"),
        ({"package_sync_ignore": ["x"], "package_sync_only": ["x"]}, "x: in package_sync_ignore"),
        ({"environ": {"A=B": "1"}}, "not the name of a variable"),
        ({"environ": {"A": None}}, "is NoneType, not text"),
        ({"environ": {"A": b"x"}}, "is bytes, not text"),
        ({"cloud": "local", "worker_disk_size": "10 TiB"}, "this machine's own disk"),
        ({"worker_options": {"f": object()}}, r"worker_options\['f'\] cannot be sent"),
        ({"worker_class": "Worker"}, "not the path of a class"),
        ({"credentials": "remote"}, "credentials='remote'"),
        ({"tags": {"shoal-x": "1"}}, "Shoal's own"),
        ({"tags": {"a b": "1"}}, "tags: 'a b'"),
        ({"idle_timeout": "soon"}, "idle_timeout='soon' is not a duration"),
        ({"idle_timeout": 0}, "more than nothing"),
        ({"timeout": timedelta(seconds=-3)}, "more than nothing"),
        ({"n_workers": 2, "wait_for_workers": 3}, "never be more than 2"),
        ({"wait_for_workers": 1.5}, "wait_for_workers=1.5"),
        ({"allow_ingress_from": "nobody"}, "CIDR"),
        ({"shutdown_on_close": "yes"}, "True or False"),
        ({"arm": 1}, "True or False"),
        ({"region": 7}, "region=7"),
    ],
)
def test_what_cannot_be_is_refused_in_words(options: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidRequest, match=f"(?s){told}"):
        asked(**options)


@pytest.mark.parametrize(
    ("name", "near"),
    [("My Cluster", "my-cluster"), ("9lives", "my-cluster"), ("a-", "'a'"), ("x" * 80, "x" * 63)],
)
def test_a_bad_name_is_refused_with_the_nearest_good_one(name: str, near: str) -> None:
    with pytest.raises(InvalidRequest, match=near):
        asked(name)


def test_dask_config_sets_defaults_and_a_keyword_wins() -> None:
    with dask.config.set({"shoal.n-workers": [2, 6], "shoal.tags": {"team": "a"}}):
        assert asked().spec.workers == Workers(2, 2, 6)
        assert asked().spec.tags == {"team": "a"}
        assert asked(n_workers=1).spec.workers == Workers(1, 1, 1)
        assert asked(n_workers=None).spec.workers == Workers(1, 4, 8)


def test_a_wrong_value_in_the_configuration_is_named_like_a_keyword() -> None:
    with (
        dask.config.set({"shoal.idle-timeout": "soon"}),
        pytest.raises(InvalidRequest, match="idle_timeout='soon'"),
    ):
        asked()


def test_the_spot_policy_and_ingress_are_carried_over() -> None:
    spec = asked(spot_policy="spot_with_fallback", allow_ingress_from="10.1.2.3/16").spec
    assert spec.spot_policy is SpotPolicy.SPOT_WITH_FALLBACK
    assert spec.allow_ingress_from == "10.1.0.0/16"


def test_a_worker_class_of_this_session_alone_is_refused() -> None:
    class Mine:
        pass

    with pytest.raises(InvalidRequest, match="exists in this session only"):
        asked(worker_class=Mine)
    assert asked(worker_class=Range).spec.dask.worker_class == "shoal.wire.specs.Range"


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


@given(st.dictionaries(st.sampled_from(sorted(Options.__annotations__)), ANYTHING, max_size=4))
def test_whatever_is_given_the_answer_is_a_specification_or_a_refusal(
    options: dict[str, object],
) -> None:
    try:
        spec = asked(**options).spec
    except InvalidRequest:
        return
    assert 0 <= spec.workers.minimum <= spec.workers.wanted <= spec.workers.maximum


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"cloud": "local"}, None),
        ({"cloud": "gcp"}, "x86_64-unknown-linux-gnu"),
        ({"cloud": "gcp", "arm": True}, "aarch64-unknown-linux-gnu"),
        ({"cloud": "aws", "worker_vm_types": ["m7g.large"]}, "aarch64-unknown-linux-gnu"),
        ({"cloud": "azure", "worker_vm_types": ["D4s_v5"]}, "x86_64-unknown-linux-gnu"),
    ],
)
def test_an_environment_is_for_what_its_vms_run_wherever_the_session_is(
    options: dict[str, object], target: str | None
) -> None:
    spec = asked(**options).spec
    found = environment.target_of(spec)
    assert (found.platform if found else None) == target
    assert spec.worker.arm == spec.scheduler.arm


@pytest.mark.parametrize(
    ("options", "configured", "seconds"),
    [
        ({}, None, 120.0),
        ({"shutdown_on_close": True}, None, 120.0),
        ({"shutdown_on_close": False}, None, None),
        ({"shutdown_on_close": False, "no_client_timeout": "5 minutes"}, None, 300.0),
        ({"shutdown_on_close": False, "no_client_timeout": "2 minutes"}, None, 120.0),
        ({"shutdown_on_close": False}, "1 hour", 3600.0),
    ],
)
def test_a_detached_cluster_needs_no_client_unless_it_was_said(
    options: dict[str, object], configured: str | None, seconds: float | None
) -> None:
    settings = {"shoal.no-client-timeout": configured} if configured else {}
    with dask.config.set(settings):
        rules = arguments.asked(None, options, local_cpus=2).spec.stop
    assert rules.no_client_timeout_s == seconds


@pytest.mark.parametrize(
    ("cloud", "instead"), [("sim", 'cloud="local"'), ("watched", "shoal.watch(client)")]
)
def test_clouds_that_no_cluster_can_be_in_are_refused_in_words(cloud: str, instead: str) -> None:
    with pytest.raises(InvalidRequest) as told:
        asked(cloud=cloud)
    assert instead in (told.value.hint or "")
    assert "setup" not in str(told.value)
