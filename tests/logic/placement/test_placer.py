"""placer: where tasks go, tested with hosts that fill, vanish, refuse and change; without a loop."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aioecs._logic.placement.demand import Demand, demand
from aioecs._logic.placement.host import ZONE, Host
from aioecs._logic.placement.host_capacity import CapacityModel
from aioecs._logic.placement.placer import Placer
from aioecs._model.codec.plain import from_plain
from aioecs._model.placement import Binpack, Constraint, DistinctInstance, MemberOf, Placement, Random, Spread
from aioecs.testing._engine import Engine
from aioecs.types import ContainerInstance, TaskDefinition

SMALL = Demand(cpu=10, memory=20)
ZONES = Spread("ecs.availability-zone")
PLACEMENTS: list[Placement] = [Spread(), ZONES, Spread("rack"), Binpack(), Binpack("cpu"), Random()]


def host(arn: str = "a", **given: Any) -> Host:
    """Make a host with capacity for ten small tasks."""
    shown: dict[str, Any] = {"arn": arn, "cpu": 100, "memory": 200, **given}
    return Host(**shown)


def in_zone(zone: str | None, count: int, **given: Any) -> list[Host]:
    """Make so many hosts in a zone."""
    return [host(f"{zone}{n}", attributes={ZONE: zone} if zone else {}, **given) for n in range(count)]


def placer(
    hosts: CapacityModel | Iterable[Host],
    placement: Placement | None = None,
    *constraints: Constraint,
    demand: Demand = SMALL,
    seed: int = 0,
    already: dict[str, int] | None = None,
) -> Placer:
    """Make a placer with seeded random number."""
    random_number = random.Random(seed).random
    return Placer(hosts, demand, placement or Spread(), constraints, random_number, already=already)


def choose(chooser: Placer, count: int) -> list[str]:
    """Choose so many that all have capacity."""
    found = [chooser.choose() for _ in range(count)]
    assert None not in found
    return [each for each in found if each is not None]


def by_zone(chosen: Iterable[str]) -> dict[str, int]:
    """Count by the first letter, which is the zone."""
    return dict(Counter(each[0] for each in chosen))


# Preferring ----------------------------------------------------------------------------------------------------------


def test_spread_over_instances() -> None:
    """Each gets as many as another, whatever ran there before."""
    chosen = Counter(choose(placer([host("a", tasks=50), host("b"), host("c", tasks=7)]), 9))
    assert chosen == {"a": 3, "b": 3, "c": 3}


def test_spread_prefers_the_idle_among_equals() -> None:
    """Where our own tasks are even, the instance with the fewest tasks of others comes first."""
    assert choose(placer([host("a", tasks=2), host("b", tasks=1), host("c")]), 4) == ["c", "b", "a", "c"]


def test_spread_counts_what_runs_already() -> None:
    """If the caller knows where tasks of the same group run, these count too."""
    chosen = choose(placer([host("x/a"), host("x/b")], already={"x/a": 3}), 5)
    assert Counter(chosen) == {"x/a": 1, "x/b": 4}


def test_spread_over_zones() -> None:
    """Zones are even although their sizes aren't, and so are the instances within each."""
    hosts = [*in_zone("a", 1), *in_zone("b", 5), *in_zone("c", 2)]
    chosen = Counter(choose(placer(hosts, ZONES), 24))
    assert by_zone(chosen.elements()) == {"a": 8, "b": 8, "c": 8}
    assert sorted(chosen[f"b{n}"] for n in range(5)) == [1, 1, 2, 2, 2]
    assert [chosen["c0"], chosen["c1"]] == [4, 4]


def test_a_zone_that_is_full_leaves_its_tasks_to_the_others() -> None:
    """Evenness gives way to capacity."""
    hosts = [*in_zone("a", 1, cpu=20), *in_zone("b", 5), *in_zone("c", 5)]
    assert by_zone(choose(placer(hosts, ZONES), 24)) == {"a": 2, "b": 11, "c": 11}


def test_a_zone_with_fewer_tasks_comes_first_among_equals() -> None:
    """So that many calls for one task each are spread over the zones too."""
    hosts = CapacityModel([*in_zone("a", 3, tasks=1), *in_zone("b", 3)])
    zones = [choose(placer(hosts, ZONES, seed=seed), 1)[0][0] for seed in range(13)]
    assert zones[:3] == ["b", "b", "b"]
    assert Counter(zones) == {"a": 5, "b": 8}


