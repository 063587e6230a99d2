"""group_test: random throttles are distinguished from an empty bucket's by the calls sent right after them."""

from __future__ import annotations

import random
from collections.abc import Callable

from aioecs._logic.sending.group_test import GROUP, GroupTest, Judged


def run(test: GroupTest, bucket: Callable[[float], bool], groups: int) -> list[Judged]:
    """Send so many groups, 2 ms between the calls and 0.1 s between the groups, until the test ends."""
    judged = list[Judged]()
    for number in range(groups):
        sent = [0.1 * number + 0.002 * call for call in range(GROUP)]
        for at in sent:
            test.sent(at, late=False)
        for at in sent:
            judged += test.answered(at, at + 0.01, bucket(at))
        if not test.running:
            break
    return judged


def at_random(share: float, seed: int) -> Callable[[float], bool]:
    """Return a bucket that throttles this share of the calls."""
    rng = random.Random(seed)
    return lambda _at: rng.random() >= share


def started() -> GroupTest:
    """Return a test that runs."""
    test = GroupTest()
    test.start()
    return test


def test_random_throttles_are_shown() -> None:
    """Of ten runs each at 5 and 30 %, most, and within 60 groups."""
    for share in (0.05, 0.3):
        shown = 0
        for seed in range(10):
            test = started()
            run(test, at_random(share, seed), 60)
            shown += test.random
        assert shown >= 8


def test_an_empty_bucket_refutes_them() -> None:
    """Two of a group are served, the rest is not."""
    test = started()
    outcomes = iter([True, True, False, False, False] * 20)
    run(test, lambda _at: next(outcomes), 20)
    assert not test.running
    assert not test.random


def test_a_throttle_before_a_served_call_had_a_token() -> None:
    """Only those that end a group show an empty bucket, and the first of them stands for all."""
    test, outcomes = started(), [True, False, True, False, False]
    for at in range(GROUP):
        test.sent(float(at), late=False)
    judged = [each for at in range(GROUP) for each in test.answered(float(at), at + 0.5, outcomes[at])]
    assert [each.had_token for each in judged] == [True, True, True, False]
    assert judged[-1] == Judged(3.0, 3.5, had_token=False)


def test_shown_random_throttles_need_more_in_a_row() -> None:
    """At 30 %, two at the end of a group show nothing."""
    test = started()
    run(test, at_random(0.3, 1), 200)
    assert test.random
    ends_in_two = iter([True, True, True, False, False])
    assert all(each.had_token for each in run(test, lambda _at: next(ends_in_two), 1))


def test_a_group_is_judged_when_all_its_calls_ended() -> None:
    """In any order; a call that was not sent after all is left out, and a late one begins a new group."""
    test = started()
    for at in (1.0, 1.1, 1.2):
        test.sent(at, late=False)
    assert test.position == 3
    test.unsent(1.1)
    test.sent(9.0, late=True)
    assert test.position == 1
    assert test.answered(1.2, 1.25, ok=True) == []
    assert [each.at for each in test.answered(1.0, 1.05, ok=True)] == [1.0, 1.2]
    assert test.answered(5.0, 5.1, ok=False) == [Judged(5.0, 5.1, had_token=False)]
