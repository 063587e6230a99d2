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
from aioecs._logic.placement.host_capacity import CapacityModel, ClusterCapacity, HostCapacity

ARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/"
SMALL = Demand(cpu=10, memory=20)
WEB = Demand(memory=1, tcp=frozenset({80}), udp=frozenset({53}))
ONE_GPU = Demand(gpus=1)
ALL_GPUS = Demand(all_gpus=True)


def host(name: str = "a", **given: Any) -> Host:
    """Make a host with capacity for ten small tasks."""
    shown: dict[str, Any] = {"arn": ARN + name, "cpu": 100, "memory": 200, **given}
    return Host(**shown)


def capacity_model(*hosts: Host) -> tuple[CapacityModel, HostCapacity]:
    """Make a capacity model, and return its first capacity too."""
    made = CapacityModel(hosts or (host(),))
    return made, next(iter(made.capacities.values()))


# Capacity ------------------------------------------------------------------------------------------------------------


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
    """What lacks is named in ECS's terms and order; what fits is counted."""
    _, capacity = capacity_model(host(gpus=2, tcp=frozenset({22}), udp=frozenset({123})))
    assert capacity.lacks(demand) == lacking
    assert capacity.how_many(demand) == times


def test_a_debit_takes_and_a_credit_restores() -> None:
    """Each resource, and the count of tasks."""
    made, capacity = capacity_model(host(gpus=2, tasks=1))
    for demand in (SMALL, WEB, ONE_GPU):
        made.debit(capacity, demand)
    assert (capacity.cpu, capacity.memory, capacity.gpus, capacity.tasks) == (90, 179, 1, 4)
    assert (set(capacity.tcp), set(capacity.udp)) == ({80}, {53})
    for demand in (SMALL, WEB, ONE_GPU):
        made.credit(capacity, demand)
    assert (capacity.cpu, capacity.memory, capacity.gpus, capacity.tasks) == (100, 200, 2, 1)
    assert not capacity.tcp | capacity.udp


def test_a_task_with_all_gpus_leaves_none() -> None:
    """However many there are; and a host without any has none for it."""
    made, capacity = capacity_model(host(gpus=8))
    made.debit(capacity, ALL_GPUS)
    assert (capacity.gpus, capacity.lacks(ONE_GPU), capacity.lacks(ALL_GPUS)) == (0, "RESOURCE:GPU", "RESOURCE:GPU")
    assert capacity_model(host())[1].lacks(ALL_GPUS) == "RESOURCE:GPU"


def test_an_overdrawn_host_still_has_nothing_for_nothing() -> None:
    """More was started than the snapshot had capacity for: what takes no CPU is not refused for CPU."""
    made, capacity = capacity_model(host(cpu=5, memory=5))
    made.confirm_started(capacity, SMALL)
    assert (capacity.cpu, capacity.memory) == (-5, -15)
    assert capacity.lacks(Demand()) is None
    assert capacity.lacks(Demand(cpu=1)) == "RESOURCE:CPU"
    assert capacity.lacks(Demand(memory=1)) == "RESOURCE:MEMORY"


# Snapshots -----------------------------------------------------------------------------------------------------------


def test_a_start_is_debited_until_a_later_snapshot_shows_it() -> None:
    """In flight: always. Landed: until a snapshot that was begun afterwards."""
    made, capacity = capacity_model()
    made.debit(capacity, SMALL)
    made.debit(capacity, SMALL)
    made.confirm_started(capacity, SMALL)
    assert capacity.cpu == 80
    made.refresh([host(cpu=90)])  # the started one is in it; the other is not, or is, who knows
    assert capacity.cpu == 80
    assert not made.may_be_outdated  # what is in flight may come to nothing
    made.confirm_started(capacity, SMALL)
    assert capacity.cpu == 80
    assert made.may_be_outdated
    made.refresh([host(cpu=80)])
    assert capacity.cpu == 80
    assert not made.may_be_outdated