def test_hosts_without_the_attribute_are_one_value_more() -> None:
    """An attribute without a value is a value of its own."""
    hosts = [
        host("a", attributes={"rack": "1"}),
        host("b", attributes={"rack": None}),
        host("c1"),
        host("c2"),
        host("c3"),
    ]
    assert by_zone(choose(placer(hosts, Spread("attribute:rack")), 9)) == {"a": 3, "b": 3, "c": 3}


@pytest.mark.parametrize(("by", "order"), [("memory", ["b", "b", "c"]), ("cpu", ["c", "c", "c", "c", "a"])])
def test_binpack_takes_the_least_that_is_enough(by: str, order: list[str]) -> None:
    """And goes on there until it is full."""
    hosts = [host("a", cpu=50), host("b", memory=50), host("c", cpu=40, memory=100), host("d", memory=19)]
    packer = placer(hosts, Binpack(by))  # type: ignore[arg-type]
    assert choose(packer, len(order)) == order


def test_random_is_uniform_over_what_has_capacity() -> None:
    """About as often here as there, and never where there is no capacity."""
    hosts = [*(host(f"h{n}", cpu=10**6, memory=10**6) for n in range(10)), host("full", cpu=9)]
    chosen = Counter(choose(placer(hosts, Random(), seed=5), 10_000))
    assert set(chosen) == {f"h{n}" for n in range(10)}
    assert all(900 < count < 1100 for count in chosen.values())


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_random_numbers_decide_among_equals(placement: Placement) -> None:
    """Equal seeds choose alike, and other seeds otherwise: not every machine begins on the same host."""
    hosts = [host(f"h{n}") for n in range(50)]
    firsts = [tuple(choose(placer(hosts, placement, seed=seed), 20)) for seed in (1, 1, 2, 3, 4)]
    assert firsts[0] == firsts[1]
    assert len(set(firsts)) == 4


# Fitting -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "wanted", "reason"),
    [
        ({"cpu": 9}, {}, "RESOURCE:CPU"),
        ({"memory": 19}, {}, "RESOURCE:MEMORY"),
        ({"tcp": frozenset({80})}, {"tcp": frozenset({80})}, "RESOURCE:PORTS"),
        ({"gpus": 1}, {"gpus": 2}, "RESOURCE:GPU"),
        ({"agent": False}, {}, "AGENT"),
        ({"status": "DRAINING"}, {}, "DRAINING"),
        ({"status": "MISSING", "agent": False}, {}, "MISSING"),
        ({"status": ""}, {}, "UNKNOWN"),
        ({"attributes": {"os": "linux"}}, {"attributes": (("os", "windows"),)}, "ATTRIBUTE"),
        ({}, {"attributes": (("os", None),)}, "ATTRIBUTE"),
    ],
)
def test_where_no_task_goes(shown: dict[str, Any], wanted: dict[str, Any], reason: str) -> None:
    """The reason is the one that ECS would give."""
    chooser = placer([host(**shown)], demand=attrs.evolve(SMALL, **wanted))
    assert chooser.choose() is None
    assert (chooser.excluded, chooser.capacity(), chooser.stale) == ({reason: 1}, 0, False)


def test_nothing_has_capacity_without_hosts() -> None:
    """And nothing is wrong with it."""
    chooser = placer([])
    assert (chooser.choose(), chooser.excluded, chooser.capacity(), chooser.stale) == (None, {}, 0, False)


def test_distinct_instances() -> None:
    """At most one of this group's tasks on each, those that run already included; MemberOf is for ECS."""
    hosts = [host("a"), host("b"), host("c", cpu=9), host("d")]
    chooser = placer(hosts, Spread(), MemberOf("agentConnected == true"), DistinctInstance(), already={"d": 1})
    assert chooser.capacity() == 2
    assert set(choose(chooser, 2)) == {"a", "b"}
    assert chooser.choose() is None
    assert chooser.excluded == {"DistinctInstance": 3, "RESOURCE:CPU": 1}


@pytest.mark.parametrize("mode", ["tcp", "udp"])
def test_a_port_is_given_out_once(mode: str) -> None:
    """However much else is free."""
    chooser = placer([host("a"), host("b")], demand=Demand(**{mode: frozenset({80})}))  # type: ignore[arg-type]
    assert chooser.capacity() == 2
    assert set(choose(chooser, 2)) == {"a", "b"}
    assert chooser.choose() is None
    assert chooser.excluded == {"RESOURCE:PORTS": 2}


def test_capacity() -> None:
    """The number of tasks that fit now; there is none for tasks that take nothing."""
    chooser = placer([host("a"), host("b", cpu=35), host("c", agent=False)])
    assert chooser.capacity() == 13
    choose(chooser, 3)
    assert chooser.capacity() == 10
    assert placer([host()], demand=Demand()).capacity() is None


