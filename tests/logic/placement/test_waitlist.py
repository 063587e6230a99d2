"""waitlist: who is placed first, for whom a host is kept, who is refused, and when to look again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs._logic.placement import waitlist as waitlists
from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host, Size
from aioecs._logic.placement.host_capacity import CapacityModel
from aioecs._logic.placement.placer import Placer
from aioecs._logic.placement.waitlist import (
    MAX_OVERTAKEN,
    MAX_REFRESH_INTERVAL,
    READ_SHARE,
    DemandGroup,
    WaitingStart,
    Waitlist,
    refresh_interval,
)
from aioecs._model.placement import Spread

BIG, SMALL = Demand(cpu=8, memory=8), Demand(cpu=1, memory=1)


def host(name: str, free: int, size: int = 8) -> Host:
    """Make a host with so much free, of so much in all."""
    return Host(arn=name, cpu=free, memory=free, size=Size(size, size))


class World:
    """Two kinds of starts, a large and a small one, over hosts."""

    def __init__(self, *hosts: Host) -> None:
        self.capacity_model = CapacityModel(hosts)
        self.placer = Placer(self.capacity_model, SMALL, Spread(), (), random.Random(1).random)
        self.big = DemandGroup(self.placer, BIG, "inventory")
        self.small = DemandGroup(self.placer, SMALL, "inventory")
        self.waits = Waitlist()

    def add(self, group: DemandGroup, at: int, until: float = 10.0) -> WaitingStart:
        """Let one wait."""
        start = WaitingStart(at, f"start {at}", until)
        self.waits.add(group, start)
        return start

    def placed(self) -> list[tuple[int, str]]:
        """Place what can be placed."""
        return [(start.at, instance) for _, start, instance in self.waits.placed()]

    def refusable(self, group: DemandGroup, now: float, **more: Any) -> list[int]:
        """Return who is to be refused."""
        given: dict[str, Any] = {"taken": 1, "taken_at": now, "ours_in_flight": False, **more}
        return [start.at for start in self.waits.refusable(group, now, **given)]


def test_what_has_waited_longest_goes_first() -> None:
    """Across kinds; what fits goes, whatever doesn't."""
    world = World(host("a", 3))
    for at, group in [(0, world.big), (3, world.small), (1, world.small), (2, world.small), (4, world.small)]:
        world.add(group, at)
    assert world.placed() == [(1, "a"), (2, "a"), (3, "a")]
    assert [start.at for group in world.waits.groups for start in group.waiting] == [0, 4]
    assert len(world.waits) == 2
    assert world.waits.next_end() == 10.0


def test_a_large_start_is_overtaken_so_often_and_no_more() -> None:
    """Then the host that is nearest is kept for it, until it is placed there."""
    world = World(host("a", 3), host("b", 5), host("tiny", 4, size=4))
    world.add(world.big, 0)
    for at in range(1, waitlists.MAX_OVERTAKEN):
        world.waits.overtaken_by(at)
    assert world.capacity_model.capacities["b"].reserved_for is None
    world.waits.overtaken_by(waitlists.MAX_OVERTAKEN)
    assert world.capacity_model.capacities["b"].reserved_for is world.waits
    chosen = [world.placer.choose() for _ in range(7)]
    assert chosen.count("a") + chosen.count("tiny") == 7
    assert world.placer.choose() is None  # b has capacity, and is not given
    assert world.placed() == []
    world.capacity_model.refresh([host("a", 0), host("b", 8)])
    assert world.placed() == [(0, "b")]
    assert world.capacity_model.capacities["b"].reserved_for is None


def test_it_goes_elsewhere_if_there_is_capacity_first() -> None:
    """And what was kept for it is everyone's again; so it is when it waits no longer."""
    for end in ("placed", "refused"):
        world = World(host("a", 3), host("b", 5))
        world.add(world.big, 0)
        for at in range(1, waitlists.MAX_OVERTAKEN + 1):
            world.waits.overtaken_by(at)
        if end == "placed":
            world.capacity_model.refresh([host("a", 8), host("b", 5)])
            assert world.placed() == [(0, "a")]
        else:
            world.waits.all()
        assert world.capacity_model.capacities["b"].reserved_for is None
        assert "b" in {world.placer.choose() for _ in range(2)}


def test_a_start_that_came_earlier_overtakes_nobody() -> None:
    """It was there first."""
    world = World(host("a", 3))
    start = world.add(world.big, 5)
    world.waits.overtaken_by(4)
    assert start.overtaken == 0
    world.waits.overtaken_by(6)
    assert start.overtaken == 1


