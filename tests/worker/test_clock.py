"""_clock: what a Date proves about this machine's clock."""

from __future__ import annotations

import pytest

from aioecs.worker._clock import Clock, ClockReading, clock_error

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("reading", "off"),
    [
        (ClockReading(NOW, NOW, NOW), 0),
        (ClockReading(NOW, NOW + 0.9, NOW + 0.99), 0),  # a Date has whole seconds
        (ClockReading(NOW, NOW + 31, NOW + 31.1), 30),
        (ClockReading(NOW, NOW - 30.1, NOW - 30), -30),
        (ClockReading(NOW, NOW - 25, NOW + 0.5), 0),  # a long poll, whose answer was made at its end
        (ClockReading(NOW, NOW - 40, NOW - 20), -20),
    ],
)
def test_what_is_proven(reading: ClockReading, off: float) -> None:
    """No more than what holds whenever between request and answer the Date was made."""
    assert reading.off == pytest.approx(off)


@pytest.mark.parametrize(
    ("ahead", "skew", "expected"),
    [
        (0, 0.1, None),
        (2.4, 5, None),
        (30, 5, "30.0 s or more ahead of that of the queue"),
        (-30, 5, "30.0 s or more behind that of the queue"),
        (30, 60, None),
        (3, 5, "within half of skew=5 s: set the clock"),
    ],
)
def test_two_clocks_are_no_further_apart_than_skew(ahead: float, skew: float, expected: str | None) -> None:
    """Each may be off by half of it."""
    sent = NOW + ahead + (1 if ahead > 0 else 0)
    error = clock_error(ClockReading(NOW, sent, sent), skew)
    assert (expected is None) == (error is None)
    assert expected is None or expected in str(error)


def test_the_first_proof_counts() -> None:
    """An answer without a Date changes nothing."""
    clock = Clock(5)
    clock.add(None)
    clock.add(ClockReading(NOW, NOW, NOW))
    assert clock.error is None
    clock.add(ClockReading(NOW, NOW + 100, NOW + 100))
    first = clock.error
    clock.add(ClockReading(NOW, NOW - 100, NOW - 100))
    assert first is not None
    assert clock.error is first