def test_repr_shows_its_state() -> None:
    """How many hosts have capacity, and why the others have none."""
    assert repr(placer([host("a")], Random())) == "<Placer Random(), capacity on 1 hosts>"
    hosts = [host("a"), host("b", agent=False), host("c", cpu=1), host("d", cpu=1)]
    shown = "<Placer Spread(by='instanceId'), capacity on 1 hosts, none on RESOURCE:CPU 2, AGENT 1>"
    assert repr(placer(hosts)) == shown


# What ECS says -------------------------------------------------------------------------------------------------------


def zones_and_types() -> list[Host]:
    """Make two hosts of each kind in each zone; every one has a trunk interface of its own."""
    return [
        host(f"{zone}-{kind}-{n}", attributes={ZONE: zone, "type": kind, "ecs.awsvpc-trunk-id": f"eni-{zone}{kind}{n}"})
        for zone in "xy"
        for kind in ("big", "odd")
        for n in range(2)
    ]


@pytest.mark.parametrize(
    ("reason", "left_out", "back"),
    [
        ("RESOURCE:MEMORY", ["x-big-0"], ["x-big-0"]),
        ("RESOURCE:ENI", ["x-big-0"], ["x-big-0"]),
        ("AGENT", ["x-big-0"], ["x-big-0"]),
        ("SOMETHING NEW", ["x-big-0"], ["x-big-0"]),
        (None, ["x-big-0"], ["x-big-0"]),
        ("MISSING", ["x-big-0"], ["x-big-0"]),
        ("INACTIVE", ["x-big-0"], ["x-big-0"]),
        ("ATTRIBUTE", ["x-big-0", "x-big-1"], []),
        ("LOCATION", ["x-big-0", "x-big-1", "x-odd-0", "x-odd-1"], []),
    ],
)
def test_what_a_refusal_leaves_out_and_until_when(reason: str | None, left_out: list[str], back: list[str]) -> None:
    """The host, its kind or its zone; until the snapshot is renewed, or for good. The start itself is credited."""
    hosts = zones_and_types()
    names = {each.arn for each in hosts}
    chooser = placer(hosts)
    choose(chooser, 80 - 8)  # nine on each
    assert chooser.refused("x-big-0", reason)
    assert chooser.excluded == {reason or "REFUSED": len(left_out)}
    assert set(choose(chooser, 8 - len(left_out))) == names - set(left_out)
    assert chooser.choose() is None
    chooser.refresh([attrs.evolve(each, cpu=110, memory=220) for each in hosts])
    left = len(names) - len(left_out) + len(back)
    chosen = choose(chooser, left + 1 if back else left)
    assert set(chosen) == names - set(left_out) | set(back)


def test_a_host_without_a_zone_is_a_place_of_its_own() -> None:
    """LOCATION says nothing of others then."""
    chooser = placer([host("a"), host("b")])
    choose(chooser, 2)
    chooser.refused("a", "LOCATION")
    assert chooser.excluded == {"LOCATION": 1}
    assert choose(chooser, 1) == ["b"]


def test_attributes_that_have_changed_make_another_kind() -> None:
    """A host that gains what it lacked comes into question again, once a snapshot shows it."""
    chooser = placer([host("a")])
    choose(chooser, 1)
    assert not chooser.refused("a", "ATTRIBUTE")
    chooser.refresh([host("a", attributes={"new": "yes"})])
    assert choose(chooser, 1) == ["a"]


def test_the_refused_start_is_credited_but_its_host_is_full() -> None:
    """ECS's reason on capacity counts for more than the snapshot, until a task ends there."""
    chooser = placer([host("a"), host("b")])
    chosen = choose(chooser, 4)
    assert chooser.refused("a", "RESOURCE:MEMORY")
    assert chooser.capacity_model.capacities["a"].tasks == chosen.count("a") - 1
    assert choose(chooser, 8) == ["b"] * 8
    assert not chooser.refused("b", "RESOURCE:CPU")
    chooser.started("a")
    chooser.released("a")
    assert choose(chooser, 1) == ["a"]


def test_what_is_unsent_is_credited() -> None:
    """As if it had never been chosen: the place is free, and the host's turn comes again."""
    chooser = placer([host("a", cpu=10), host("b", cpu=10)])
    first, second = choose(chooser, 2)
    assert chooser.choose() is None
    chooser.unsent(first)
    assert (chooser.choose(), chooser.choose()) == (first, None)
    chooser.unsent(second)
    chooser.unsent(second)  # once too often
    assert (chooser.choose(), chooser.choose()) == (second, None)


