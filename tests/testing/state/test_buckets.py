"""buckets: token buckets, with the time passed in."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs.testing._state.buckets import CATEGORIES, DOCUMENTED, Bucket, Buckets, BucketState


def test_a_full_bucket_allows_its_burst_and_then_its_rate() -> None:
    """A hundred at once, then forty a second."""
    state = BucketState.full(DOCUMENTED["modify"], 1000.0)
    assert sum(state.take(1000.0) for _ in range(150)) == 100
    assert sum(state.take(1000.0 + tick / 1000) for tick in range(1, 1001)) == 40


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """Not even after a day without requests."""
    state = BucketState.full(Bucket(3, 1), 0.0)
    assert state.take(0.0)
    assert sum(state.take(86400.0) for _ in range(10)) == 3


@pytest.mark.parametrize(
    ("phase", "first", "second"),
    [(0.0, 1.0, 2.0), (0.25, 0.25, 1.25)],
)
def test_a_stepped_bucket_refills_at_its_steps(phase: float, first: float, second: float) -> None:
    """Nothing just before a step, all of it at the step."""
    state = BucketState.full(Bucket(2, 2, stepped=True, phase=phase), 0.1)
    assert [state.take(0.1) for _ in range(3)] == [True, True, False]
    for step in (first, second):
        assert not state.take(step - 0.001)
        assert [state.take(step) for _ in range(3)] == [True, True, False]


def test_a_step_may_have_any_length() -> None:
    """Five seconds add five times the rate."""
    state = BucketState.full(Bucket(10, 1, stepped=5), 0.0)
    assert sum(state.take(0.0) for _ in range(12)) == 10
    assert not state.take(4.9)
    assert sum(state.take(5.0) for _ in range(12)) == 5


def test_a_step_back_in_time_refills_nothing() -> None:
    """Nor does it remove tokens."""
    state = BucketState.full(Bucket(1, 1), 10.0)
    assert state.take(10.0)
    assert not state.take(5.0)
    assert state.take(11.0)


@given(
    st.integers(1, 20),
    st.integers(0, 50),
    st.sampled_from([False, 0.5, 1.0]),
    st.lists(st.floats(0, 2, allow_nan=False), max_size=200),
)
def test_no_window_allows_more_than_burst_and_refill(burst: int, rate: int, stepped: float, gaps: list[float]) -> None:
    """Between any two times: burst, plus rate times the seconds between them, plus at most one step."""
    state = BucketState.full(Bucket(burst, rate, stepped=stepped), 0.0)
    now, taken = 0.0, 0
    for gap in gaps:
        now += gap
        taken += state.take(now)
        assert 0 <= state.tokens <= burst
        assert taken <= burst + rate * (now + stepped) + 1e-6


@pytest.mark.parametrize("members", [{"burst": -1}, {"rate": math.inf}, {"burst": math.nan}, {"stepped": -1.0}])
def test_a_bucket_of_invalid_size_is_refused(members: dict[str, Any]) -> None:
    """With a ValueError that names the member."""
    good: dict[str, Any] = {"burst": 1, "rate": 1}
    with pytest.raises(ValueError, match=f"Bucket.{next(iter(members))}"):
        Bucket(**(good | members))


def test_categories_share_a_bucket_and_nothing_else() -> None:
    """StopTask takes StartTask's tokens; reads have their own; an operation without a bucket is never throttled."""
    buckets = Buckets({"modify": Bucket(2, 0)})
    assert repr(buckets) == "Buckets(off or unused)"
    assert [buckets.take(name, 0.0) for name in ("StartTask", "StopTask", "RunTask")] == [True, True, False]
    assert repr(buckets) == "Buckets(modify=0.0)"
    assert all(buckets.take(name, 0.0) for name in ("ListTasks", "DescribeTaskDefinition", "CreateCluster"))


def test_buckets_can_be_replaced() -> None:
    """By full ones, by the published ones, or by none."""
    buckets = Buckets({"modify": Bucket(0, 0)})
    assert not buckets.take("StartTask", 0.0)
    buckets.set("documented")
    assert sum(buckets.take("ListTasks", 0.0) for _ in range(200)) == 100
    buckets.set(None)
    assert sum(buckets.take("ListTasks", 0.0) for _ in range(200)) == 200


def test_an_unknown_category_is_refused() -> None:
    """The message lists the known ones."""
    with pytest.raises(ValueError, match="unknown category 'reads'; one of \\['cluster_read'"):
        Buckets({"reads": Bucket(1, 1)})
    assert set(DOCUMENTED) == set(CATEGORIES.values())
