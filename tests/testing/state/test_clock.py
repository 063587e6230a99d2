"""A clock that a test can advance."""

from __future__ import annotations

import time

import pytest

from aioecs.testing import VirtualClock


def test_a_given_time_advances_only_by_calls() -> None:
    """Two reads give the same time."""
    clock = VirtualClock(at=100)
    assert clock() == clock() == 100
    clock.advance(2.5)
    clock.advance(0)
    assert clock() == 102.5
    assert repr(clock) == "<VirtualClock at 102.500, standing still>"


def test_without_a_time_it_follows_the_machine_s_clock() -> None:
    """It is ahead by the seconds it was advanced."""
    clock = VirtualClock()
    clock.advance(1000)
    before = time.time()
    assert before + 1000 <= clock() <= time.time() + 1000
    assert "still" not in repr(clock)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_it_never_goes_back(seconds: float) -> None:
    """Nor to infinity."""
    clock = VirtualClock(at=0)
    with pytest.raises(ValueError, match="at least 0"):
        clock.advance(seconds)
    assert clock() == 0