def test_which_hosts_are_closed() -> None:
    """Those that drain, that lost their agent, and that no snapshot has any more."""
    chooser = placer([host("a"), host("b"), host("c"), host("d")])
    chooser.refresh([host("a"), host("b", status="DRAINING"), host("c", agent=False)])
    assert [chooser.is_closed(name) for name in "abcde"] == [False, True, True, True, True]


def test_a_start_that_is_sent_again_counts_once() -> None:
    """It is of the call all the time, and credited like any other if it is refused in the end."""
    chooser = placer([host()], demand=SMALL)
    (where,) = choose(chooser, 1)
    for _ in range(2):
        since = chooser.capacity_model.pool.begun
        chooser.started(where)
        chooser.refresh([host()])
        chooser.send_again(where, SMALL, since)
        assert (chooser.capacity(), chooser._counts["a"]) == (9, 1)
    chooser.unsent(where)
    assert (chooser.capacity(), chooser._counts["a"]) == (10, 0)
    chooser.send_again("unknown", SMALL, 0)


def test_a_task_that_was_not_chosen_here_counts_too() -> None:
    """One that was adopted takes its place, and counts for spreading."""
    chooser = placer([host("a"), host("b")])
    chooser.started("a")
    chooser.started("a")
    assert choose(chooser, 2) == ["b", "b"]
    assert chooser.capacity_model.capacities["a"].cpu == 80


def test_of_a_host_that_is_not_known_nothing_is_noted() -> None:
    """It may be of another cluster; the answer is whether there is another host."""
    chooser = placer([host("a", cpu=10)])
    chooser.started("z")
    chooser.unsent("z")
    chooser.released("z")
    assert chooser.refused("z", "AGENT")
    choose(chooser, 1)
    assert not chooser.refused("z", "AGENT")
    assert chooser.excluded == {"RESOURCE:CPU": 1}


def test_hosts_are_known_by_id_and_by_arn() -> None:
    """As requests and answers name them."""
    arn = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/4c54"
    chooser = placer([host(arn, cpu=10)])
    assert chooser.choose() == arn
    chooser.unsent("4c54")
    assert chooser.choose() == arn


def test_the_end_of_a_task_frees_capacity() -> None:
    """At once, if it was started since the snapshot; else a newer snapshot is asked for, which shows it."""
    chooser = placer([host("a", cpu=20)])
    choose(chooser, 2)
    chooser.started("a")
    chooser.started("a")
    chooser.released("a")
    assert choose(chooser, 1) == ["a"]
    chooser.started("a")
    chooser.refresh([host("a", cpu=0)])
    chooser.released("a")
    assert chooser.choose() is None
    assert chooser.stale
    chooser.refresh([host("a", cpu=10)])
    assert choose(chooser, 1) == ["a"]
    chooser.released("z")
    for _ in range(9):
        chooser.released("a")  # of others, or reported twice: no harm
    assert chooser.choose() is None


# Snapshots -----------------------------------------------------------------------------------------------------------


def test_our_count_outlasts_the_snapshots() -> None:
    """Spreading goes on where it was, with hosts that come and go."""
    chooser = placer([host("a"), host("b")])
    for instance in choose(chooser, 6):
        chooser.started(instance)
    chooser.refresh([host("a"), host("b"), host("c")])
    assert choose(chooser, 3) == ["c"] * 3
    chooser.refresh([host("b")])
    assert Counter(choose(chooser, 2)) == {"b": 2}
    chooser.refresh([host("a"), host("b"), host("c")])
    assert Counter(choose(chooser, 4)) == {"a": 2, "c": 2}


def test_what_is_in_flight_stays_debited_over_a_snapshot() -> None:
    """On a host that has gone meanwhile, too: its result is reported in the end."""
    chooser = placer([host("a", cpu=10), host("b", cpu=10)])
    choose(chooser, 2)
    chooser.refresh([host("a", cpu=10)])
    assert chooser.choose() is None
    chooser.unsent("b")
    assert chooser.choose() is None
    chooser.refresh([host("a", cpu=10), host("b", cpu=10)])
    assert (chooser.choose(), chooser.choose()) == ("b", None)


def test_an_outdated_snapshot_asks_for_another() -> None:
    """Starts that started over a snapshot may be in it, or not: the next one shows the capacity that is left."""
    chooser = placer([host("a", cpu=20)])
    choose(chooser, 1)
    chooser.refresh([host("a", cpu=10)])  # ECS shows it already
    assert chooser.choose() is None
    assert not chooser.stale  # it is in flight: first see what comes of it
    chooser.started("a")
    assert chooser.choose() is None
    assert chooser.stale
    chooser.refresh([host("a", cpu=10)])
    assert choose(chooser, 1) == ["a"]


