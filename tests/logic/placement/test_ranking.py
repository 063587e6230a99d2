"""ranking: the least first, or any."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs._logic.placement.ranking import Bag, Queue, Ranking

STEPS = st.lists(st.tuples(st.sampled_from(["put", "drop", "first"]), st.integers(0, 8), st.integers(0, 5)))


@given(STEPS)
def test_a_queue_wants_the_least_of_what_it_holds(steps: list[tuple[str, int, int]]) -> None:
    """Whatever was put, moved and dropped before; equal keys in any order."""
    queue: Queue[int] = Queue()
    held: dict[int, tuple[int]] = {}
    for step, item, key in steps:
        if step == "put":
            queue.put(item, (key,))
            held[item] = (key,)
        elif step == "drop":
            queue.drop(item)
            held.pop(item, None)
        first = queue.first()
        assert (first is None) == (not held)
        assert first is None or held[first] == min(held.values())
        assert len(queue) == len(held)


def test_what_comes_back_under_its_old_key_is_there() -> None:
    """A thing that was dropped and put again is not taken for its own past."""
    queue: Queue[str] = Queue()
    queue.put("a", (1,))
    queue.put("b", (2,))
    queue.drop("a")
    assert queue.first() == "b"
    queue.put("a", (1,))
    assert queue.first() == "a"


def test_a_queue_stays_as_small_as_what_it_holds() -> None:
    """A hundred thousand moves of three things leave no hundred thousand entries."""
    queue: Queue[int] = Queue()
    for number in range(100_000):
        queue.put(number % 3, (number,))
    assert len(queue._heap) < 100
    assert [queue.first(), len(queue)] == [99_997 % 3, 3]


@given(STEPS, st.integers())
def test_a_bag_gives_what_it_holds(steps: list[tuple[str, int, int]], seed: int) -> None:
    """Whatever was put and dropped before."""
    bag: Bag[int] = Bag(random.Random(seed).random)
    held: set[int] = set()
    for step, item, key in steps:
        if step == "put":
            bag.put(item, (key,))
            held.add(item)
        elif step == "drop":
            bag.drop(item)
            held.discard(item)
        first = bag.first()
        assert first in held if held else first is None
        assert len(bag) == len(held)


def test_a_bag_prefers_nothing() -> None:
    """Each of ten comes up about as often as another."""
    bag: Bag[int] = Bag(random.Random(7).random)
    for item in range(10):
        bag.put(item, ())
    found = [bag.first() for _ in range(10_000)]
    assert all(900 < found.count(item) < 1100 for item in range(10))


@pytest.mark.parametrize("roll", [0.0, 0.999, 1.0])
def test_dice_from_nought_to_one_will_do(roll: float) -> None:
    """One included: the last is taken then."""
    bag: Ranking[str] = Bag(lambda: roll)
    for item in "abc":
        bag.put(item, ())
    assert bag.first() == ("a" if roll == 0 else "c")
