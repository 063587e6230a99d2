"""The figures of a run: how fast it is, and how long it takes yet."""

from __future__ import annotations

from typing import Any

import pytest
from start_reports import report, start

from aioecs import Outcome


@pytest.mark.parametrize(
    ("started", "facts", "left"),
    [
        (1, {}, 6.0),
        (4, {}, None),
        (0, {}, None),
        (1, {"interrupted": "SIGINT"}, None),
        (1, {"waiting": 1}, None),
    ],
)
def test_time_left(started: int, facts: dict[str, Any], left: float | None) -> None:
    """It is estimated from the rate so far; there is no estimate at the ends, and while starts wait for capacity."""
    assert report(4, *[start(Outcome.STARTED)] * started, **facts).left == left


@pytest.mark.parametrize(("seconds", "rate"), [(0.0, 0.0), (2.0, 1.5)])
def test_rate(seconds: float, rate: float) -> None:
    """Tasks started a second; 0 before any time has passed."""
    assert report(4, *[start(Outcome.STARTED)] * 3, seconds=seconds).per_second == rate