@pytest.mark.parametrize(("count", "enough"), [(5, 3), (30, 3), (50, 5)])
def test_a_tenth_of_surprised_hosts_asks_for_a_snapshot(count: int, enough: int) -> None:
    """Three at least, and each host once; refusals that no snapshot shows don't count."""
    chooser = placer([host(f"h{n}") for n in range(count)])
    choose(chooser, count)
    chooser.refused("h4", "LOCATION")
    for n in range(enough - 1):
        chooser.refused(f"h{n}", "RESOURCE:CPU")
        chooser.refused(f"h{n}", "AGENT")
    assert not chooser.stale
    chooser.refused(f"h{enough - 1}", "ATTRIBUTE" if enough == count else "INACTIVE")
    assert chooser.stale
    chooser.refresh([host(f"h{n}") for n in range(count)])
    assert not chooser.stale


def test_one_surprise_asks_for_a_snapshot_where_nothing_has_capacity() -> None:
    """But not again for the same: a snapshot that doesn't show what ECS means will not show it the next time."""
    chooser = placer([host("a")])
    for attempt in range(3):
        choose(chooser, 1)
        assert not chooser.refused("a", "RESOURCE:ENI")
        assert chooser.stale is (attempt == 0)
        chooser.refresh([host("a")])
    choose(chooser, 1)
    chooser.started("a")
    choose(chooser, 1)
    assert not chooser.refused("a", "RESOURCE:ENI")
    assert chooser.stale  # a task has started there since


# Sharing -------------------------------------------------------------------------------------------------------------


def test_placers_of_one_model_see_the_same_capacity() -> None:
    """What one takes the other doesn't give out, and what one gives back the other may take."""
    capacity_model = CapacityModel([host("a", cpu=20), host("b", cpu=20)])
    one, other = placer(capacity_model), placer(capacity_model, Binpack(), demand=Demand(cpu=20))
    assert Counter([*choose(one, 2)]) == {"a": 1, "b": 1}
    assert other.choose() is None
    one.unsent("b")
    assert (other.choose(), other.choose()) == ("b", None)
    assert (one.choose(), one.choose()) == ("a", None)


def test_placers_of_one_model_share_what_ecs_said() -> None:
    """Of the host; what it said of a kind is for the one that asked, whose subnets may be others."""
    capacity_model = CapacityModel([host("a"), host("b"), host("c"), host("d", attributes={"x": "1"})])
    one, equal, larger = placer(capacity_model), placer(capacity_model), placer(capacity_model, demand=Demand(cpu=11))
    choose(one, 4)
    for instance, reason in [("a", "RESOURCE:CPU"), ("b", "AGENT"), ("c", "MISSING"), ("d", "ATTRIBUTE")]:
        one.refused(instance, reason)
    assert equal.excluded == {"RESOURCE:CPU": 1, "AGENT": 1, "MISSING": 1}
    assert larger.excluded == {"AGENT": 1, "MISSING": 1}
    assert equal.stale
    capacity_model.refresh([host("c"), host("d", attributes={"x": "1"})])
    assert one.excluded == {"ATTRIBUTE": 1}
    assert not equal.excluded


def test_a_snapshot_of_the_model_reaches_all_its_placers() -> None:
    """Without a report to them; one that has no candidate yet for what is gone misses nothing."""
    capacity_model = CapacityModel([host("a")])
    one = placer(capacity_model)
    choose(one, 1)
    capacity_model.refresh([host("b")])
    late = placer(capacity_model)
    assert choose(late, 1) == ["b"]
    one.unsent("a")
    assert choose(one, 1) == ["b"]
    capacity_model.refresh([host("b")])
    later = placer(capacity_model)
    assert choose(later, 1) == ["b"]
    one.started("a")  # so it ran, on a host that nobody else knows
    assert choose(later, 1) == ["b"]
    assert choose(late, 1) == ["b"]


def test_many_calls_for_one_task_each_are_spread() -> None:
    """The snapshot is a minute old, and the debits of each call are there for the next."""
    capacity_model = CapacityModel([host(f"h{n}") for n in range(20)])
    chosen = Counter(choose(placer(capacity_model, seed=seed), 1)[0] for seed in range(100))
    assert set(chosen.values()) == {5}


# Whatever happens ----------------------------------------------------------------------------------------------------

