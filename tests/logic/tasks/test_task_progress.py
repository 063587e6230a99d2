"""task_progress: how far a task has come, and which description is the newer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aioecs._logic.tasks.task_progress import LIFE, Goal, Observation, Standing, exit_codes, newer, seen, standing
from aioecs._model.shapes.container import Container
from aioecs._model.shapes.task import Task

THEN = datetime(2026, 11, 25, tzinfo=UTC)
NOT_YET, REACHED, NEVER = Standing.NOT_YET, Standing.REACHED, Standing.NEVER


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
def test_what_a_state_means(now: Task, running: Standing, stopped: Standing) -> None:
    """Running is having run, by `started_at` or the status; stopped is stopped; without having run it never will."""
    observation = seen(now)
    assert (standing(observation, Goal.RUNNING), standing(observation, Goal.STOPPED)) == (running, stopped)


def test_nothing_seen_is_not_yet() -> None:
    """A task that was never seen may come to anything."""
    assert [standing(None, goal) for goal in Goal] == [NOT_YET] * len(Goal)


def test_having_run_is_remembered() -> None:
    """A task that was seen RUNNING has run, whatever later descriptions leave out."""
    before = seen(task("RUNNING", 2))
    after = seen(task("STOPPED", 4), before)
    assert after == Observation(task("STOPPED", 4), ran=True)
    assert standing(after, Goal.RUNNING) is REACHED


@pytest.mark.parametrize(
    ("one", "other", "is_newer"),
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
def test_which_is_newer(one: Task, other: Task, is_newer: bool) -> None:
    """The version tells; where it doesn't, how far the task has come."""
    assert newer(one, other) is is_newer
    assert (seen(one, Observation(other, ran=False)) is not None) is is_newer


def test_the_order_of_life() -> None:
    """Each status is newer than those before it, and than no other."""
    for at, status in enumerate(LIFE):
        assert [newer(task(status), task(other)) for other in LIFE] == [at > place for place in range(len(LIFE))]


def test_exit_codes() -> None:
    """By container; None for one that never ran, and what is no container is passed over."""
    odd: Any = ["main"]
    stopped = task(containers=[Container(name="main", exit_code=3), Container(name="side"), *odd])
    assert exit_codes(stopped) == {"main": 3, "side": None}


def test_what_ecs_describes_wins_over_a_claim() -> None:
    """An event's version, however high, doesn't keep a task from being seen to stop; it keeps it from going back."""
    claim = seen(task("RUNNING", 10**15), described=False)
    assert claim is not None
    described = seen(task("STOPPED", 5), claim)
    assert described is not None
    assert described.over
    assert described.ran
    assert seen(task("PENDING", 4), claim) is None
    assert seen(task("STOPPED", 5), claim, described=False) is None
    assert seen(task("PENDING", 6), described) is not None


@pytest.mark.parametrize(
    ("status", "health", "standing_"),
    [
        ("RUNNING", "HEALTHY", Standing.REACHED),
        ("RUNNING", "UNHEALTHY", Standing.NOT_YET),
        ("RUNNING", "UNKNOWN", Standing.NOT_YET),
        ("RUNNING", None, Standing.NOT_YET),
        ("STOPPED", "HEALTHY", Standing.NEVER),
    ],
)
def test_healthy(status: str, health: str | None, standing_: Standing) -> None:
    """By the health of the task, as long as it has not stopped."""
    observation = seen(Task(last_status=status, health_status=health))
    assert standing(observation, Goal.HEALTHY) is standing_


def test_another_health_is_news() -> None:
    """Also without another version, if ECS describes it; an event that claims it needs one."""
    before = seen(Task(last_status="RUNNING", version=3, health_status="UNKNOWN"))
    after = Task(last_status="RUNNING", version=3, health_status="HEALTHY")
    assert seen(after, before) is not None
    assert seen(after, before, described=False) is None
    assert seen(after.replace(version=2), before) is None
