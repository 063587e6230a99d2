"""poll_schedule: whom to look at, and when; what is remembered."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aioecs._logic.tasks.poll_schedule import (
    AT_ONCE,
    BETWEEN_ROUNDS,
    LONGEST,
    SHORTEST,
    SHORTEST_WITH_EVENTS,
    SLACK,
    WITH_EVENTS,
    PollRequest,
    PollSchedule,
)
from aioecs._logic.tasks.task_address import Address
from aioecs._model.shapes.task import Task

RATE = 20.0


def address(at: int = 0, cluster: str = "c", task: Task | None = None) -> Address:
    return Address((cluster, f"t{at}"), f"t{at}", task)


def task(status: str, version: int) -> Task:
    return Task(last_status=status, version=version)


def names(requests: list[PollRequest]) -> list[list[str]]:
    return [[entry.name for entry in request.entries] for request in requests]


def due(schedule: PollSchedule, now: float, rate: float = RATE) -> float:
    at = schedule.next_at(now, rate)
    assert at is not None
    return at


def lookup(schedule: PollSchedule, now: float, took: float = 0.0) -> int:
    """Make a round of looks that change nothing, and return how many it took."""
    requests = schedule.round(now, RATE)
    for request in requests:
        schedule.answered(request, now + took)
    return len(requests)


def test_a_hundred_a_call() -> None:
    """Each task once, in calls filled up, at once: 1,000 tasks are ten calls."""
    schedule = PollSchedule()
    for at in range(1000):
        schedule.add(address(at), 0.0)
        schedule.add(address(at), 0.0)
    assert (len(schedule), due(schedule, 0.0)) == (1000, -math.inf)
    requests = schedule.round(0.0, RATE)
    assert [len(request.entries) for request in requests] == [100] * 10
    assert len({entry.key for request in requests for entry in request.entries}) == 1000
    assert schedule.round(0.0, RATE) == []
    assert schedule.next_at(0.0, RATE) is None


def test_each_cluster_by_itself() -> None:
    """A call asks for tasks of one cluster."""
    schedule = PollSchedule()
    for at in range(4):
        schedule.add(address(at, "ab"[at % 2]), 0.0)
    requests = schedule.round(0.0, RATE)
    assert [(request.cluster, names([request])[0]) for request in requests] == [
        ("a", ["t0", "t2"]),
        ("b", ["t1", "t3"]),
    ]


@pytest.mark.parametrize(("age", "poll_interval"), [(0, SHORTEST), (5, SHORTEST), (20, 2), (100, 10), (10**6, LONGEST)])
def test_the_longer_a_state_lasts_the_less_often_it_is_polled(age: float, poll_interval: float) -> None:
    """A tenth of its time, within bounds."""
    schedule = PollSchedule()
    schedule.add(address(), 0.0)
    (request,) = schedule.round(0.0, RATE)
    schedule.answered(request, age)
    assert due(schedule, age) == pytest.approx(age + poll_interval)


def test_a_change_makes_it_young_again() -> None:
    """What follows a change may follow soon."""
    schedule = PollSchedule()
    schedule.add(address(), 0.0)
    (request,) = schedule.round(0.0, RATE)
    assert schedule.observe_described(("c", "t0"), task("RUNNING", 2), 500.0) is not None
    schedule.answered(request, 500.0)
    assert due(schedule, 500.0) == 500.0 + SHORTEST


def test_a_call_is_filled_up_with_who_is_next() -> None:
    """It costs the same; and who was never looked at goes first."""
    schedule = PollSchedule()
    for at in range(99):
        schedule.add(address(at), 0.0)
    lookup(schedule, 0.0)
    schedule.add(address(99), 0.5)
    schedule.add(address(100), 0.5)
    (request,) = schedule.round(0.5, RATE)
    assert len(request.entries) == 100
    assert [entry.name for entry in request.entries[:2]] == ["t99", "t100"]


def test_rounds_keep_a_distance() -> None:
    """Whoever comes within a tick of a round waits for the next."""
    schedule = PollSchedule()
    schedule.add(address(0), 0.0)
    lookup(schedule, 0.0)
    schedule.add(address(1), 0.1)
    assert due(schedule, 0.1) == BETWEEN_ROUNDS


@pytest.mark.parametrize("rate", [20.0, 40.0, math.inf, 0.0])
def test_no_more_than_a_share_of_the_bucket(rate: float) -> None:
    """After one burst, a quarter of the refill; of the published one where nothing is known."""
    schedule = PollSchedule()
    for at in range(20_000):
        schedule.add(address(at), 0.0)
    now, calls = 0.0, 0
    while now < 60:
        requests = schedule.round(now, rate)
        calls += len(requests)
        for request in requests:
            schedule.answered(request, now)
        now = max(now + 0.001, due(schedule, now, rate))
    share = (40 if rate == 40 else 20) / 4
    assert AT_ONCE + share * 59 <= calls <= AT_ONCE + share * 60 + 1


@pytest.mark.parametrize("rate", [1e-3, 0.7, 20.0, 333.3])
def test_a_round_that_is_due_has_a_request(rate: float) -> None:
    """Or a loop whose clock stands still between two steps would turn for ever."""
    schedule = PollSchedule()
    for number in range(600):
        schedule.add(address(number), 0.0)
    now = 0.0
    for step in range(400):
        at = due(schedule, now, rate)
        if at <= now + SLACK:
            requests = schedule.round(now, rate)
            assert requests
            for request in requests:
                schedule.answered(request, now)
        else:
            now = at - (SLACK * (step % 7) / 3 if at - now > 1e-3 else 0)  # timers fire a little early


def test_nobody_starves() -> None:
    """Of more tasks than the share allows at once, each is looked at in turn."""
    schedule = PollSchedule()
    for at in range(10_000):
        schedule.add(address(at), 0.0)
    observe: set[str] = set()
    now = 0.0
    while now < 11:
        for request in schedule.round(now, RATE):
            observe.update(entry.name for entry in request.entries)
            schedule.answered(request, now)
        now += BETWEEN_ROUNDS
    assert len(observe) == 10_000


def test_a_task_that_was_passed_is_not_polled_at_once() -> None:
    """It was just answered, as a rule; and its state counts as seen."""
    schedule = PollSchedule()
    has_status = task("PENDING", 1)
    entry = schedule.add(address(task=has_status), 0.0)
    assert entry.observation is not None
    assert entry.observation.task is has_status
    assert due(schedule, 0.0) == SHORTEST


def test_a_task_without_a_status_is_polled() -> None:
    """A Task that bears an ARN alone is as good as the ARN."""
    schedule = PollSchedule()
    assert schedule.add(address(task=Task(task_arn="t0")), 0.0).observation is None
    assert due(schedule, 0.0) == -math.inf


def test_events_make_the_poll_a_net() -> None:
    """One poll in five minutes, from the first event on, even if it repeats what a poll showed."""
    schedule = PollSchedule()
    entry = schedule.add(address(), 0.0)
    (request,) = schedule.round(0.0, RATE)
    schedule.observe_described(entry.key, task("PENDING", 1), 0.1)
    schedule.answered(request, 0.1)
    assert schedule.observe_event(entry.key, task("PENDING", 1), 0.5) is None
    assert due(schedule, 0.5) == 0.5 + WITH_EVENTS
    assert schedule.observe_event(entry.key, task("RUNNING", 2), 2.0) is not None
    assert due(schedule, 2.0) == 2.0 + WITH_EVENTS
    schedule.observe_event(entry.key, task("RUNNING", 2), 100.0)
    assert due(schedule, 100.0) == 2.0 + WITH_EVENTS


def test_what_is_stale() -> None:
    """A version no newer than what is known of the task, waited for or not; an uncounted version isn't stale."""
    schedule = PollSchedule()
    key = schedule.add(address(), 0.0).key
    assert not schedule.stale(key, 1)
    schedule.observe_event(key, task("RUNNING", 2), 0.0)
    assert [schedule.stale(key, version) for version in (1, 2, 3)] == [True, True, False]
    schedule.remove(key)
    assert [schedule.stale(key, version) for version in (1, 2, 3)] == [True, True, False]
    uncounted = schedule.add(address(1, task=Task(last_status="RUNNING")), 0.0)
    assert not schedule.stale(uncounted.key, 1)


