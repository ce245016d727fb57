"""Which airline is late in which season? Ordinary Dask; `shoal.Cluster` is all that is new."""

import sys
import time

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
    """Where things are imported from: each worker has an environment of its own."""
    print("\nflight_delays (editable) and seasons (a loose module) are imported from")
    print(f"  this session  {flight_delays.__file__}\n{'':16}{seasons.__file__}")
    for number, found in enumerate(client.run(imported_from).values(), start=1):
        print(f"  worker {number}, in its own {found['prefix']}")
        for name in ("flight_delays", "seasons", "pandas"):
            print(f"{'':16}…{found[name].removeprefix(found['prefix'])}")


def imported_from():
    import pandas

    modules = (flight_delays, seasons, pandas)
    return {"prefix": sys.prefix, **{it.__name__: it.__file__ for it in modules}}


def show_times(seconds):
    print("\n" + ", ".join(f"{what}: {took:.1f} s" for what, took in seconds.items()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
