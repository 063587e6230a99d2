"""rate_limiter: the two kinds that learn nothing, in virtual time."""

from __future__ import annotations

import math

import pytest

from aioecs._logic.sending.rate_limiter import FixedRate, RateLimiter, Unlimited


def test_a_pinned_bucket() -> None:
    """Burst at once, then at its rate; a throttle finds it empty; an unused permit is returned; it stays as it is."""
    fixed = FixedRate(3.0, 2.0)
    for _ in range(3):
        assert fixed.next_at(10.0) == 10.0
        fixed.sent(10.0)
    assert fixed.next_at(10.0) == pytest.approx(10.5)
    fixed.unsent(10.0, 10.0)
    assert fixed.next_at(10.0) == 10.0
    fixed.answered(10.0, True, 10.0)
    assert fixed.next_at(10.0) == 10.0
    fixed.answered(10.0, False, 10.0)
    assert fixed.next_at(10.0) == pytest.approx(10.5)
    assert fixed.next_at(9.0) == pytest.approx(9.5)
    assert fixed.next_at(60.0) == 60.0
    assert (fixed.burst, fixed.rate) == (3.0, 2.0)


def test_unpaced() -> None:
    """Always now, whatever happens."""
    limiter: RateLimiter = Unlimited()
    limiter.sent(1.0)
    limiter.answered(2.0, False, 1.0)
    limiter.unsent(2.0, 1.0)
    assert (limiter.next_at(2.0, 10), limiter.rate, limiter.burst) == (2.0, math.inf, math.inf)


@pytest.mark.parametrize("burst", [0.2, 1.0])
def test_a_bucket_smaller_than_a_call_holds_one(burst: float) -> None:
    """Else nothing would ever be sent."""
    fixed: RateLimiter = FixedRate(burst, 0.5)
    assert fixed.next_at(0.0) == 0.0
    fixed.sent(0.0)
    assert fixed.next_at(0.0) == pytest.approx(2.0)
    assert fixed.next_at(900.0) == 900.0
    fixed.sent(900.0)
    assert fixed.next_at(900.0) == pytest.approx(902.0), "rest fills it no further"


def test_a_throttle_forgives_no_debt() -> None:
    """Calls that went out although the bucket was empty are paid for, whatever came of them."""
    fixed = FixedRate(1.0, 1.0)
    for _ in range(4):
        fixed.sent(0.0)
    before = fixed.next_at(0.0)
    fixed.answered(0.0, False, 0.0)
    assert fixed.next_at(0.0) == before == pytest.approx(4.0)