def test_nothing_is_refused_before_its_time_or_by_an_old_snapshot() -> None:
    """The snapshot must have been begun after it came to wait."""
    world = World(host("a", 0))
    world.small.need = 2
    world.add(world.small, 0, until=5.0)
    world.add(world.small, 1, until=7.0)
    assert world.refusable(world.small, 6.0) == []
    assert world.refusable(world.small, 4.0, taken=2) == []
    assert world.refusable(world.small, 6.0, taken=2, taken_at=4.9) == []
    assert world.refusable(world.small, 6.0, taken=2) == [0]
    assert world.refusable(world.small, 9.0, taken=2) == [1]
    assert len(world.waits) == 0


def test_starts_of_ours_leave_a_refusal_uncertain() -> None:
    """What is in flight may come to nothing, and what has started since may have ended: a newer snapshot shows it."""
    world = World(host("a", 1))
    instance = world.placer.choose()
    world.add(world.small, 1, until=0.0)
    assert world.refusable(world.small, 1.0, ours_in_flight=True) == []
    assert world.small.need == 0
    world.placer.started(instance or "")
    assert world.refusable(world.small, 1.0) == []
    assert world.small.need == 2
    world.capacity_model.refresh([host("a", 0)])
    assert world.refusable(world.small, 1.0, taken=2) == [1]


def test_what_is_larger_than_every_host_is_refused_at_once() -> None:
    """However long it would wait; not where the size of one isn't known, or there is none, or none suits yet."""
    world = World(host("a", 8), host("b", 4, size=4))
    huge = DemandGroup(world.placer, Demand(cpu=9), "inventory")
    world.add(huge, 0, until=1000.0)
    assert world.refusable(huge, 0.0) == [0]
    assert world.placer.never(BIG) is None
    assert world.placer.never(Demand(cpu=9)) == "RESOURCE:CPU"
    assert World().placer.never(Demand(cpu=9)) is None
    assert World(host("a", 8), Host(arn="b")).placer.never(Demand(cpu=9)) is None
    picky = Placer([host("a", 8)], Demand(attributes=(("x", None),)), Spread(), (), random.random)
    assert picky.never(Demand(cpu=9)) is None


def test_the_next_end_is_of_what_still_waits() -> None:
    """Whatever else has waited, in whatever order; what no longer waits is not kept."""
    world, rng = World(host("a", 0)), random.Random(3)
    waiting: dict[int, WaitingStart] = {}
    most = 0
    for at in range(4_000):
        waiting[at] = world.add(world.small, at, until=rng.choice([5.0, float("inf"), rng.random()]))
        most = max(most, len(world.waits._ends) - 2 * len(waiting))
        if at % 40 > 20:  # two leave for one that comes
            for _ in range(2):
                world.waits._remove_first(world.small)
                del waiting[min(waiting)]
        assert world.waits.next_end() == min(start.until for start in waiting.values())
    assert most <= MAX_OVERTAKEN + 1
    world.waits.all()
    assert world.waits.next_end() == float("inf")


def test_those_of_one_inventory_are_taken_out() -> None:
    """Whose time is over; or everyone."""
    world = World(host("a", 0))
    world.add(world.small, 0, until=5.0)
    world.add(world.big, 1, until=7.0)
    assert [start.at for _, start in world.waits.of("inventory", 6.0)] == [0]
    assert world.waits.of("other", 9.0) == []
    assert [start.at for _, start in world.waits.all()] == [1]
    assert (len(world.waits), world.waits.next_end()) == (0, float("inf"))


@pytest.mark.parametrize(
    ("waited", "reads", "rate", "interval"),
    [
        (0.0, 2, 20.0, READ_SHARE * 2 / 20),
        (0.0, 2, float("inf"), 0.25),
        (20.0, 2, 20.0, 2.0),
        (1000.0, 2, 20.0, MAX_REFRESH_INTERVAL),
        (1000.0, 200, 20.0, 40.0),
        (0.0, 2, 0.0, MAX_REFRESH_INTERVAL),
    ],
)
def test_how_often_to_refresh(waited: float, reads: int, rate: float, interval: float) -> None:
    """After a tenth of the wait, and never more than a share of the reads."""
    assert refresh_interval(waited, reads, rate, 0.25) == pytest.approx(interval)


@given(st.floats(0, 1e4), st.integers(1, 1000), st.floats(0.1, 100))
def test_refreshes_never_take_more_than_their_share(waited: float, reads: int, rate: float) -> None:
    """For any cluster and any bucket."""
    assert reads / refresh_interval(waited, reads, rate, 0.25) <= rate / READ_SHARE * 1.001