SIZES = st.integers(0, 60)
PORTS = st.frozensets(st.integers(1, 4), max_size=2)
ATTRIBUTES = st.dictionaries(st.sampled_from([ZONE, "rack", "os"]), st.sampled_from([None, "1", "2"]), max_size=3)


@st.composite
def fleets(draw: st.DrawFn) -> list[Host]:
    """Draw some hosts."""
    some = st.fixed_dictionaries(
        {
            "status": st.sampled_from(["ACTIVE"] * 5 + ["DRAINING"]),
            "agent": st.sampled_from([True] * 5 + [False]),
            "cpu": SIZES,
            "memory": SIZES,
            "gpus": st.integers(0, 3),
            "tcp": PORTS,
            "udp": PORTS,
            "attributes": ATTRIBUTES,
            "tasks": st.integers(0, 9),
        }
    )
    shown: list[dict[str, Any]] = draw(st.lists(some, max_size=8))
    return [Host(arn=f"h{n}", **each) for n, each in enumerate(shown)]


DEMANDS = st.builds(
    Demand,
    cpu=st.integers(1, 30),
    memory=st.integers(1, 30),
    gpus=st.sampled_from([0, 0, 0, 1, 2]),
    all_gpus=st.sampled_from([False] * 5 + [True]),
    tcp=st.sampled_from([frozenset[int](), frozenset[int](), frozenset({1}), frozenset({2, 3})]),
    udp=st.sampled_from([frozenset[int](), frozenset[int](), frozenset({1})]),
    attributes=st.sampled_from([(), (), (("os", None),), (("rack", "1"),)]),
)
PLACED = st.sampled_from(PLACEMENTS)
REASONS = st.sampled_from(
    ["RESOURCE:CPU", "RESOURCE:ENI", "AGENT", "ATTRIBUTE", "LOCATION", "MISSING", "INACTIVE", "NEW", None]
)


def check_within(hosts: Sequence[Host], wanted: Demand, chosen: Iterable[str], *, distinct: bool) -> None:
    """Hold what was chosen against what the hosts have."""
    for name, count in Counter(chosen).items():
        (where,) = (each for each in hosts if each.arn == name)
        assert (where.status, where.agent, where.has(wanted.attributes)) == ("ACTIVE", True, True)
        assert count * wanted.cpu <= where.cpu
        assert count * wanted.memory <= where.memory
        assert count * max(wanted.gpus, wanted.all_gpus) <= where.gpus
        assert wanted.tcp.isdisjoint(where.tcp)
        assert wanted.udp.isdisjoint(where.udp)
        assert count == 1 or not (distinct or wanted.tcp or wanted.udp or wanted.all_gpus)


@given(fleets(), DEMANDS, PLACED, st.booleans(), st.integers())
def test_hosts_are_filled_and_never_overfilled(
    hosts: list[Host], wanted: Demand, placement: Placement, distinct: bool, seed: int
) -> None:
    """All that fits is placed, by any placement: no more and no less; then every host says why it takes no more."""
    constraints = [DistinctInstance()] if distinct else []
    chooser = placer(hosts, placement, *constraints, demand=wanted, seed=seed)
    capacity = chooser.capacity()
    assert capacity is not None
    chosen = choose(chooser, capacity)
    assert chooser.choose() is None
    check_within(hosts, wanted, chosen, distinct=distinct)
    assert sum(chooser.excluded.values()) == len(hosts)
    assert not chooser.stale


class World:
    """What ECS has, which no snapshot shows in time: tasks that run, and those of others that come and go."""

    def __init__(self, hosts: list[Host], wanted: Demand, random_number: random.Random) -> None:
        self.hosts = {each.arn: each for each in hosts}
        self.wanted = wanted
        self.random_number = random_number
        self.ours: Counter[str] = Counter()
        self.others: Counter[str] = Counter()

    def shown(self) -> list[Host]:
        """Take a snapshot."""
        return [self._less(each, self.ours[each.arn], self.others[each.arn]) for each in self.hosts.values()]

    def _less(self, whole: Host, ours: int, others: int) -> Host:
        wanted = self.wanted
        return attrs.evolve(
            whole,
            cpu=whole.cpu - ours * wanted.cpu - others,
            memory=whole.memory - ours * wanted.memory,
            gpus=0 if ours and wanted.all_gpus else whole.gpus - ours * wanted.gpus,
            tcp=whole.tcp | wanted.tcp if ours else whole.tcp,
            udp=whole.udp | wanted.udp if ours else whole.udp,
            tasks=whole.tasks + ours + others,
        )

    def start(self, name: str) -> str | None:
        """Start one; say why not."""
        whole = self.hosts[name]
        if whole.status != "ACTIVE" or not whole.agent or not whole.has(self.wanted.attributes):
            return "AGENT" if whole.status == "ACTIVE" else "INACTIVE"
        capacity_model = CapacityModel([self._less(whole, self.ours[name], self.others[name])])
        why_not = capacity_model.capacities[name].lacks(self.wanted)
        if why_not is None:
            self.ours[name] += 1
        return why_not

    def meddle(self) -> None:
        """Let something change that nobody reports."""
        name = self.random_number.choice(list(self.hosts))
        match self.random_number.randrange(4):
            case 0:
                self.others[name] += 10
            case 1:
                self.others[name] = 0
            case 2:
                self.hosts[name] = attrs.evolve(self.hosts[name], agent=not self.hosts[name].agent)
            case _:
                self.hosts[name] = attrs.evolve(
                    self.hosts[name], status=self.random_number.choice(["ACTIVE", "DRAINING"])
                )