def test_a_stale_event_shows_that_events_come_in() -> None:
    """The task is polled rarely all the same; a stale event of an unknown task changes nothing."""
    schedule = PollSchedule()
    entry = schedule.add(address(), 0.0)
    assert schedule.observe_event(entry.key, None, 0.0) is None
    assert (entry.has_events, due(schedule, 0.0)) == (True, WITH_EVENTS)
    assert schedule.observe_event(("c", "other"), None, 0.0) is None
    assert schedule.remembered == 0


@pytest.mark.parametrize(
    ("silent", "poll_interval"), [(0.0, SHORTEST_WITH_EVENTS), (59.0, SHORTEST_WITH_EVENTS), (61.0, SHORTEST)]
)
def test_events_postpone_the_next_poll(silent: float, poll_interval: float) -> None:
    """Those of other tasks of a cluster show that one's own may only be late."""
    schedule = PollSchedule()
    has_events, waiting, elsewhere = (schedule.add(address(at, "ccd"[at]), 0.0).key for at in range(3))
    schedule.observe_event(has_events, task("RUNNING", 2), 0.0)
    for request in schedule.round(0.0, RATE):
        schedule.observe_described(waiting, task("PENDING", 1), silent)
        schedule.observe_described(elsewhere, task("PENDING", 1), silent)
        schedule.answered(request, silent)
    due_at = {key: entry.due for key in (has_events, waiting, elsewhere) if (entry := schedule.get(key))}
    assert due_at == {has_events: silent + WITH_EVENTS, waiting: silent + poll_interval, elsewhere: silent + SHORTEST}


