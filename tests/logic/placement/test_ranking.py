"""ranking: the least first, and the least that is large enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs._logic.placement import ranking
from aioecs._logic.placement.ranking import Queue, Tournament

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


SIZED = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "drop"]),
        st.integers(0, 30),
        st.integers(0, 5),
        st.tuples(*[st.integers(0, 4)] * 3),
    ),
    max_size=80,
)


@given(
    SIZED,
    st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=5),
    st.integers(0, 30),
    st.integers(1, 20),
    st.sampled_from([0, 32]),
)
def test_a_tournament_yields_what_is_large_enough_in_order(
    steps: list[tuple[str, int, int, tuple[int, int, int]]],
    asked: list[tuple[int, int, int]],
    odd: int,
    every: int,
    few: int,
) -> None:
    """Whatever was put, moved and dropped before: exactly those that are large enough and suit, the least key first.

    That holds for as many items as are always gone through, for more, and however often one was looked for meanwhile.
    """
    tree: Tournament[int] = Tournament()
    held: dict[int, tuple[int, tuple[int, int, int]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_FEW", few)
        for at, (step, item, key, amounts) in enumerate(steps):
            if at % every == 0:
                for _ in range(3):
                    list(tree.fitting((0, 0, 0), lambda _: True))
            if step == "put":
                tree.put(item, (key,), amounts)
                held[item] = key, amounts
            else:
                tree.drop(item)
                held.pop(item, None)
        assert len(tree) == len(held)
        assert all((item in tree) == (item in held) for item in range(31))
        for wanted in asked:
            check_found(tree, held, wanted, odd)


def check_found(
    tree: Tournament[int], held: dict[int, tuple[int, tuple[int, int, int]]], wanted: tuple[int, int, int], odd: int
) -> None:
    """Compare what is found with what is held; the odd item doesn't suit."""
    fits = [
        item for item, (_, has) in held.items() if item != odd and all(a >= b for a, b in zip(has, wanted, strict=True))
    ]
    found = list(tree.fitting(wanted, lambda item: item != odd))
    assert sorted(found) == sorted(fits)
    keys = [held[item][0] for item in found]
    assert keys == sorted(keys)
    first = tree.first(wanted, lambda item: item != odd)
    assert (first is None) == (not found)
    assert first is None or (first in found and held[first][0] == keys[0])


def test_a_tournament_that_is_laid_out_at_once_is_the_same() -> None:
    """As one into which each was put; any of it may be hit upon."""
    items = [(n, (n % 7,), (n, n, n)) for n in range(100)]
    tree = Tournament(items)
    assert sorted(tree.fitting((50, 0, 0), lambda _: True)) == list(range(50, 100))
    assert {n % 7 for n in tree.fitting((50, 0, 0), lambda _: True)} == set(range(7))
    hit = {tree.any(at / 1000) for at in range(1000)}
    assert hit == set(range(100))
    assert Tournament[int]().first((0, 0, 0), lambda _: True) is None


def test_a_tournament_stays_as_small_as_what_it_holds() -> None:
    """A hundred thousand moves of three things leave no hundred thousand entries."""
    tree: Tournament[int] = Tournament()
    for number in range(100_000):
        tree.put(number % 3, (number,), (1, 1, 1))
    assert len(tree._heap) < 100
    assert tree.first((1, 0, 0), lambda _: True) == 99_997 % 3
