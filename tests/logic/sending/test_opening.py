"""opening: how fast a bucket that is assumed full is spent, and what its first throttle means."""

from __future__ import annotations

import pytest

from aioecs._logic.sending.opening import OPENING_SPEED, SLOW_START, Opening, evenly


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


@pytest.mark.parametrize(
    ("later", "contradicts"),
    [
        ([(1.0, True), (1.0, True), (1.1, True)], True),
        ([(1.1, False), (1.1, False), (1.1, True)], False),
        ([(0.9, True)] * 9, False),
        ([(1.3, True)] * 9, False),
    ],
)
def test_what_was_sent_with_the_first_throttle_shows_its_cause(
    later: list[tuple[float, bool]], contradicts: bool
) -> None:
    """Served calls contradict an empty bucket; those sent before it, or after the answer, say nothing."""
    opening = Opening(100.0, 40.0)
    opening.end(1.2, 1.0, 90.0)
    assert [opening.contradicts_end(at, ok) for at, ok in later][-1] is contradicts
