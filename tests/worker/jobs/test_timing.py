"""The times of a job: leases and delays."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.errors import InvalidRequest
from aioecs.worker._jobs.decisions import (
    MessageAction,
)
from aioecs.worker._jobs.timing import LONGEST_DELAY, delay, growing_delay, idle_delay, is_last_receive, make_lease


def test_a_delay_grows() -> None:
    """From a second to fifteen minutes, spread by the jitter; for a lease it is the rest of it."""
    assert [growing_delay(tries, 1.0) for tries in (1, 2, 3, 11, 10**9)] == [1, 2, 4, LONGEST_DELAY, LONGEST_DELAY]
    assert growing_delay(3, 0.0) == 2
    given: dict[str, Any] = {"tries": 2, "jitter": 0.0, "now": 100.0, "lease": 130.0, "skew": 5.0}
    assert delay(MessageAction.RETURN_AFTER_LEASE, **given) == 35
    assert delay(MessageAction.RETURN_AFTER_LEASE, **{**given, "lease": 0.0}) == 1
    assert delay(MessageAction.RETURN_NOW, **given) == 0
    assert delay(MessageAction.RETURN_LATER, **given) == delay(MessageAction.DEAD_LETTER, **given) == 1


def test_a_lease_outlives_its_attempt() -> None:
    """By default twice the guard; never less than it."""
    lease = make_lease(15, 30, 5, None)
    assert (lease.guard, lease.length, lease.renewal_interval, lease.cutoff(100)) == (50, 100, 50 / 3, 50)
    assert make_lease(15, 30, 5, 51).length == 51
    for given in (50, float("nan"), float("inf"), "60"):  # an endless one would hold its job for ever
        with pytest.raises(InvalidRequest, match=r"lease: longer than .* = 50 s, and finite"):
            make_lease(15, 30, 5, given)


def test_the_last_receive() -> None:
    """It is the one after which the redrive policy takes the message; without a policy there is none."""
    assert [is_last_receive(receives, 3) for receives in (1, 2, 3, 4)] == [False, False, True, True]
    assert not is_last_receive(10**6, None)


@pytest.mark.parametrize(
    ("empties", "took", "delay"),
    [(1, 0.0, 0.1), (2, 0.001, 0.199), (4, 0.0, 0.8), (5, 0.0, 1.0), (10**6, 0.4, 0.6), (3, 20.0, 0.0)],
)
def test_the_delay_of_empty_receives(empties: int, took: float, delay: float) -> None:
    """To one in a second; a long poll has waited by itself."""
    assert idle_delay(empties, took) == pytest.approx(delay)
