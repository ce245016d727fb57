"""Which machines `shoal doctor --n-workers …` holds quotas against."""

from __future__ import annotations

import pytest
from running import Shoal

from shoal.cli import asked_cluster
from shoal.errors import NotPossible
from shoal.wire.specs import Cloud, Role


def test_it_is_what_such_a_cluster_would_be_made_of() -> None:
    asked = {"n_workers": 100, "worker_cpu": 8, "spot_policy": "spot"}
    head, workers = asked_cluster.parts(Cloud.GCP, "us-east1", asked)
    assert (head.role, head.most, head.offers[0].spot) == (Role.SCHEDULER, 1, False)
    assert (workers.most, workers.offers[0].vcpu, workers.offers[0].spot) == (100, 8, True)
    assert f"100 × {workers.offers[0].machine_type} (spot)" in asked_cluster.described(
        (head, workers)
    )


def test_gpus_count_too() -> None:
    asked = {"n_workers": 2, "worker_gpu_type": "t4", "spot_policy": "on-demand"}
    _, workers = asked_cluster.parts(Cloud.GCP, "us-east1", asked)
    assert workers.offers[0].gpu == 1
    assert workers.offers[0].machine_type.endswith("+1xt4")


def test_a_cluster_that_nothing_fits_is_told_as_the_server_would() -> None:
    with pytest.raises(NotPossible, match="No machine fits the worker"):
        asked_cluster.parts(Cloud.GCP, "us-east1", {"n_workers": 1, "worker_cpu": 7})


def test_this_machine_has_no_quotas(shoal: Shoal) -> None:
    refused = shoal("doctor", "local", "--n-workers", "9")
    assert refused.status != 0
    assert "shoal doctor gcp --n-workers 9" in refused.err
