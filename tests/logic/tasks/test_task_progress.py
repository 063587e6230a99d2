"""task_progress: how far a task has come, and which description is the newer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aioecs._logic.tasks.task_progress import (
    STATUSES,
    Goal,
    Observation,
    Progress,
    exit_codes,
    is_newer,
    observe,
    progress_towards,
)
from aioecs._model.shapes.container import Container
from aioecs._model.shapes.task import Task

THEN = datetime(2026, 11, 25, tzinfo=UTC)
NOT_YET, REACHED, NEVER = Progress.NOT_YET, Progress.REACHED, Progress.NEVER


def task(status: Any = None, version: Any = None, **more: Any) -> Task:
    return Task(last_status=status, version=version, **more)


@pytest.mark.parametrize(
    ("now", "running", "stopped"),
    [
        (task("PROVISIONING"), NOT_YET, NOT_YET),
        (task("PENDING"), NOT_YET, NOT_YET),
        (task("ACTIVATING"), NOT_YET, NOT_YET),
        (task("RUNNING"), REACHED, NOT_YET),
        (task("RUNNING", started_at=THEN), REACHED, NOT_YET),
        (task("DEACTIVATING", started_at=THEN), REACHED, NOT_YET),
        (task("STOPPING", started_at=THEN), REACHED, NOT_YET),
        (task("STOPPED", started_at=THEN), REACHED, REACHED),
        (task("DELETED", started_at=THEN), REACHED, REACHED),
        (task("STOPPING", desired_status="STOPPED"), NOT_YET, NOT_YET),
        (task("DEPROVISIONING"), NOT_YET, NOT_YET),
        (task("STOPPED"), NEVER, REACHED),
        (task("STOPPED", stopped_reason="it ran, says the prose", containers=[Container(exit_code=0)]), NEVER, REACHED),
        (task("SOMETHING_NEW"), NOT_YET, NOT_YET),
        (task("SOMETHING_NEW", started_at=THEN), REACHED, NOT_YET),
        (task(), NOT_YET, NOT_YET),
        (task(["odd"]), NOT_YET, NOT_YET),
    ],
)
def test_what_a_state_means(now: Task, running: Progress, stopped: Progress) -> None:
    """Running is having run, by `started_at` or the status; stopped is stopped; without having run it never will."""
    observation = observe(now)
    assert (progress_towards(observation, Goal.RUNNING), progress_towards(observation, Goal.STOPPED)) == (
        running,
        stopped,
    )


def test_nothing_seen_is_not_yet() -> None:
    """A task that was never seen may come to anything."""
    assert [progress_towards(None, goal) for goal in Goal] == [NOT_YET] * len(Goal)


def test_having_run_is_remembered() -> None:
    """A task that was seen RUNNING has run, whatever later descriptions leave out."""
    before = observe(task("RUNNING", 2))
    after = observe(task("STOPPED", 4), before)
    assert after == Observation(task("STOPPED", 4), ran=True)
    assert progress_towards(after, Goal.RUNNING) is REACHED


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (task("RUNNING", 3), task("PENDING", 2), True),
        (task("PENDING", 2), task("RUNNING", 3), False),
        (task("RUNNING", 3), task("RUNNING", 3), False),
        (task("PENDING", 5), task("RUNNING", 3), True),  # the version decides
        (task("RUNNING", 3), task("PENDING", 3), True),  # a service that counts no versions
        (task("RUNNING"), task("PENDING", 3), True),
        (task("PENDING"), task("RUNNING", 3), False),
        (task("RUNNING"), task("RUNNING"), False),
        (task("STOPPED", "odd"), task("RUNNING", 3), True),
        (task("NEW_ONE"), task("RUNNING"), True),
        (task("NEW_ONE"), task("NEW_ONE"), False),
        (task("NEW_ONE", 2), task("RUNNING", 3), False),
        (task(), task("RUNNING"), False),
        (task("PENDING"), task(), True),
    ],
)
def test_which_is_newer(one: Task, other: Task, expected: bool) -> None:
    """The version decides; where there is none, how far the task has come."""
    assert is_newer(one, other) is expected
    assert (observe(one, Observation(other, ran=False)) is not None) is expected


def test_the_order_of_life() -> None:
    """Each status is newer than those before it, and than no other."""
    for at, status in enumerate(STATUSES):
        assert [is_newer(task(status), task(other)) for other in STATUSES] == [
            at > place for place in range(len(STATUSES))
        ]


def test_exit_codes() -> None:
    """By container; None for one that never ran, and what is no container is passed over."""
    odd: Any = ["main"]
    stopped = task(containers=[Container(name="main", exit_code=3), Container(name="side"), *odd])
    assert exit_codes(stopped) == {"main": 3, "side": None}


def test_what_ecs_describes_wins_over_a_claim() -> None:
    """An event's version, however high, doesn't keep a task from being seen to stop; it keeps it from going back."""
    claim = observe(task("RUNNING", 10**15), described=False)
    assert claim is not None
    described = observe(task("STOPPED", 5), claim)
    assert described is not None
    assert described.over
    assert described.ran
    assert observe(task("PENDING", 4), claim) is None
    assert observe(task("STOPPED", 5), claim, described=False) is None
    assert observe(task("PENDING", 6), described) is not None


@pytest.mark.parametrize(
    ("status", "health", "progress"),
    [
        ("RUNNING", "HEALTHY", Progress.REACHED),
        ("RUNNING", "UNHEALTHY", Progress.NOT_YET),
        ("RUNNING", "UNKNOWN", Progress.NOT_YET),
        ("RUNNING", None, Progress.NOT_YET),
        ("STOPPED", "HEALTHY", Progress.NEVER),
    ],
)
def test_healthy(status: str, health: str | None, progress: Progress) -> None:
    """By the health of the task, as long as it has not stopped."""
    observation = observe(Task(last_status=status, health_status=health))
    assert progress_towards(observation, Goal.HEALTHY) is progress


def test_another_health_is_a_change() -> None:
    """Also without another version, if ECS describes it; an event that claims it needs one."""
    before = observe(Task(last_status="RUNNING", version=3, health_status="UNKNOWN"))
    after = Task(last_status="RUNNING", version=3, health_status="HEALTHY")
    assert observe(after, before) is not None
    assert observe(after, before, described=False) is None
    assert observe(after.replace(version=2), before) is None