def test_what_lands_while_a_snapshot_is_taken_stays_debited() -> None:
    """`loading` says when it was begun: before that all is in it, after that it isn't known."""
    made, capacity = capacity_model()
    made.confirm_started(capacity, SMALL)
    made.loading()
    made.confirm_started(capacity, SMALL)
    assert capacity.cpu == 80
    made.refresh([host(cpu=90)])
    assert capacity.cpu == 80
    assert made.may_be_outdated
    made.loading()  # this one fails
    made.confirm_started(capacity, SMALL)
    made.loading()
    made.refresh([host(cpu=70)])
    assert capacity.cpu == 70
    assert not made.may_be_outdated


def test_a_start_that_is_sent_again_is_debited_once() -> None:
    """Whether the debit of its first request is left, or a snapshot has taken its place."""
    made, capacity = capacity_model(host())
    for snapshot in (False, True):
        made.debit(capacity, SMALL)
        since = made.pool.begun
        made.confirm_started(capacity, SMALL)
        if snapshot:
            made.refresh([host()])
            assert capacity.cpu == 100, "the snapshot shows that it doesn't run"
        made.send_again(capacity, SMALL, since)
        assert (capacity.cpu, capacity.in_flight, capacity.started) == (90, {SMALL: 1}, {})
        made.credit(capacity, SMALL)
        assert capacity.cpu == 100


def test_some_hosts_are_shown_anew() -> None:
    """What started there before is in it; others stay as they are, and a host that no snapshot had is not added."""
    made = CapacityModel([host("a"), host("b")])
    for capacity in made.capacities.values():
        made.debit(capacity, SMALL)
        made.confirm_started(capacity, SMALL)
    freed = made.pool.freed
    made.update([host("a", cpu=50), host("c")], made.begin_update())
    assert {name: capacity.cpu for name, capacity in made.capacities.items()} == {"a": 50, "b": 90}
    assert made.pool.freed > freed
    older = made.begin_update()
    made.refresh([host("a"), host("b")])
    made.update([host("a", cpu=1)], older)
    assert made.capacities["a"].cpu == 100, "a snapshot that was begun earlier shows nothing newer"


def test_a_snapshot_is_no_longer_outdated_by_what_came_to_nothing() -> None:
    """A start that was in flight over a snapshot, and was refused, no longer makes the snapshot outdated."""
    made, capacity = capacity_model()
    made.debit(capacity, SMALL)
    made.refresh([host()])
    made.credit(capacity, SMALL)
    made.confirm_started(capacity, SMALL)
    assert not made.may_be_outdated


def test_a_host_that_is_gone_is_remembered_while_a_start_is_in_flight_there() -> None:
    """It may come back, with its debit; otherwise it is forgotten."""
    made, capacity = capacity_model(host("a"), host("b"))
    made.debit(capacity, SMALL)
    made.refresh([])
    assert list(made.capacities) == ["a"]
    assert not made.lists(capacity)
    made.refresh([host("a")])
    assert made.capacities["a"] is capacity
    assert made.lists(capacity)
    assert capacity.cpu == 90


def test_a_snapshot_forgets_what_ecs_said_before() -> None:
    """Refusals, and surprises."""
    made, capacity = capacity_model()
    made.exclude(capacity, "AGENT")
    made.mark_full(capacity, SMALL, "RESOURCE:ENI")
    made.contradicted_hosts.add(capacity.id)
    assert (capacity.exclusion, capacity.refused) == ("AGENT", {SMALL: "RESOURCE:ENI"})
    made.refresh([host()])
    assert (capacity.exclusion, capacity.refused, made.contradicted_hosts) == (None, {}, set())


def test_the_end_of_a_task_is_credited_if_it_is_still_debited() -> None:
    """From before a load that is under way, too; and there is capacity again for such tasks."""
    made, capacity = capacity_model()
    made.confirm_started(capacity, SMALL)
    made.loading()
    made.confirm_started(capacity, SMALL)
    made.mark_full(capacity, SMALL, "RESOURCE:CPU")
    assert made.end(capacity, SMALL)
    assert (capacity.cpu, capacity.refused) == (90, {})
    assert made.end(capacity, SMALL)
    assert not made.end(capacity, SMALL)
    assert capacity.cpu == 100


