"""Log lines: stored once, found, bounded; and apart from the facts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from shoal.errors import StoreFault
from shoal.store import logs
from shoal.store.database import Database
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.reports import LogChunk
from shoal.wire.views import LogLine
from tests.store.asking import ask, ask_samples
from tests.store.samples import NOW, later

CLUSTER = ClusterId("c-logs")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def a_chunk(seq: int, said: str, *, instance: str = "shoal-c-1", process: str = "w") -> LogChunk:
    return LogChunk(seq, LogLine(later(seq), InstanceId(instance), process, said))


def stored(database: Database, *chunks: LogChunk, head_started_at: datetime = NOW) -> None:
    ask_samples(database, logs.append, CLUSTER, chunks, head_started_at)


def texts(database: Database, **wanted: object) -> list[str]:
    return [it.text for it in ask_samples(database, logs.read, CLUSTER, **wanted).lines]


def test_a_line_is_stored_once_however_often_it_is_told(database: Database) -> None:
    stored(database, a_chunk(1, "one"), a_chunk(2, "two"))
    stored(database, a_chunk(2, "two"), a_chunk(3, "three"))
    assert texts(database) == ["one", "two", "three"]


def test_a_head_that_began_anew_counts_anew(database: Database) -> None:
    stored(database, a_chunk(1, "before"))
    stored(database, a_chunk(1, "after"), head_started_at=later(60))
    assert texts(database) == ["before", "after"]


def test_pages_follow_the_cursor_and_end(database: Database) -> None:
    stored(database, *(a_chunk(n, f"line {n}") for n in range(10)))
    cursor, seen = 0, []
    while True:
        page = ask_samples(database, logs.read, CLUSTER, cursor=cursor, limit=4)
        if not page.lines:
            break
        cursor = page.next_cursor
        seen += [it.text for it in page.lines]
    assert seen == [f"line {n}" for n in range(10)]
    assert page.next_cursor == cursor


def test_lines_are_found_letter_for_letter(database: Database) -> None:
    stored(database, *map(a_chunk, range(4), ("at 100%", "at 1000", "AT 100%", "a_b \\ naïve")))
    assert texts(database, text="at 100%") == ["at 100%"]
    assert texts(database, text="_b \\ na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve") == [
        "a_b \\ naïve"
    ]
    assert texts(database, text="\0") == []


def test_lines_are_found_in_any_case_and_by_time(database: Database) -> None:
    stored(database, *map(a_chunk, range(3), ("An Error", "an error", "fine")))
    assert texts(database, text="ERROR", any_case=True) == ["An Error", "an error"]
    assert texts(database, text="ERROR") == []
    assert texts(database, since=later(1)) == ["an error", "fine"]
    assert texts(database, since=later(1), until=later(1)) == ["an error"]


def test_older_pages_go_back_to_the_beginning(database: Database) -> None:
    stored(database, *(a_chunk(n, f"line {n}") for n in range(5)))
    page = ask_samples(database, logs.read, CLUSTER, before=2**53, limit=2)
    assert [it.text for it in page.lines] == ["line 3", "line 4"]
    page = ask_samples(database, logs.read, CLUSTER, before=page.previous_cursor, limit=2)
    assert [it.text for it in page.lines] == ["line 1", "line 2"]
    page = ask_samples(database, logs.read, CLUSTER, before=page.previous_cursor, limit=2)
    assert [it.text for it in page.lines] == ["line 0"]
    assert ask_samples(database, logs.read, CLUSTER, before=page.previous_cursor).lines == ()


def test_lines_are_found_by_instance_and_process(database: Database) -> None:
    stored(
        database,
        a_chunk(1, "a", instance="shoal-c-1", process="worker"),
        a_chunk(2, "b", instance="shoal-c-2", process="worker"),
        a_chunk(3, "c", instance="shoal-c-2", process="agent"),
    )
    assert texts(database, instance="shoal-c-2") == ["b", "c"]
    assert texts(database, instance="shoal-c-2", process="agent") == ["c"]


def test_old_lines_and_too_many_are_dropped_the_oldest_first(database: Database) -> None:
    stored(database, *(a_chunk(n, f"line {n}") for n in range(10)))
    ask_samples(database, logs.prune, later(2), 1000)
    assert texts(database) == [f"line {n}" for n in range(2, 10)]
    ask_samples(database, logs.prune, LONG_AGO, 3)
    assert texts(database) == ["line 7", "line 8", "line 9"]


def test_another_clusters_lines_stay_where_one_has_too_many(database: Database) -> None:
    stored(database, *(a_chunk(n, f"line {n}") for n in range(10)))
    ask_samples(database, logs.append, ClusterId("c-quiet"), [a_chunk(1, "still here")], NOW)
    ask_samples(database, logs.prune, LONG_AGO, 3)
    [line] = ask_samples(database, logs.read, ClusterId("c-quiet")).lines
    assert line.text == "still here"


def test_how_an_environment_was_made_outlives_what_is_printed_later(database: Database) -> None:
    stored(database, *(a_chunk(n, f"made {n}", process=logs.ENVIRONMENT) for n in range(3)))
    stored(database, *(a_chunk(n, f"line {n}") for n in range(10, 20)))
    ask_samples(database, logs.prune, LONG_AGO, 4)
    assert texts(database, process=logs.ENVIRONMENT) == ["made 0", "made 1", "made 2"]
    assert texts(database, process="w") == [f"line {n}" for n in range(16, 20)]
    ask_samples(database, logs.prune, LONG_AGO, 2)
    assert texts(database) == ["made 1", "made 2", "line 18", "line 19"]


def test_the_making_of_an_environment_is_found_without_reading_a_clusters_other_lines(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'shoal.db'}"
    before = Database.open(url)
    ask_samples(before, lambda tx: tx.execute(text("DROP INDEX ix_log_line_environment")))
    before.close()
    database = Database.open(url)  # of an earlier version: it gets the index
    asked: list[str] = []

    def planned(tx: Connection) -> str:
        event.listen(tx, "before_cursor_execute", lambda *it: asked.append(it[2]))
        logs.tail(tx, CLUSTER, 10, process=logs.ENVIRONMENT)
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", (CLUSTER, 11, 0))
        return "\n".join(str(it) for it in plan)

    assert "ix_log_line_environment" in ask_samples(database, planned)


def test_a_line_is_cut_where_it_is_too_long(database: Database) -> None:
    stored(database, a_chunk(1, "x" * 1_000_000))
    assert [len(it) for it in texts(database)] == [logs.MAX_TEXT]


def test_what_no_database_holds_is_replaced_and_the_rest_kept(database: Database) -> None:
    stored(database, a_chunk(1, "a\0b \ud800 c"))
    assert texts(database) == ["a\ufffdb \ufffd c"]


def test_samples_are_a_file_of_their_own(tmp_path: Path) -> None:
    facts, samples = tmp_path / "shoal.db", tmp_path / "samples.db"
    database = Database.open(f"sqlite:///{facts}", samples_url=f"sqlite:///{samples}")
    stored(database, a_chunk(1, "one"))
    count = text("SELECT count(*) FROM log_line")
    with pytest.raises(StoreFault, match="no such table"):
        ask(database, lambda tx: tx.execute(count).scalar())
    assert ask_samples(database, lambda tx: tx.execute(count).scalar()) == 1
    pragma = text("PRAGMA synchronous")
    assert ask(database, lambda tx: tx.execute(pragma).scalar()) == 2  # FULL
    assert ask_samples(database, lambda tx: tx.execute(pragma).scalar()) == 1  # NORMAL
    database.close()


def test_a_broken_samples_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "samples.db").write_text("not a database at all, " * 100)
    with pytest.raises(StoreFault, match=r"samples\.db.*not a database"):
        Database.open(
            f"sqlite:///{tmp_path / 'shoal.db'}", samples_url=f"sqlite:///{tmp_path / 'samples.db'}"
        )


def test_the_end_is_found_by_level_and_time_and_goes_on_from_there(database: Database) -> None:
    said = ("INFO - fine", "WARNING - slow", "ERROR - broken", "Traceback (most recent call last)")
    stored(database, *(a_chunk(n, it) for n, it in enumerate(said)))

    def tail(**wanted: object) -> list[str]:
        return [it.text for it in ask_samples(database, logs.tail, CLUSTER, 10, **wanted).lines]

    assert tail(level=logs.Level.WARNING) == list(said[1:])
    assert tail(level=logs.Level.ERROR) == list(said[2:])
    assert tail(since=later(1), until=later(2)) == list(said[1:3])
    whole = ask_samples(database, logs.tail, CLUSTER, 10)
    assert tail(after=whole.after) == []
    stored(database, a_chunk(9, "ERROR - again"), a_chunk(10, "INFO - fine"))
    assert tail(after=whole.after) == ["ERROR - again", "INFO - fine"]
    assert tail(after=whole.after, level=logs.Level.ERROR, text="AGAIN") == ["ERROR - again"]
    nothing = ask_samples(database, logs.tail, CLUSTER, 10, after=10**9)
    assert nothing.after == 10**9
