"""host_capacity: what is free on which host, ECS's snapshot less our own starts."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs._logic.placement import host_capacity as fleets
from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.host_capacity import CapacityModel, Pool, Room

ARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/"
SMALL = Demand(cpu=10, memory=20)
WEB = Demand(memory=1, tcp=frozenset({80}), udp=frozenset({53}))
ONE_GPU = Demand(gpus=1)
ALL_GPUS = Demand(all_gpus=True)


def host(name: str = "a", **given: Any) -> Host:
    """Make a host with room for ten small tasks."""
    shown: dict[str, Any] = {"arn": ARN + name, "cpu": 100, "memory": 200, **given}
    return Host(**shown)


def capacity_model(*hosts: Host) -> tuple[CapacityModel, Room]:
    """Make a fleet, and return its first room too."""
    made = CapacityModel(hosts or (host(),))
    return made, next(iter(made.rooms.values()))


# Room ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("demand", "lacking", "times"),
    [
        (SMALL, None, 10),
        (Demand(cpu=30, memory=20), None, 3),
        (Demand(), None, float("inf")),
        (Demand(cpu=101, memory=201), "RESOURCE:CPU", 0),
        (Demand(memory=201), "RESOURCE:MEMORY", 0),
        (Demand(tcp=frozenset({22})), "RESOURCE:PORTS", 0),
        (Demand(udp=frozenset({1, 123})), "RESOURCE:PORTS", 0),
        (WEB, None, 1),
        (ONE_GPU, None, 2),
        (Demand(gpus=3), "RESOURCE:GPU", 0),
        (ALL_GPUS, None, 1),
    ],
)
def test_what_fits(demand: Demand, lacking: str | None, times: float) -> None:
    """What lacks is named in ECS's words and order; what fits is counted."""
    _, room = capacity_model(host(gpus=2, tcp=frozenset({22}), udp=frozenset({123})))
    assert room.lacks(demand) == lacking
    assert room.times(demand) == times


def test_a_debit_takes_and_a_credit_restores() -> None:
    """Each resource, and the count of tasks."""
    made, room = capacity_model(host(gpus=2, tasks=1))
    for demand in (SMALL, WEB, ONE_GPU):
        made.take(room, demand)
    assert (room.cpu, room.memory, room.gpus, room.tasks) == (90, 179, 1, 4)
    assert (set(room.tcp), set(room.udp)) == ({80}, {53})
    for demand in (SMALL, WEB, ONE_GPU):
        made.give_back(room, demand)
    assert (room.cpu, room.memory, room.gpus, room.tasks) == (100, 200, 2, 1)
    assert not room.tcp | room.udp


def test_a_task_with_all_gpus_leaves_none() -> None:
    """However many there are; and a host without any has none for it."""
    made, room = capacity_model(host(gpus=8))
    made.take(room, ALL_GPUS)
    assert (room.gpus, room.lacks(ONE_GPU), room.lacks(ALL_GPUS)) == (0, "RESOURCE:GPU", "RESOURCE:GPU")
    assert capacity_model(host())[1].lacks(ALL_GPUS) == "RESOURCE:GPU"


def test_an_overdrawn_host_still_has_nothing_for_nothing() -> None:
    """More was started than the snapshot had room for: what takes no CPU is not refused for CPU."""
    made, room = capacity_model(host(cpu=5, memory=5))
    made.land(room, SMALL)
    assert (room.cpu, room.memory) == (-5, -15)
    assert room.lacks(Demand()) is None
    assert room.lacks(Demand(cpu=1)) == "RESOURCE:CPU"
    assert room.lacks(Demand(memory=1)) == "RESOURCE:MEMORY"


# Snapshots -----------------------------------------------------------------------------------------------------------


def test_a_start_is_debited_until_a_later_snapshot_shows_it() -> None:
    """In flight: always. Landed: until a snapshot that was begun afterwards."""
    made, room = capacity_model()
    made.take(room, SMALL)
    made.take(room, SMALL)
    made.land(room, SMALL)
    assert room.cpu == 80
    made.refresh([host(cpu=90)])  # the landed one is in it; the other is not, or is, who knows
    assert room.cpu == 80
    assert not made.doubtful  # what is in flight may come to nothing
    made.land(room, SMALL)
    assert room.cpu == 80
    assert made.doubtful
    made.refresh([host(cpu=80)])
    assert room.cpu == 80
    assert not made.doubtful


def test_what_lands_while_a_snapshot_is_taken_stays_debited() -> None:
    """`loading` says when it was begun: before that all is in it, after that it can't be told."""
    made, room = capacity_model()
    made.land(room, SMALL)
    made.loading()
    made.land(room, SMALL)
    assert room.cpu == 80
    made.refresh([host(cpu=90)])
    assert room.cpu == 80
    assert made.doubtful
    made.loading()  # this one fails
    made.land(room, SMALL)
    made.loading()
    made.refresh([host(cpu=70)])
    assert room.cpu == 70
    assert not made.doubtful