def test_models_of_one_pool_share_their_hosts() -> None:
    """What is debited through one filter is debited through another, and no older snapshot takes a newer one back."""
    pool = ClusterCapacity()
    one, other = CapacityModel([host("a"), host("b")], pool), CapacityModel([host("b"), host("c")], pool)
    assert one.capacities["b"] is other.capacities["b"]
    one.debit(one.capacities["b"], SMALL)
    assert other.capacities["b"].cpu == 90
    one.loading()
    one.confirm_started(one.capacities["b"], SMALL)
    other.loading()
    other.refresh([host("b", cpu=70)])
    assert (other.capacities["b"].cpu, other.capacities["b"].debited) == (70, False)
    one.refresh([host("a"), host("b", cpu=100)])  # begun earlier
    assert one.capacities["b"].cpu == 70
    assert not other.lists(one.capacities["a"])


def test_a_pool_forgets_hosts_that_no_model_has() -> None:
    """However many there were."""
    pool = ClusterCapacity()
    made = CapacityModel([host(f"h{n}") for n in range(100)], pool)
    made.refresh([host("h1")])
    gc.collect()
    assert list(pool.capacities) == ["h1"]


def test_what_ecs_said_while_a_snapshot_was_taken_is_newer_than_it() -> None:
    """It is kept until the next one."""
    made, capacity = capacity_model()
    made.loading()
    made.mark_full(capacity, SMALL, "RESOURCE:CPU")
    made.refresh([host()])
    assert capacity.refused == {SMALL: "RESOURCE:CPU"}
    made.refresh([host()])
    assert not capacity.refused


# Changes -------------------------------------------------------------------------------------------------------------


def test_changes_are_kept_until_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has seen all misses nothing; who is far behind, or has slept through a snapshot, looks at all hosts."""
    monkeypatch.setattr(fleets, "_MAX_CHANGES", 3)
    made, capacity = capacity_model()
    then = made.pool.now
    assert made.pool.changed_since(then) == []
    made.debit(capacity, SMALL)
    assert made.pool.changed_since(then) == [capacity]
    made.confirm_started(capacity, SMALL)
    assert made.pool.changed_since(then) == [capacity]  # nothing has changed by it
    for _ in range(3):
        made.debit(capacity, SMALL)
    assert made.pool.changed_since(then) is None
    then = made.pool.now
    assert made.pool.changed_since(then) == []
    made.refresh([host()])
    assert made.pool.changed_since(then) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["debit", "confirm_started", "credit", "end", "loading", "refresh"]),
        st.sampled_from([SMALL, WEB, ONE_GPU, ALL_GPUS]),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_more_is_ever_free_than_the_snapshot_has(steps: list[tuple[str, Demand]]) -> None:
    """Whatever happens, in whatever order; and with nothing in flight, one snapshot settles all."""
    made, capacity = capacity_model(host(gpus=2))
    for step, demand in steps:
        if step == "loading":
            made.loading()
        elif step == "refresh":
            made.refresh([host(gpus=2)])
        else:
            getattr(made, step)(capacity, demand)
        debits = [sum(each.values()) for each in (capacity.in_flight, capacity.started)]
        assert capacity.tasks == sum(debits) >= capacity.maybe_shown
        assert (capacity.cpu <= 100, capacity.memory <= 200, capacity.gpus <= 2) == (True, True, True)
    for demand in list(capacity.in_flight):
        for _ in range(capacity.in_flight[demand]):
            made.credit(capacity, demand)
    made.loading()
    made.refresh([host(gpus=2)])
    assert (capacity.cpu, capacity.memory, capacity.gpus, capacity.tasks, made.may_be_outdated) == (
        100,
        200,
        2,
        0,
        False,
    )
    assert not capacity.tcp | capacity.udp
