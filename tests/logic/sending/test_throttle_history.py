"""throttle_history: the gain, the contradiction, and what both give beside noise, strangers and equal learners."""

from __future__ import annotations

import statistics

import pytest
from throttling.contention import CONTENTIONS, LONG_RUNS, share

from aioecs._logic.sending.throttle_history import COUNTED_IN_A_ROW, FULL_GAIN, ThrottleHistory

SEEDS = 40


@pytest.mark.parametrize("name", list(CONTENTIONS))
def test_a_few_calls_beside_noise_and_strangers(name: str) -> None:
    """All calls end, in a median time that the fastest of botocore's retry modes needs, or in the free rate's."""
    contention = CONTENTIONS[name]
    assert contention.median(SEEDS if contention.noise else 15) <= contention.within


def test_three_learners_share_a_bucket_equally() -> None:
    """Jain's index, waste and total of the second minute, as medians over seeds."""
    shares = [share(3, (60, 120), seed=seed) for seed in range(3)]
    assert statistics.median(each.fairness for each in shares) >= 0.95
    assert statistics.median(each.wasted for each in shares) <= 0.05
    assert all(0.98 <= each.total <= 1.02 for each in shares)


@pytest.mark.parametrize("name", list(LONG_RUNS))
def test_a_long_run_under_random_throttles_has_the_refill(name: str) -> None:
    """Random throttles cost the calls that they hit, and no rate."""
    assert LONG_RUNS[name].median(5) <= LONG_RUNS[name].within


def test_sixteen_learners_share_a_bucket_equally() -> None:
    """Jain's index, waste and total of the second minute, as medians over seeds."""
    shares = [share(16, (60, 120), seed=seed) for seed in range(3)]
    assert statistics.median(each.fairness for each in shares) >= 0.9
    assert statistics.median(each.wasted for each in shares) <= 0.05
    assert all(0.95 <= each.total <= 1.02 for each in shares)


def test_a_crowd_of_learners_wastes_little() -> None:
    """64 learners in their second minute; in the first they find their rates."""
    each = share(64, (60, 120))
    assert 0.9 <= each.total <= 1.1
    assert each.wasted <= 0.1
    assert each.fairness >= 0.9


def test_the_gain_falls_with_throttles_and_rises_with_served_calls() -> None:
    """It is 1 for the first ones, and again when few are throttled for long enough."""
    history = ThrottleHistory()
    assert (history.gain, history.resume_weight, history.saved_weight, history.measured_weight) == (1, 1, 1, 1)
    surplus, last = history.surplus, 1.0
    history.restarted = True
    for number in range(200):
        history.count_throttled(False, 0)
        assert history.gain <= last
        assert history.gain == 1 or number >= FULL_GAIN
        last = history.gain
    assert 0 < last < 0.02
    assert history.surplus > surplus
    for _ in range(5000):
        history.count_served()
    assert history.gain == 1


def test_throttles_of_one_drain_count_a_few_times_only() -> None:
    """An outage says nothing about a crowd."""
    history = ThrottleHistory()
    for number in range(1000):
        assert not history.count_throttled(False, COUNTED_IN_A_ROW + number)
    assert history.gain == 1


def test_a_contradicted_learner_restarts_once() -> None:
    """After some throttles in a row that the model had tokens for; with a small gain; each takes off a little then."""
    history = ThrottleHistory()
    assert history.kept == 1
    restarts = [history.count_throttled(True, 0) for _ in range(20)]
    assert restarts.count(True) == 1
    assert restarts.index(True) == 5
    assert history.gain < 0.02
    assert 0.9 < history.kept < 1


def test_throttles_that_contradict_the_model_are_probed_ever_more_rarely() -> None:
    """After two surprising ones, then after three, then after four each."""
    history = ThrottleHistory()
    probed = list[int]()
    for number in range(20):
        history.count_throttled(True, 0)
        if history.wants_probe():
            probed.append(number)
    assert probed == [1, 4, 8, 12, 16]


def test_few_throttles_contradict_nothing() -> None:
    """One in ten, whatever the level."""
    history = ThrottleHistory()
    for _ in range(500):
        assert not history.count_throttled(True, 0)
        assert not history.wants_probe()
        for _ in range(9):
            history.count_served()
    assert not history.restarted
