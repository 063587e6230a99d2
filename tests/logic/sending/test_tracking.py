"""tracking: the speed between two throttles."""

from __future__ import annotations

import pytest

from aioecs._logic.sending.throttle_history import ThrottleHistory
from aioecs._logic.sending.tracking import RESUME_BELOW, SURPLUS_DOUBLES, tracking_speed


def speed(elapsed: float = 0.0, surplus: float = 0.0, measured: int = 3, in_flight: float = 0.0) -> float:
    """Return the speed at a measured rate of 40 calls a second, with a large bucket."""
    return tracking_speed(40.0, 1.0, measured, in_flight, ThrottleHistory(), elapsed, surplus)


def test_it_begins_below_the_measured_rate_and_rises() -> None:
    """Steadily; faster while little is known of the rate, slower with many calls in flight."""
    assert speed() == pytest.approx(40 * (1 - RESUME_BELOW))
    assert speed(2.0) - speed(1.0) == pytest.approx(speed(1.0) - speed())
    assert speed(1.0, measured=0) > speed(1.0) > speed(1.0, in_flight=40.0) > speed()


def test_more_served_than_the_rate_allows_raises_it() -> None:
    """Beyond what is noise."""
    noise = ThrottleHistory().surplus
    assert speed(surplus=noise) == speed()
    assert speed(surplus=noise + SURPLUS_DOUBLES) == pytest.approx(2 * speed())
