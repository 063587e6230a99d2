"""opening: how fast a bucket that is assumed full is spent, and what its first throttle means."""

from __future__ import annotations

import pytest

from aioecs._logic.sending.opening import OPENING_SPEED, SHORT_QUEUE, SLOW_START, Opening, evenly


def test_queue_and_bucket_run_out_together() -> None:
    """200 calls on 100 tokens and 40 a second: 80 a second; without tokens only the refill."""
    assert evenly(40.0, 100.0, 200) == pytest.approx(80)
    assert evenly(40.0, 0.0, 200) == 40
    assert Opening(100.0, 40.0).speed(40.0, 100.0, 50) == OPENING_SPEED * 40


def test_the_window_grows_with_what_was_served_if_all_fits() -> None:
    """And is a small part of all calls if not."""
    opening = Opening(100.0, 40.0, served=5)
    assert opening.window(0.1, 100.0, 50, 0, 0.02) == SLOW_START + 5
    assert opening.window(0.1, 100.0, 200, 0, 0.02) < 6


def test_a_short_queue_keeps_the_estimate() -> None:
    """A long one cuts it to what was served, but to a quarter at least: the bucket may have been empty."""
    opening = Opening(100.0, 40.0)
    assert opening.rate_after(0.0, SHORT_QUEUE - 1) == 40
    assert opening.rate_after(0.0, SHORT_QUEUE) == 10
    opening.served = 50
    assert opening.rate_after(0.0, SHORT_QUEUE) == 20
