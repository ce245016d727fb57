"""Lines of code are found once for each place that asks."""

from __future__ import annotations

import logging
from typing import Any

import dask
import pytest

from shoal.client import code_frames


class Finder:
    def __init__(self) -> None:
        self.calls = 0
        self.ignored: list[str] = []

    def __call__(self, stacklevel: int | None = None, nframes: int = 0) -> tuple[int, ...]:
        self.calls += 1
        self.ignored = dask.config.get(code_frames._IGNORED)
        return (nframes,)


def test_a_place_is_read_once_however_often_it_asks() -> None:
    find, seconds = Finder(), iter(range(1000))
    remembered = code_frames.Remembered(find, clock=lambda: float(next(seconds)))
    assert {remembered(nframes=0) for _ in range(100)} == {(code_frames.FRAMES,)}
    assert find.calls == 1
    remembered(nframes=0)  # another place
    assert find.calls == 2
    assert r"shoal[.]" in find.ignored


def test_lines_are_said_when_the_place_changes_and_once_a_second() -> None:
    now_s = 0.0
    remembered = code_frames.Remembered(Finder(), clock=lambda: now_s)

    def one() -> Any:
        return remembered()

    def other() -> Any:
        return remembered()

    places = (one, one, other, other, one)
    lines, same = (code_frames.FRAMES,), None
    assert [place() for place in places] == [lines, same, lines, same, lines]
    told = []
    for passed_s in (0.9, 0.2, 0.9):
        now_s += passed_s
        told.append(one())
    assert told == [lines, same, lines]  # the first is called from another line


def test_a_place_without_lines_does_not_take_those_of_another() -> None:
    remembered = code_frames.Remembered(lambda **named: (), clock=lambda: 0.0)
    assert [remembered() for _ in range(3)] == [(), (), ()]


def test_what_is_remembered_is_bounded() -> None:
    find = Finder()
    remembered = code_frames.Remembered(find)
    for number in range(code_frames._REMEMBERED + 10):
        exec(compile("\n" * number + "remembered()", "x", "exec"), {"remembered": remembered})
    assert len(remembered._known) <= code_frames._REMEMBERED


def test_users_are_not_told_of_it_with_each_client(caplog: pytest.LogCaptureFixture) -> None:
    with dask.config.set({code_frames._PRELOAD: []}):
        code_frames.switch_on()
    logger = logging.getLogger("distributed.preloading")
    with caplog.at_level(logging.INFO):
        logger.info("Import preload module: %s", "shoal.client.code_frames")
        logger.info("Import preload module: %s", "mine")
    assert [it.getMessage() for it in caplog.records] == ["Import preload module: mine"]


def test_it_is_switched_on_once_and_off() -> None:
    with dask.config.set({code_frames._PRELOAD: ["mine"], "shoal.record-code": False}):
        code_frames.switch_on()
        assert dask.config.get(code_frames._PRELOAD) == ["mine"]
    with dask.config.set({code_frames._PRELOAD: ["mine"]}):
        code_frames.switch_on()
        code_frames.switch_on()
        assert dask.config.get(code_frames._PRELOAD) == ["mine", "shoal.client.code_frames"]
