"""poll_schedule: whom to look at, and when; what is remembered."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aioecs._logic.tasks.poll_schedule import AT_ONCE, LONGEST, NET, SHORTEST, SLACK, SPARING, TICK, Look, PollSchedule
from aioecs._logic.tasks.task_address import Address
from aioecs._model.shapes.task import Task

RATE = 20.0


def address(at: int = 0, cluster: str = "c", task: Task | None = None) -> Address:
    return Address((cluster, f"t{at}"), f"t{at}", task)


def task(status: str, version: int) -> Task:
    return Task(last_status=status, version=version)


def names(looks: list[Look]) -> list[list[str]]:
    return [[entry.name for entry in look.entries] for look in looks]


def due(roster: PollSchedule, now: float, rate: float = RATE) -> float:
    at = roster.next_at(now, rate)
    assert at is not None
    return at


def looked(roster: PollSchedule, now: float, took: float = 0.0) -> int:
    """Make a round of looks that change nothing, and return how many it took."""
    looks = roster.round(now, RATE)
    for look in looks:
        roster.answered(look, now + took)
    return len(looks)


def test_a_hundred_a_call() -> None:
    """Each task once, in calls filled up, at once: 1,000 tasks are ten calls."""
    roster = PollSchedule()
    for at in range(1000):
        roster.want(address(at), 0.0)
        roster.want(address(at), 0.0)
    assert (len(roster), due(roster, 0.0)) == (1000, -math.inf)
    looks = roster.round(0.0, RATE)
    assert [len(look.entries) for look in looks] == [100] * 10
    assert len({entry.key for look in looks for entry in look.entries}) == 1000
    assert roster.round(0.0, RATE) == []
    assert roster.next_at(0.0, RATE) is None


def test_each_cluster_by_itself() -> None:
    """A call asks for tasks of one cluster."""
    roster = PollSchedule()
    for at in range(4):
        roster.want(address(at, "ab"[at % 2]), 0.0)
    looks = roster.round(0.0, RATE)
    assert [(look.cluster, names([look])[0]) for look in looks] == [("a", ["t0", "t2"]), ("b", ["t1", "t3"])]


@pytest.mark.parametrize(("age", "rest"), [(0, SHORTEST), (5, SHORTEST), (20, 2), (100, 10), (10**6, LONGEST)])
def test_the_longer_a_state_lasts_the_later_its_end_is_looked_for(age: float, rest: float) -> None:
    """A tenth of its time, within bounds."""
    roster = PollSchedule()
    roster.want(address(), 0.0)
    (look,) = roster.round(0.0, RATE)
    roster.answered(look, age)
    assert due(roster, age) == pytest.approx(age + rest)


def test_a_change_makes_it_young_again() -> None:
    """What follows a change may follow soon."""
    roster = PollSchedule()
    roster.want(address(), 0.0)
    (look,) = roster.round(0.0, RATE)
    assert roster.shown(("c", "t0"), task("RUNNING", 2), 500.0) is not None
    roster.answered(look, 500.0)
    assert due(roster, 500.0) == 500.0 + SHORTEST


def test_a_call_is_filled_up_with_who_is_next() -> None:
    """It costs the same; and who was never looked at goes first."""
    roster = PollSchedule()
    for at in range(99):
        roster.want(address(at), 0.0)
    looked(roster, 0.0)
    roster.want(address(99), 0.5)
    roster.want(address(100), 0.5)
    (look,) = roster.round(0.5, RATE)
    assert len(look.entries) == 100
    assert [entry.name for entry in look.entries[:2]] == ["t99", "t100"]


def test_rounds_keep_a_distance() -> None:
    """Whoever comes within a tick of a round waits for the next."""
    roster = PollSchedule()
    roster.want(address(0), 0.0)
    looked(roster, 0.0)
    roster.want(address(1), 0.1)
    assert due(roster, 0.1) == TICK


@pytest.mark.parametrize("rate", [20.0, 40.0, math.inf, 0.0])
def test_no_more_than_a_share_of_the_bucket(rate: float) -> None:
    """After one burst, a quarter of the refill; of the published one where nothing is known."""
    roster = PollSchedule()
    for at in range(20_000):
        roster.want(address(at), 0.0)
    now, calls = 0.0, 0
    while now < 60:
        looks = roster.round(now, rate)
        calls += len(looks)
        for look in looks:
            roster.answered(look, now)
        now = max(now + 0.001, due(roster, now, rate))
    share = (40 if rate == 40 else 20) / 4
    assert AT_ONCE + share * 59 <= calls <= AT_ONCE + share * 60 + 1


@pytest.mark.parametrize("rate", [1e-3, 0.7, 20.0, 333.3])
def test_a_round_that_is_due_has_a_look(rate: float) -> None:
    """Or a loop whose clock stands still between two steps would turn for ever."""
    roster = PollSchedule()
    for number in range(600):
        roster.want(address(number), 0.0)
    now = 0.0
    for step in range(400):
        at = due(roster, now, rate)
        if at <= now + SLACK:
            looks = roster.round(now, rate)
            assert looks
            for look in looks:
                roster.answered(look, now)
        else:
            now = at - (SLACK * (step % 7) / 3 if at - now > 1e-3 else 0)  # timers fire a little early


def test_nobody_starves() -> None:
    """Of more tasks than the share allows at once, each is looked at in turn."""
    roster = PollSchedule()
    for at in range(10_000):
        roster.want(address(at), 0.0)
    seen: set[str] = set()
    now = 0.0
    while now < 11:
        for look in roster.round(now, RATE):
            seen.update(entry.name for entry in look.entries)
            roster.answered(look, now)
        now += TICK
    assert len(seen) == 10_000


def test_a_task_in_hand_is_not_looked_at_at_once() -> None:
    """It was just answered, as a rule; and what it tells counts as seen."""
    roster = PollSchedule()
    given = task("PENDING", 1)
    entry = roster.want(address(task=given), 0.0)
    assert entry.observation is not None
    assert entry.observation.task is given
    assert due(roster, 0.0) == SHORTEST


def test_a_task_that_tells_nothing_is_looked_at() -> None:
    """A Task that bears an ARN alone is as good as the ARN."""
    roster = PollSchedule()
    assert roster.want(address(task=Task(task_arn="t0")), 0.0).observation is None
    assert due(roster, 0.0) == -math.inf


def test_events_make_the_poll_a_net() -> None:
    """One look in five minutes, from the first event on, be it a repeat of what a look showed."""
    roster = PollSchedule()
    entry = roster.want(address(), 0.0)
    (look,) = roster.round(0.0, RATE)
    roster.shown(entry.key, task("PENDING", 1), 0.1)
    roster.answered(look, 0.1)
    assert roster.told(entry.key, task("PENDING", 1), 0.5) is None
    assert due(roster, 0.5) == 0.5 + NET
    assert roster.told(entry.key, task("RUNNING", 2), 2.0) is not None
    assert due(roster, 2.0) == 2.0 + NET
    roster.told(entry.key, task("RUNNING", 2), 100.0)
    assert due(roster, 100.0) == 2.0 + NET


def test_what_is_stale() -> None:
    """A version no newer than what is known of the task, waited for or not; one that isn't counted can't be."""
    roster = PollSchedule()
    key = roster.want(address(), 0.0).key
    assert not roster.stale(key, 1)
    roster.told(key, task("RUNNING", 2), 0.0)
    assert [roster.stale(key, version) for version in (1, 2, 3)] == [True, True, False]
    roster.unwant(key)
    assert [roster.stale(key, version) for version in (1, 2, 3)] == [True, True, False]
    uncounted = roster.want(address(1, task=Task(last_status="RUNNING")), 0.0)
    assert not roster.stale(uncounted.key, 1)


def test_a_stale_event_shows_that_events_come_in() -> None:
    """It makes the poll a net all the same; of a task that is not known it tells nothing."""
    roster = PollSchedule()
    entry = roster.want(address(), 0.0)
    assert roster.told(entry.key, None, 0.0) is None
    assert (entry.fed, due(roster, 0.0)) == (True, NET)
    assert roster.told(("c", "other"), None, 0.0) is None
    assert roster.remembered == 0


@pytest.mark.parametrize(("silent", "rest"), [(0.0, SPARING), (59.0, SPARING), (61.0, SHORTEST)])
def test_where_events_come_in_a_look_is_put_off(silent: float, rest: float) -> None:
    """Those of other tasks of a cluster show that one's own may only be late."""
    roster = PollSchedule()
    fed, waiting, elsewhere = (roster.want(address(at, "ccd"[at]), 0.0).key for at in range(3))
    roster.told(fed, task("RUNNING", 2), 0.0)
    for look in roster.round(0.0, RATE):
        roster.shown(waiting, task("PENDING", 1), silent)
        roster.shown(elsewhere, task("PENDING", 1), silent)
        roster.answered(look, silent)
    due_at = {key: entry.due for key in (fed, waiting, elsewhere) if (entry := roster.get(key))}
    assert due_at == {fed: silent + NET, waiting: silent + rest, elsewhere: silent + SHORTEST}