def test_an_event_while_a_request_is_in_flight() -> None:
    """The request's older answer undoes nothing, and the long interval begins at its end."""
    schedule = PollSchedule()
    entry = schedule.add(address(), 0.0)
    (request,) = schedule.round(0.0, RATE)
    schedule.observe_event(entry.key, task("RUNNING", 2), 0.1)
    assert schedule.observe_described(entry.key, task("PENDING", 1), 0.2) is None
    schedule.answered(request, 0.2)
    assert entry.observation is not None
    assert entry.observation.task.last_status == "RUNNING"
    assert due(schedule, 0.2) == 0.2 + WITH_EVENTS


def test_an_event_before_the_wait_counts() -> None:
    """It is remembered, its version too."""
    schedule = PollSchedule()
    assert schedule.observe_event(("c", "t0"), task("RUNNING", 2), 0.0) is not None
    assert schedule.observe_event(("c", "t0"), task("RUNNING", 2), 0.0) is None
    assert schedule.observe_event(("c", "t0"), task("PENDING", 1), 0.0) is None
    entry = schedule.add(address(task=task("PENDING", 1)), 5.0)
    assert entry.observation is not None
    assert entry.observation.ran
    assert (schedule.remembered, due(schedule, 5.0)) == (0, 5.0 + WITH_EVENTS)


def test_memory_is_bounded() -> None:
    """The latest are kept."""
    schedule = PollSchedule(remembered=3)
    for at in range(10):
        schedule.observe_event(("c", f"t{at}"), task("RUNNING", 2), 0.0)
        schedule.observe_event(("c", "t0"), task("RUNNING", 2 + at), 0.0)
    assert schedule.remembered == 3
    assert schedule.add(address(0), 1.0).observation is not None
    assert schedule.add(address(9), 1.0).observation is not None
    assert schedule.add(address(7), 1.0).observation is None


