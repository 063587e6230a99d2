"""probe: the calls sent right after a throttle show whether it was random."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from aioecs._logic.sending.probe import EARLY_PROBES, NOISY_PROBES, Probe


def probe(first: int = EARLY_PROBES, *, noisy: bool = False) -> Probe:
    """Return the probe of a throttle at 1.0 s, answered at 1.01 s, on a bucket of 40 calls a second."""
    return Probe(1.0, 1.005, 1.01, 40.0, first, noisy=noisy)


def cause(bucket: Iterator[bool], *, noisy: bool = False) -> tuple[str, int]:
    """Send what the probe asks for, 1 ms apart; return the cause that it shows, and the calls that it took."""
    each, now = probe(NOISY_PROBES if noisy else EARLY_PROBES, noisy=noisy), 1.01
    for number in itertools.count():
        if each.shows_empty(0):
            return "empty", number
        assert each.may_send(0)
        each.sent(0)
        each.answered(now, now + 0.001, next(bucket))
        now += 0.001
        if each.shows_random(now):
            return "random", number + 1
    raise AssertionError


@pytest.mark.parametrize(
    ("outcomes", "shown"),
    [
        ([False] * 9, ("empty", 2)),
        ([True, *[False] * 9], ("empty", 4)),
        ([True] * 9, ("random", 3)),
        ([False, True, True, False, True], ("random", 5)),
    ],
)
def test_few_calls_show_the_cause(outcomes: list[bool], shown: tuple[str, int]) -> None:
    """An empty bucket serves one of them at most."""
    assert cause(iter(outcomes)) == shown


def test_known_random_throttles_need_more_calls_to_show_an_empty_bucket() -> None:
    """And fewer served ones to be confirmed."""
    assert cause(iter([False] * 9), noisy=True) == ("empty", NOISY_PROBES)
    assert cause(iter([False, False, True, True]), noisy=True) == ("random", 4)


def test_what_is_refilled_meanwhile_shows_nothing() -> None:
    """Four calls served within 0.1 s are no more than an empty bucket gives."""
    each = probe()
    for number in range(1, 5):
        each.answered(1.01, 1.005 + number / 40, True)
        assert not each.shows_random(1.005 + number / 40)


def test_calls_in_flight_count_if_they_were_sent_later() -> None:
    """They are awaited before a probe is sent; one sent, or arrived, before the throttled call shows nothing."""
    each = probe()
    assert not each.may_send(3)
    each.answered(0.99, 1.02, True)
    each.answered(1.0, 1.004, True)
    for at in (1.001, 1.002):
        each.answered(at, 1.02, False)
    assert not each.shows_random(1.02)
    assert each.shows_empty(0)
    assert each.empty_at == 1.02


def test_throttles_that_are_answered_sooner_decide_nothing() -> None:
    """ECS answers a throttled call at once: all ends are awaited."""
    each = probe()
    for _ in range(2):
        each.sent(0)
    each.answered(1.011, 1.012, False)
    assert not each.shows_empty(1)
    each.answered(1.011, 1.012, False)
    assert each.shows_empty(0)


def test_a_probe_that_was_not_sent_lets_another_one_be_sent() -> None:
    """Its permit was given back."""
    each = probe()
    for _ in range(EARLY_PROBES):
        each.sent(0)
    assert not each.may_send(0)
    each.unsent(1.02)
    assert each.may_send(0)


def test_a_clock_that_is_set_back_changes_nothing() -> None:
    """Only distances count."""
    one, other = probe(), probe()
    other.set_back(5.0)
    for each, base in ((one, 0.0), (other, -5.0)):
        for outcome in (True, True, True, True):
            each.answered(base + 1.02, base + 1.021, outcome)
        assert each.shows_random(base + 1.021)
        assert each.empty_at == pytest.approx(base + 1.005)


def test_answers_that_never_come_are_not_awaited_for_good() -> None:
    """The rate learner sends a call after a silence, and that ends the probe."""
    each = probe()
    each.sent(3)
    assert each.shows_empty(4)
