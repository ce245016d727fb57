"""Which airline is late in which season? Ordinary Dask; `shoal.Cluster` is all that is new."""

import sys
import time
from pathlib import Path

import dask.dataframe as dd
import flight_delays  # a project of yours, installed editable
import seasons  # a module beside this script

import shoal


def main(name, n_workers):
    begun = time.perf_counter()
    with shoal.Cluster(name, n_workers=n_workers, wait_for_workers=True) as cluster:
        client = cluster.get_client()
        up = time.perf_counter()
        first = client.submit(sum, [1, 2, 3]).result()
        assert first == 6
        answered = time.perf_counter()
        rows, table = late_by_season()
        done = time.perf_counter()
        show(rows, table)
        show_origins(client)
        show_times(
            {"cluster up": up - begun, "first task": answered - up, "flights": done - answered}
        )


def late_by_season():
    """Dask dataframe: one partition a month, read and grouped on the workers."""
    flights = dd.from_map(flight_delays.flights_of, range(1, 13), enforce_metadata=False)
    flights["season"] = flights["month"].map(seasons.season, meta=("season", "object"))
    flights["late"] = flights.map_partitions(flight_delays.is_late, meta=("late", "float64"))
    late = flights.groupby(["carrier", "season"])["late"].mean(split_out=1)
    rows, late = dd.compute(flights.shape[0], late)
    return rows, late.unstack("season").rename(index=flight_delays.airline_names())


def show(rows, table):
    print(
        f"\n{rows:,} flights. Late by {flight_delays.LATE_MINUTES} minutes or more, in percent:\n"
    )
    worst = table.loc[table.mean(axis=1).sort_values(ascending=False).index]
    print((worst[["winter", "spring", "summer", "autumn"]] * 100).round(1).head(8).to_string())


def show_origins(client):
    """Where each worker imports things from: an environment of its own, not this one."""
    print(f"\nThis session runs in {sys.prefix} and has flight_delays from {where(flight_delays)}")
    for address, found in sorted(client.run(imported_from).items()):
        print(f"Worker {address} runs in {found['prefix']}:")
        for name in ("flight_delays", "seasons", "pandas"):
            print(f"    {name:14} {found[name]}")


def imported_from():
    import flight_delays
    import pandas
    import seasons

    modules = (flight_delays, seasons, pandas)
    return {"prefix": sys.prefix, **{it.__name__: it.__file__ for it in modules}}


def where(module):
    return Path(module.__file__).parent


def show_times(seconds):
    print("\n" + ", ".join(f"{what}: {took:.1f} s" for what, took in seconds.items()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