def test_an_event_while_a_look_is_on_its_way() -> None:
    """The look's older answer undoes nothing, and the net begins at its end."""
    roster = PollSchedule()
    entry = roster.want(address(), 0.0)
    (look,) = roster.round(0.0, RATE)
    roster.told(entry.key, task("RUNNING", 2), 0.1)
    assert roster.shown(entry.key, task("PENDING", 1), 0.2) is None
    roster.answered(look, 0.2)
    assert entry.observation is not None
    assert entry.observation.task.last_status == "RUNNING"
    assert due(roster, 0.2) == 0.2 + NET


def test_an_event_before_the_wait_counts() -> None:
    """It is remembered, its version too."""
    roster = PollSchedule()
    assert roster.told(("c", "t0"), task("RUNNING", 2), 0.0) is not None
    assert roster.told(("c", "t0"), task("RUNNING", 2), 0.0) is None
    assert roster.told(("c", "t0"), task("PENDING", 1), 0.0) is None
    entry = roster.want(address(task=task("PENDING", 1)), 5.0)
    assert entry.observation is not None
    assert entry.observation.ran
    assert (roster.remembered, due(roster, 5.0)) == (0, 5.0 + NET)


def test_memory_is_bounded() -> None:
    """The latest are kept."""
    roster = PollSchedule(remembered=3)
    for at in range(10):
        roster.told(("c", f"t{at}"), task("RUNNING", 2), 0.0)
        roster.told(("c", "t0"), task("RUNNING", 2 + at), 0.0)
    assert roster.remembered == 3
    assert roster.want(address(0), 1.0).observation is not None
    assert roster.want(address(9), 1.0).observation is not None
    assert roster.want(address(7), 1.0).observation is None