def test_doubt_goes_with_what_came_to_nothing() -> None:
    """A start that was in flight over a snapshot, and was refused, leaves no doubt."""
    made, room = capacity_model()
    made.take(room, SMALL)
    made.refresh([host()])
    made.give_back(room, SMALL)
    made.land(room, SMALL)
    assert not made.doubtful


def test_a_host_that_is_gone_is_remembered_while_something_flies_there() -> None:
    """It may come back, with its debit; otherwise it is forgotten."""
    made, room = capacity_model(host("a"), host("b"))
    made.take(room, SMALL)
    made.refresh([])
    assert list(made.rooms) == ["a"]
    assert not made.lists(room)
    made.refresh([host("a")])
    assert made.rooms["a"] is room
    assert made.lists(room)
    assert room.cpu == 90


def test_a_snapshot_forgets_what_ecs_said_before() -> None:
    """Refusals, and surprises."""
    made, room = capacity_model()
    made.leave_out(room, "AGENT")
    made.fill(room, SMALL, "RESOURCE:ENI")
    made.surprised.add(room.id)
    assert (room.out, room.refused) == ("AGENT", {SMALL: "RESOURCE:ENI"})
    made.refresh([host()])
    assert (room.out, room.refused, made.surprised) == (None, {}, set())


def test_the_end_of_a_task_is_credited_if_it_is_still_debited() -> None:
    """From before a load that is under way, too; and there is room again for such tasks."""
    made, room = capacity_model()
    made.land(room, SMALL)
    made.loading()
    made.land(room, SMALL)
    made.fill(room, SMALL, "RESOURCE:CPU")
    assert made.end(room, SMALL)
    assert (room.cpu, room.refused) == (90, {})
    assert made.end(room, SMALL)
    assert not made.end(room, SMALL)
    assert room.cpu == 100


def test_fleets_of_one_pool_share_their_hosts() -> None:
    """What is debited through one filter is debited through another, and no older snapshot takes a newer one back."""
    pool = Pool()
    one, other = CapacityModel([host("a"), host("b")], pool), CapacityModel([host("b"), host("c")], pool)
    assert one.rooms["b"] is other.rooms["b"]
    one.take(one.rooms["b"], SMALL)
    assert other.rooms["b"].cpu == 90
    one.loading()
    one.land(one.rooms["b"], SMALL)
    other.loading()
    other.refresh([host("b", cpu=70)])
    assert (other.rooms["b"].cpu, other.rooms["b"].debited) == (70, False)
    one.refresh([host("a"), host("b", cpu=100)])  # begun earlier
    assert one.rooms["b"].cpu == 70
    assert not other.lists(one.rooms["a"])


def test_a_pool_forgets_hosts_that_no_fleet_has() -> None:
    """However many there were."""
    pool = Pool()
    made = CapacityModel([host(f"h{n}") for n in range(100)], pool)
    made.refresh([host("h1")])
    gc.collect()
    assert list(pool.rooms) == ["h1"]


def test_what_ecs_said_while_a_snapshot_was_taken_is_newer_than_it() -> None:
    """It is kept until the next one."""
    made, room = capacity_model()
    made.loading()
    made.fill(room, SMALL, "RESOURCE:CPU")
    made.refresh([host()])
    assert room.refused == {SMALL: "RESOURCE:CPU"}
    made.refresh([host()])
    assert not room.refused


# Changes -------------------------------------------------------------------------------------------------------------


def test_changes_are_told_until_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has seen all misses nothing; who is far behind, or has slept through a snapshot, looks at all hosts."""
    monkeypatch.setattr(fleets, "_REMEMBERED", 3)
    made, room = capacity_model()
    then = made.now
    assert made.changed_since(then) == []
    made.take(room, SMALL)
    assert made.changed_since(then) == [room]
    made.land(room, SMALL)
    assert made.changed_since(then) == [room]  # nothing has changed by it
    for _ in range(3):
        made.take(room, SMALL)
    assert made.changed_since(then) is None
    then = made.now
    assert made.changed_since(then) == []
    made.refresh([host()])
    assert made.changed_since(then) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "land", "give_back", "end", "loading", "refresh"]),
        st.sampled_from([SMALL, WEB, ONE_GPU, ALL_GPUS]),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_more_is_ever_free_than_the_snapshot_has(steps: list[tuple[str, Demand]]) -> None:
    """Whatever happens, in whatever order; and with nothing in flight, one snapshot settles all."""
    made, room = capacity_model(host(gpus=2))
    for step, demand in steps:
        if step == "loading":
            made.loading()
        elif step == "refresh":
            made.refresh([host(gpus=2)])
        else:
            getattr(made, step)(room, demand)
        debits = [sum(each.values()) for each in (room.flying, room.landed)]
        assert room.tasks == sum(debits) >= room.kept
        assert (room.cpu <= 100, room.memory <= 200, room.gpus <= 2) == (True, True, True)
    for demand in list(room.flying):
        for _ in range(room.flying[demand]):
            made.give_back(room, demand)
    made.loading()
    made.refresh([host(gpus=2)])
    assert (room.cpu, room.memory, room.gpus, room.tasks, made.doubtful) == (100, 200, 2, 0, False)
    assert not room.tcp | room.udp
