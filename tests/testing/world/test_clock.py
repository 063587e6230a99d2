"""A clock that a test can put forward."""

from __future__ import annotations

import time

import pytest

from aioecs.testing import VirtualClock


def test_it_stands_still() -> None:
    """Given a time, it stands there, and leaps by what it is told."""
    clock = VirtualClock(at=100)
    assert clock() == clock() == 100
    clock.advance(2.5)
    clock.advance(0)
    assert clock() == 102.5
    assert repr(clock) == "<VirtualClock at 102.500, standing still>"


def test_it_goes_with_the_machine_s() -> None:
    """Otherwise it goes on by itself, ahead by what it leapt."""
    clock = VirtualClock()
    clock.advance(1000)
    before = time.time()
    assert before + 1000 <= clock() <= time.time() + 1000
    assert "still" not in repr(clock)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_it_never_goes_back(seconds: float) -> None:
    """Nor does it go where nobody can follow."""
    clock = VirtualClock(at=0)
    with pytest.raises(ValueError, match="0 or more"):
        clock.advance(seconds)
    assert clock() == 0