@pytest.mark.parametrize(
    ("status", "by_event", "kept"),
    [("RUNNING", False, False), ("STOPPED", False, True), ("RUNNING", True, True), ("PENDING", True, True)],
)
def test_what_is_remembered_of_a_wait(status: str, by_event: bool, kept: bool) -> None:
    """What will not grow old unseen: an end, and what events keep up to date."""
    schedule = PollSchedule()
    key = schedule.add(address(), 0.0).key
    (schedule.observe_event if by_event else schedule.observe_described)(key, task(status, 2), 1.0)
    schedule.remove(key)
    schedule.remove(key)
    assert (len(schedule), schedule.remembered) == (0, int(kept))
    assert schedule.get(key) is None
    assert schedule.next_at(1.0, RATE) is None


def test_hurry() -> None:
    """A poll ahead of its time, unless one began lately or is in flight."""
    schedule = PollSchedule()
    key = schedule.add(address(), 0.0).key
    schedule.poll_soon(("c", "nobody"), 0.0, 0.0)
    (request,) = schedule.round(0.0, RATE)
    schedule.poll_soon(key, 50.0, 47.0)
    assert schedule.next_at(50.0, RATE) is None
    schedule.answered(request, 50.0)
    assert due(schedule, 50.0) == 55.0
    schedule.poll_soon(key, 50.0, -1.0)
    assert due(schedule, 50.0) == 55.0
    schedule.poll_soon(key, 50.0, 47.0)
    assert due(schedule, 50.0) == 50.0


def test_a_removed_task_is_not_polled() -> None:
    """It isn't observed either, and a request that it was part of does not bring it back."""
    schedule = PollSchedule()
    first, second = schedule.add(address(0), 0.0).key, schedule.add(address(1), 0.0).key
    (request,) = schedule.round(0.0, RATE)
    schedule.remove(first)
    assert schedule.observe_described(first, task("RUNNING", 2), 0.1) is None
    again = schedule.add(address(0), 0.2)
    schedule.answered(request, 0.3)
    assert (again.due, again.in_flight) == (-math.inf, False)
    schedule.remove(second)
    assert names(schedule.round(1.0, RATE)) == [["t0"]]


def test_what_is_void_is_thrown_out() -> None:
    """A queue does not grow with what came and went, or was put off again and again."""
    schedule = PollSchedule()
    schedule.add(address(-1), 0.0)
    for at in range(5000):
        key = schedule.add(address(at), 0.0).key
        schedule.observe_event(key, task("PENDING", 1), 0.0)
        schedule.remove(key)
    queues: Any = schedule._queues
    assert len(queues["c"]) < 600


def test_a_claim_that_ecs_does_not_confirm() -> None:
    """A task of which an event claims more than ECS described after it is looked at as often as before."""
    schedule = PollSchedule()
    entry = schedule.add(address(), 0.0)
    schedule.observe_event(entry.key, task("RUNNING", 10**15), 0.0)
    assert due(schedule, 0.0) == WITH_EVENTS
    (request,) = schedule.round(WITH_EVENTS, RATE)
    assert schedule.observe_described(entry.key, task("RUNNING", 5), WITH_EVENTS) is None
    schedule.answered(request, WITH_EVENTS)
    assert due(schedule, WITH_EVENTS) < WITH_EVENTS + 31
    assert schedule.observe_described(entry.key, task("STOPPED", 6), WITH_EVENTS + 1) is not None


def test_an_event_of_another_account_is_not_remembered_for_this_one() -> None:
    """Clusters and ids may bear the same names there."""
    schedule = PollSchedule()
    theirs = Task(task_arn="arn:aws:ecs:us-east-1:210987654321:task/c/t0", last_status="STOPPED", version=9)
    schedule.observe_event(("c", "t0"), theirs, 0.0)
    ours = Address(("c", "t0"), "arn:aws:ecs:us-east-1:123456789012:task/c/t0")
    assert schedule.add(ours, 1.0).observation is None