@pytest.mark.parametrize(
    ("status", "by_event", "kept"),
    [("RUNNING", False, False), ("STOPPED", False, True), ("RUNNING", True, True), ("PENDING", True, True)],
)
def test_what_is_remembered_of_a_wait(status: str, by_event: bool, kept: bool) -> None:
    """What will not grow old unseen: an end, and what events keep up to date."""
    roster = PollSchedule()
    key = roster.want(address(), 0.0).key
    (roster.told if by_event else roster.shown)(key, task(status, 2), 1.0)
    roster.unwant(key)
    roster.unwant(key)
    assert (len(roster), roster.remembered) == (0, int(kept))
    assert roster.get(key) is None
    assert roster.next_at(1.0, RATE) is None


def test_hurry() -> None:
    """A look ahead of its time, unless one began lately or is on its way."""
    roster = PollSchedule()
    key = roster.want(address(), 0.0).key
    roster.hurry(("c", "nobody"), 0.0, 0.0)
    (look,) = roster.round(0.0, RATE)
    roster.hurry(key, 50.0, 47.0)
    assert roster.next_at(50.0, RATE) is None
    roster.answered(look, 50.0)
    assert due(roster, 50.0) == 55.0
    roster.hurry(key, 50.0, -1.0)
    assert due(roster, 50.0) == 55.0
    roster.hurry(key, 50.0, 47.0)
    assert due(roster, 50.0) == 50.0


def test_what_was_dropped_is_not_looked_at() -> None:
    """Nor is it shown or told, and a look that it was part of does not bring it back."""
    roster = PollSchedule()
    first, second = roster.want(address(0), 0.0).key, roster.want(address(1), 0.0).key
    (look,) = roster.round(0.0, RATE)
    roster.unwant(first)
    assert roster.shown(first, task("RUNNING", 2), 0.1) is None
    again = roster.want(address(0), 0.2)
    roster.answered(look, 0.3)
    assert (again.due, again.asking) == (-math.inf, False)
    roster.unwant(second)
    assert names(roster.round(1.0, RATE)) == [["t0"]]


def test_what_is_void_is_thrown_out() -> None:
    """A queue does not grow with what came and went, or was put off again and again."""
    roster = PollSchedule()
    roster.want(address(-1), 0.0)
    for at in range(5000):
        key = roster.want(address(at), 0.0).key
        roster.told(key, task("PENDING", 1), 0.0)
        roster.unwant(key)
    queues: Any = roster._queues
    assert len(queues["c"]) < 600


def test_a_claim_that_ecs_does_not_confirm() -> None:
    """A task of which an event claims more than ECS described after it is looked at as often as before."""
    roster = PollSchedule()
    entry = roster.want(address(), 0.0)
    roster.told(entry.key, task("RUNNING", 10**15), 0.0)
    assert due(roster, 0.0) == NET
    (look,) = roster.round(NET, RATE)
    assert roster.shown(entry.key, task("RUNNING", 5), NET) is None
    roster.answered(look, NET)
    assert due(roster, NET) < NET + 31
    assert roster.shown(entry.key, task("STOPPED", 6), NET + 1) is not None


def test_an_event_of_another_account_is_not_remembered_for_this_one() -> None:
    """Clusters and ids may bear the same names there."""
    roster = PollSchedule()
    theirs = Task(task_arn="arn:aws:ecs:us-east-1:210987654321:task/c/t0", last_status="STOPPED", version=9)
    roster.told(("c", "t0"), theirs, 0.0)
    ours = Address(("c", "t0"), "arn:aws:ecs:us-east-1:123456789012:task/c/t0")
    assert roster.want(ours, 1.0).observation is None
