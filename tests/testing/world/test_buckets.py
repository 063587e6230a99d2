"""buckets: token buckets on a given time."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs.testing._world.buckets import CATEGORIES, DOCUMENTED, Bucket, Buckets, Level


def test_a_full_bucket_lets_its_burst_through_and_then_its_rate() -> None:
    """A hundred at once, then forty a second."""
    level = Level.full(DOCUMENTED["modify"], 1000.0)
    assert sum(level.take(1000.0) for _ in range(150)) == 100
    assert sum(level.take(1000.0 + tick / 1000) for tick in range(1, 1001)) == 40


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """Resting for a day saves up nothing."""
    level = Level.full(Bucket(3, 1), 0.0)
    assert level.take(0.0)
    assert sum(level.take(86400.0) for _ in range(10)) == 3


@pytest.mark.parametrize(
    ("phase", "first", "second"),
    [(0.0, 1.0, 2.0), (0.25, 0.25, 1.25)],
)
def test_a_stepped_bucket_refills_at_its_steps(phase: float, first: float, second: float) -> None:
    """Nothing just before a step, all of it at the step."""
    level = Level.full(Bucket(2, 2, stepped=True, phase=phase), 0.1)
    assert [level.take(0.1) for _ in range(3)] == [True, True, False]
    for step in (first, second):
        assert not level.take(step - 0.001)
        assert [level.take(step) for _ in range(3)] == [True, True, False]


def test_a_step_may_have_any_length() -> None:
    """Five seconds bring five times the rate."""
    level = Level.full(Bucket(10, 1, stepped=5), 0.0)
    assert sum(level.take(0.0) for _ in range(12)) == 10
    assert not level.take(4.9)
    assert sum(level.take(5.0) for _ in range(12)) == 5


def test_a_step_back_in_time_refills_nothing() -> None:
    """Nor does it take anything away."""
    level = Level.full(Bucket(1, 1), 10.0)
    assert level.take(10.0)
    assert not level.take(5.0)
    assert level.take(11.0)


@given(
    st.integers(1, 20),
    st.integers(0, 50),
    st.sampled_from([False, 0.5, 1.0]),
    st.lists(st.floats(0, 2, allow_nan=False), max_size=200),
)
def test_no_window_lets_more_through_than_burst_and_refill(
    burst: int, rate: int, stepped: float, gaps: list[float]
) -> None:
    """Between any two moments: burst + rate times what passed, and a step at most."""
    level = Level.full(Bucket(burst, rate, stepped=stepped), 0.0)
    now, taken = 0.0, 0
    for gap in gaps:
        now += gap
        taken += level.take(now)
        assert 0 <= level.tokens <= burst
        assert taken <= burst + rate * (now + stepped) + 1e-6


@pytest.mark.parametrize("members", [{"burst": -1}, {"rate": math.inf}, {"burst": math.nan}, {"stepped": -1.0}])
def test_a_bucket_of_no_size_is_refused(members: dict[str, Any]) -> None:
    """With a ValueError that names the member."""
    good: dict[str, Any] = {"burst": 1, "rate": 1}
    with pytest.raises(ValueError, match=f"Bucket.{next(iter(members))}"):
        Bucket(**(good | members))


def test_categories_share_a_bucket_and_nothing_else() -> None:
    """StopTask takes StartTask's tokens; reads have their own; what has no bucket is never throttled."""
    buckets = Buckets({"modify": Bucket(2, 0)})
    assert repr(buckets) == "Buckets(off or untouched)"
    assert [buckets.take(name, 0.0) for name in ("StartTask", "StopTask", "RunTask")] == [True, True, False]
    assert repr(buckets) == "Buckets(modify=0.0)"
    assert all(buckets.take(name, 0.0) for name in ("ListTasks", "DescribeTaskDefinition", "CreateCluster"))


def test_buckets_may_be_replaced_in_a_run() -> None:
    """By full ones, by the published ones, or by none."""
    buckets = Buckets({"modify": Bucket(0, 0)})
    assert not buckets.take("StartTask", 0.0)
    buckets.set("documented")
    assert sum(buckets.take("ListTasks", 0.0) for _ in range(200)) == 100
    buckets.set(None)
    assert sum(buckets.take("ListTasks", 0.0) for _ in range(200)) == 200


def test_an_unknown_category_is_refused() -> None:
    """The message lists those there are."""
    with pytest.raises(ValueError, match="unknown category 'reads'; one of \\['cluster_read'"):
        Buckets({"reads": Bucket(1, 1)})
    assert set(DOCUMENTED) == set(CATEGORIES.values())