@given(fleets(), DEMANDS, PLACED, st.integers(0, 2**32), st.integers(1, 40), st.booleans())
def test_a_start_goes_on_until_it_is_placed_or_nothing_has_capacity(
    hosts: list[Host], wanted: Demand, placement: Placement, seed: int, count: int, meddling: bool
) -> None:
    """Many in flight, snapshots taken meanwhile, a world that changes: it comes to an end, and the sums agree.

    In a world that stands still, what is left unplaced in the end has no capacity in truth either.
    """
    assume(hosts)
    random_number = random.Random(seed)
    world = World(hosts, wanted, random_number)
    chooser = placer(world.shown(), placement, demand=wanted, seed=seed)
    todo, in_flight, started, rounds = count, list[str](), 0, 0
    while todo or in_flight:
        rounds += 1
        assert rounds < 5000
        if meddling and rounds < 500 and random_number.random() < 0.1:
            world.meddle()
        if random_number.random() < 0.05 and rounds < 500:
            chooser.refresh(world.shown())
        tried = todo and random_number.random() < 0.7
        where = chooser.choose() if tried else None
        if where is not None:
            todo -= 1
            in_flight.append(where)
        elif in_flight:
            arrived = in_flight.pop(random_number.randrange(len(in_flight)))
            if random_number.random() < 0.1:
                chooser.unsent(arrived)
                todo += 1
            elif (why_not := world.start(arrived)) is None:
                chooser.started(arrived)
                started += 1
            else:
                chooser.refused(arrived, why_not)
                todo += 1
        elif chooser.stale:
            chooser.refresh(world.shown())
        elif tried:
            break
    assert started == sum(world.ours.values()) == count - todo
    assert all(not capacity.in_flight for capacity in chooser.capacity_model.capacities.values())
    if todo and not meddling:
        assert all(world.start(name) is not None for name in world.hosts)


@given(fleets(), DEMANDS, PLACED, st.lists(st.tuples(st.integers(0, 4), REASONS), max_size=60), st.booleans())
def test_what_came_to_nothing_is_as_if_it_had_not_been(
    hosts: list[Host], wanted: Demand, placement: Placement, steps: list[tuple[int, str | None]], distinct: bool
) -> None:
    """Whatever ECS says in whatever order: debits and counts agree with what is in flight and what has started."""
    constraints = [DistinctInstance()] if distinct else []
    chooser = placer(hosts, placement, *constraints, demand=wanted)
    before = {
        name: attrs.asdict(capacity, recurse=False) for name, capacity in chooser.capacity_model.capacities.items()
    }
    in_flight, started = list[str](), list[str]()
    for step, reason in steps:
        if step <= 1 and (where := chooser.choose()) is not None:
            in_flight.append(where)
        elif step == 2 and in_flight:
            started.append(in_flight.pop())
            chooser.started(started[-1])
        elif step == 3 and in_flight:
            chooser.unsent(in_flight.pop())
        elif step == 4 and in_flight:
            where = in_flight.pop()
            more = chooser.refused(where, reason)
            assert more is (chooser.capacity() != 0)
            assert chooser.excluded
        check_within(hosts, wanted, [*in_flight, *started], distinct=distinct)
    for where in in_flight:
        chooser.unsent(where)
    for where in started:
        chooser.released(where)
    for name, capacity in chooser.capacity_model.capacities.items():
        now = attrs.asdict(capacity, recurse=False)
        for member in ("cpu", "memory", "gpus", "tcp", "udp", "tasks", "in_flight", "started", "maybe_shown"):
            assert now[member] == before[name][member]


