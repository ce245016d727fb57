"""How what was found can travel."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.errors import InvalidRequest
from shoal.software.classify import (
    Conda,
    Editable,
    Filters,
    Index,
    Item,
    Modules,
    NotPortable,
    Repacked,
    classify,
)
from shoal.software.scan import scan
from tests.software.made import Installed, editable, project


def classified(site: Path, work: Path, filters: Filters | None = None) -> tuple[Item, ...]:
    return classify(scan(work, [str(site)], site.parents[2]), filters)


def names(items: tuple[Item, ...]) -> set[str]:
    return {it.name for it in items if not isinstance(it, Modules)}


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (None, Index),
        ({"url": "file:///gone/thing.whl", "archive_info": {}}, Repacked),
        ({"url": "https://host/thing.git", "vcs_info": {"vcs": "git"}}, Repacked),
        ({"url": "file:///gone/thing", "dir_info": {}}, Repacked),
        ({"url": "file:///gone/thing", "dir_info": {"editable": True}}, NotPortable),
    ],
)
def test_the_origin_decides(
    site: Path, work: Path, url: dict[str, object] | None, kind: type[Item]
) -> None:
    Installed("thing", direct_url=url).into(site)
    [item] = classified(site, work)
    assert type(item) is kind


def test_an_editable_project_is_built_where_it_lies(site: Path, work: Path) -> None:
    editable(project(work, "mine"), site)
    [item] = [it for it in classified(site, work) if isinstance(it, Editable)]
    assert item.source == work / "mine"


def test_installers_stay(site: Path, work: Path) -> None:
    for name in ("pip", "wheel", "numpy"):
        Installed(name).into(site)
    assert names(classified(site, work)) == {"numpy"}


def test_what_conda_installed_comes_from_conda_wherever_it_was_built(
    site: Path, work: Path
) -> None:
    meta = site.parents[2] / "conda-meta"
    meta.mkdir()
    for stem in ("numpy-1.0-py311_0", "openssl-3.0-h1_0", "libblas-3.9-h2_0"):
        (meta / f"{stem}.json").touch()
    url = {"url": "file:///home/conda/feedstock_root/work", "dir_info": {}}
    Installed("numpy", installer="conda", direct_url=url).into(site)
    items = classified(site, work)
    assert all(isinstance(it, Conda) for it in items)
    assert [it.name for it in items if isinstance(it, Conda)] == ["libblas", "numpy", "openssl"]


def test_ignored_ones_stay_whatever_their_spelling(site: Path, work: Path) -> None:
    Installed("Big_Thing").into(site)
    (work / "notes.py").touch()
    (work / "helpers.py").touch()
    [left] = classified(site, work, Filters(ignore=("big.thing", "notes")))
    assert isinstance(left, Modules)
    assert [it.name for it in left.modules] == ["helpers"]


def test_only_takes_what_the_named_ones_need_and_dask(site: Path, work: Path) -> None:
    Installed("top", requires=("middle[fast]", "absent; python_version < '3'")).into(site)
    Installed("middle", requires=("extra; extra == 'fast'", "slow; extra == 'slow'")).into(site)
    Installed("dask", requires=("toolz",)).into(site)
    for name in ("extra", "slow", "toolz", "unrelated"):
        Installed(name).into(site)
    chosen = names(classified(site, work, Filters(only=("Top",))))
    assert chosen == {"top", "middle", "extra", "dask", "toolz"}


def test_dask_cannot_be_ignored(site: Path, work: Path) -> None:
    with pytest.raises(InvalidRequest, match="does not run without distributed"):
        classified(site, work, Filters(ignore=("distributed",)))
