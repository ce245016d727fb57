"""An environment's id stands for its content: all of it, and nothing else."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shoal.wire.environments import WheelFile, environment_id

_hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
_wheels = st.lists(
    st.builds(WheelFile, st.just("x.whl"), _hashes, st.just(1), st.text(), st.text(), st.text()),
    max_size=4,
    unique_by=lambda it: it.sha256,
)


@given(st.text(), st.text(), st.text(), _wheels, st.randoms())
def test_the_order_of_wheels_does_not_matter(
    lock: str, python: str, platform: str, wheels: list[WheelFile], random: Random
) -> None:
    shuffled = list(wheels)
    random.shuffle(shuffled)
    first = environment_id(lock, python, platform, tuple(wheels))
    assert environment_id(lock, python, platform, tuple(shuffled)) == first


_texts = st.tuples(*[st.text(alphabet="ab\n", max_size=3)] * 3)


@given(_texts, _texts)
def test_any_difference_in_content_makes_another_id(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    same = environment_id(*one, wheels=()) == environment_id(*other, wheels=())
    assert same == (one == other)


@given(_wheels, _hashes)
def test_another_wheel_makes_another_id(wheels: list[WheelFile], sha256: str) -> None:
    more = WheelFile("y.whl", sha256, 1, "y", "1", "modules")
    before = environment_id("", "", "", tuple(wheels))
    assert environment_id("", "", "", (*wheels, more)) != before


@given(_wheels)
def test_a_wheels_name_and_kind_do_not_matter(wheels: list[WheelFile]) -> None:
    renamed = tuple(msgspec.structs.replace(it, kind="file", version="2") for it in wheels)
    assert environment_id("", "", "", renamed) == environment_id("", "", "", tuple(wheels))