@given(fleets(), DEMANDS, PLACED, st.randoms(use_true_random=False))
def test_an_ecs_that_refuses_all_is_asked_no_more_in_the_end(
    hosts: list[Host], wanted: Demand, placement: Placement, random_number: random.Random
) -> None:
    """Though every snapshot shows capacity: each host surprises but once by each of nine reasons."""
    chooser = placer(hosts, placement, demand=wanted)
    reasons = ["RESOURCE:CPU", "RESOURCE:ENI", "AGENT", "ATTRIBUTE", "LOCATION", "MISSING", "INACTIVE", "NEW", None]
    refusals = snapshots = 0
    while (where := chooser.choose()) is not None or chooser.stale:
        if where is None or chooser.stale:
            snapshots += 1
            chooser.refresh(hosts)
        if where is not None:
            refusals += 1
            chooser.refused(where, random_number.choice(reasons))
    assert snapshots <= 9 * len(hosts)
    assert refusals <= (snapshots + 1) * len(hosts)


@given(st.integers(1, 12), st.integers(0, 200), st.integers(), st.sampled_from([Spread(), Spread("rack")]))
def test_spread_is_even_where_all_fit(count: int, tasks: int, seed: int, placement: Spread) -> None:
    """Within one, over the values and over the instances of each value."""
    hosts = [host(f"h{n}", cpu=10**4, memory=10**4, attributes={"rack": str(n % 3)}) for n in range(count)]
    chosen = Counter(choose(placer(hosts, placement, seed=seed), tasks))
    racks = [[chosen[f"h{n}"] for n in range(count) if n % 3 == rack] for rack in range(min(3, count))]
    assert all(max(each) - min(each) <= 1 for each in racks)
    sums = [sum(each) for each in racks] if placement.attribute else [each for rack in racks for each in rack]
    assert max(sums) - min(sums) <= 1


@given(st.lists(st.integers(0, 60), min_size=1, max_size=10), st.integers(1, 9), st.integers(0, 60), st.integers())
def test_binpack_leaves_the_most_hosts_as_they_are(free: list[int], size: int, tasks: int, seed: int) -> None:
    """At any time at most one host that it has used has capacity left, for it fills one before it begins another."""
    hosts = [host(f"h{n}", cpu=10**6, memory=memory) for n, memory in enumerate(free)]
    packer = placer(hosts, Binpack(), demand=Demand(memory=size), seed=seed)
    used: Counter[str] = Counter()
    for _ in range(tasks):
        where = packer.choose()
        if where is None:
            break
        used[where] += 1
        half_full = [name for name, count in used.items() if free[int(name[1:])] - count * size >= size]
        assert len(half_full) <= 1
        assert where in half_full or not half_full


# Against the local ECS -----------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(10, 90), st.integers(0, 2), st.booleans(), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    st.tuples(st.integers(0, 20), st.integers(6, 40), st.integers(0, 1), st.booleans(), st.booleans()),
    PLACED,
)
def test_the_local_ecs_agrees(
    shown: list[tuple[int, int, int, bool, bool]], size: tuple[int, int, int, bool, bool], placement: Placement
) -> None:
    """It starts every task where it was placed, and once nothing has capacity it refuses one more on every instance."""
    engine = Engine()
    engine.add_cluster()
    cpu, memory, gpus, port, picky = size
    definition = engine.add_task_definition(
        "demo",
        cpu=cpu,
        memory=memory,
        gpus=gpus,
        host_ports=[80] if port else [],
        requires={"os": "7"} if picky else {},
    )
    arns = [
        engine.add_instances(
            cpu=cpu, memory=memory, gpus=gpus, agent_connected=agent, attributes={"os": str(fits * 7)}
        )[0]
        for cpu, memory, gpus, agent, fits in shown
    ]
    described = engine.call("DescribeTaskDefinition", {"taskDefinition": definition})["taskDefinition"]
    snapshot = engine.call("DescribeContainerInstances", {"containerInstances": arns})["containerInstances"]
    hosts = [Host.of(from_plain(ContainerInstance, each)) for each in snapshot]
    chooser = placer(hosts, placement, demand=demand(from_plain(TaskDefinition, described)))

    def start(instance: str) -> dict[str, Any]:
        return engine.call("StartTask", {"taskDefinition": definition, "containerInstances": [instance]})

    while (where := chooser.choose()) is not None:
        assert not start(where)["failures"]
        chooser.started(where)
    refusals = Counter(failure["reason"] for arn in arns for failure in start(arn)["failures"])
    assert refusals == chooser.excluded
