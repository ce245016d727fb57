"""Lines are cut, kept and lost in bounds."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shoal.agent.clock import Clock
from shoal.agent.log_lines import (
    MOST_LENGTH,
    MOST_LINES,
    LogLines,
    Outbox,
    RotatingFile,
    Splitter,
)
from shoal.wire.ids import InstanceId
from shoal.wire.views import LogLine

NAME = InstanceId("shoal-c-1")


def line(number: int) -> LogLine:
    return LogLine(Clock().now(), NAME, "worker", str(number))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r")), st.integers(1, 7))
def test_lines_are_the_same_however_the_bytes_arrive(text: str, size: int) -> None:
    data = text.encode()
    splitter, found = Splitter(), []
    for start in range(0, len(data), size):
        found += splitter.feed(data[start : start + size])
    found += splitter.end()
    assert "\n".join(found) == text.removesuffix("\n") or text.endswith("\n\n")


def test_a_line_without_an_end_is_cut_rather_than_kept() -> None:
    found = list(Splitter().feed(b"x" * (3 * MOST_LENGTH + 1)))
    assert [len(it) for it in found] == [MOST_LENGTH] * 3


def test_bytes_that_are_no_text_become_lines_all_the_same() -> None:
    assert list(Splitter().feed(b"\xff\xfe\n")) == ["��"]


def test_what_did_not_arrive_is_sent_again_in_order() -> None:
    outbox = Outbox()
    for number in range(5):
        outbox.put(line(number))
    taken, dropped = outbox.take(3)
    outbox.give_back(taken, dropped)
    assert [it.text for it in outbox.take(9)[0]] == ["0", "1", "2", "3", "4"]


def test_an_outbox_loses_the_oldest_lines_and_says_how_many() -> None:
    outbox = Outbox()
    for number in range(MOST_LINES + 7):
        outbox.put(line(number))
    taken, dropped = outbox.take(1)
    assert (taken[0].text, dropped) == ("7", 7)
    outbox.put(line(0))
    outbox.put(line(0))
    outbox.give_back(taken, dropped)
    assert outbox.take(1)[1] == 9  # two more had to go to make room


def test_a_log_file_keeps_the_newest_lines_in_bounds(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "worker.log")
    for number in range(20):
        file.write(f"{number} {'x' * 2**20}\n")
    kept = sorted(tmp_path.iterdir())
    assert [it.name for it in kept] == ["worker.log", "worker.log.1"]
    assert sum(it.stat().st_size for it in kept) <= 8 * 2**20
    assert "\n19 " in kept[0].read_text()


def test_a_full_disk_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    told: list[LogLine] = []
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker.log").mkdir()  # cannot be written
    LogLines(NAME, tmp_path / "logs", told.append, Clock()).add("worker", "hello")
    assert [it.text for it in told] == ["hello"]
