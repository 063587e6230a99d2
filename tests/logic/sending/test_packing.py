"""packing: which starts share a call, and when a call is ready."""

from __future__ import annotations

import itertools
import random
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs import StartTaskRequest, TaskOverride
from aioecs._logic.sending.packing import Entry, Packing, Stage, alike, common_of, joins
from aioecs._model.start_result import StartResult
from aioecs.errors import ECSError


class Nobody:
    """An owner that ignores what it is notified of."""

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, carrier: object, /) -> None:
        """Ignore it."""

    def looked_up(self, entry: Entry, in_lookup: bool, /) -> None:
        """Ignore it."""


def add(packing: Packing, definition: str, instance: str, now: float = 0.0, key: str | None = None) -> Entry:
    """Queue one start."""
    request = StartTaskRequest(task_definition=definition)
    entry = Entry(request, instance, Nobody(), 0)
    packing.add(entry, packing.group(request, "at_most_once", key), now)
    return entry


def taken(packing: Packing, now: float) -> list[str]:
    """Take one call, and return its instances."""
    call = packing.take(now)
    return [entry.instance for entry in call[1]] if call is not None else []


def test_equal_starts_share_a_call_of_ten_in_order() -> None:
    """A thousand equal starts make a hundred calls, in the order they came."""
    packing = Packing(0.002)
    for number in range(1000):
        add(packing, "demo", str(number))
    calls = [taken(packing, 0.0) for _ in range(100)]
    assert [instance for call in calls for instance in call] == [str(number) for number in range(1000)]
    assert {len(call) for call in calls} == {10}
    assert packing.take(9) is None
    assert (packing.queued, packing.calls_left(), packing.ready_at(0)) == (0, 0, None)


def test_what_differs_or_has_a_key_has_a_call_of_its_own() -> None:
    """Another definition, other overrides, another delivery or a key of its own is another call."""
    packing = Packing(0.0)
    plain = StartTaskRequest(task_definition="demo")
    groups = [
        packing.group(plain, "at_most_once"),
        packing.group(plain, "at_least_once"),
        packing.group(plain.replace(overrides=TaskOverride(cpu="1")), "at_most_once"),
        packing.group(plain, "at_most_once", "k"),
        packing.group(plain, "at_most_once", "k"),
        packing.group(plain.replace(extra={"new": 1}), "at_most_once"),
    ]
    assert len({id(group) for group in groups}) == len(groups)
    equal = packing.group(StartTaskRequest(task_definition="demo"), "at_most_once")
    entry = Entry(plain, "a", Nobody(), 0)
    packing.add(entry, equal, 0)
    assert packing.group(StartTaskRequest(task_definition="demo"), "at_most_once") is equal


def test_what_is_spelled_otherwise_is_another_call() -> None:
    """True, 1 and 1.0 are equal in Python and differ in JSON: a member that aioecs doesn't know may be any of them."""
    packing = Packing(0.0)
    group = {}
    for held in (True, 1, 1.0):
        request = StartTaskRequest(task_definition="demo", overrides=TaskOverride(extra={"newer": held}))
        group[repr(held)] = packing.group(request, "at_most_once")
        packing.add(Entry(request, "a", Nobody(), 0), group[repr(held)], 0.0)
    assert len({id(each) for each in group.values()}) == 3
    again = StartTaskRequest(task_definition="demo", overrides=TaskOverride(extra={"newer": 1}))
    assert packing.group(again, "at_most_once") is group["1"]


def test_equal_starts_hold_the_same_parts() -> None:
    """Requests with equal overrides of their own hold those of their group: thousands that are kept share them."""
    packing = Packing(0.0)
    made = [
        StartTaskRequest(task_definition="demo", overrides=TaskOverride(cpu=cpu), container_instances=[cpu])
        for cpu in ("1", "1", "2")
    ]
    groups = []
    for request in made:
        groups.append(packing.group(request, "at_most_once"))
        packing.add(Entry(request, "a", Nobody(), 0), groups[-1], 0.0)
    assert groups[0] is groups[1] is not groups[2]
    assert made[0].overrides is made[1].overrides is not made[2].overrides
    assert [request.container_instances for request in made] == [("1",), ("1",), ("2",)]


def test_what_shares_all_but_the_instances_is_alike() -> None:
    """The very same values, or equal strings: then one check serves both."""
    one = StartTaskRequest(task_definition="demo", overrides=TaskOverride(cpu="1"), enable_execute_command=True)
    assert alike(one, one.replace(task_definition=str(b"demo", "ascii"), container_instances=["b"]))
    for unlike in (
        one.replace(overrides=TaskOverride(cpu="1")),
        one.replace(enable_execute_command=1),
        one.replace(cluster="other"),
    ):
        assert not alike(one, unlike)


def test_the_last_group_is_known_while_any_of_it_waits() -> None:
    """It holds a request, which may hold secrets: it is dropped with the last of its starts that wait."""
    packing = Packing(0.0)
    assert packing.last is None
    add(packing, "demo", "a")
    assert packing.last is packing.group(StartTaskRequest(task_definition="demo"), "at_most_once")
    assert taken(packing, 0.0) == ["a"]
    assert packing.last is None


@attrs.frozen(kw_only=True)
class Marked(StartTaskRequest):
    """A request of a caller's own class, with a member more."""

    client_mark: str | None = None


@pytest.mark.parametrize("container", ["main", None])
def test_requests_of_a_caller_s_own_class_are_checked_and_written_one_by_one(container: str | None) -> None:
    """What a derived class adds is in the JSON of its own requests, and of no others."""

    def request(cls: Any, **more: Any) -> Any:
        overrides = TaskOverride.for_container(container, environment={"A": "b"}) if container is not None else None
        return cls(task_definition="demo", container_instances=["a"], overrides=overrides, **more)

    first, other, plain = request(Marked, client_mark="x"), request(Marked, client_mark="y"), request(StartTaskRequest)
    written = [common_of(each, "at_most_once", None) for each in (first, other, plain)]
    assert len({*written}) == 3
    assert not any(joins(one, another) for one, another in itertools.permutations((first, other, plain), 2))
    assert joins(request(StartTaskRequest), plain)
    assert [common_of(each, "at_most_once", None) for each in (first, other, plain)] == written


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(cast("Any", StartTaskRequest))])
def test_no_member_but_the_instances_is_left_out_of_what_is_alike(name: str) -> None:
    """Whatever ECS adds to a request must be compared too."""
    one = StartTaskRequest(task_definition="demo")
    given: Any = {"extra": {"newer": 1}}.get(name, ["other"])
    assert alike(one, one.replace(**{name: given})) is alike(one.replace(**{name: given}), one)
    assert alike(one, one.replace(**{name: given})) is (name == "container_instances")


def test_a_group_that_is_not_full_waits_for_more() -> None:
    """The window counts from the first start that waits; a full group doesn't wait."""
    packing = Packing(0.002)
    add(packing, "demo", "a", now=1.0)
    assert packing.ready_at(1.0) == pytest.approx(1.002)
    assert packing.take(1.001) is None
    for number in range(9):
        add(packing, "demo", str(number), now=1.001)
    assert packing.ready_at(1.001) == 1.001
    assert len(taken(packing, 1.001)) == 10
    add(packing, "demo", "b", now=2.0)
    assert packing.ready_at(2.0) == pytest.approx(2.002), "the window begins anew"


def test_a_large_group_does_not_starve_a_small_one() -> None:
    """A group that has starts left goes to the end."""
    packing = Packing(0.0)
    for number in range(30):
        add(packing, "large", str(number))
    add(packing, "small", "s")
    assert [len(taken(packing, 0.0)) for _ in range(4)] == [10, 1, 10, 10]


def test_a_start_tried_again_is_served_first_and_at_once() -> None:
    """A start that is moved to another instance has waited already."""
    packing = Packing(1.0)
    add(packing, "demo", "a", now=0.0)
    again = Entry(StartTaskRequest(task_definition="other"), "z", Nobody(), 0)
    packing.add(again, packing.group(again.request, "at_most_once"), 0.5, again=True)
    assert taken(packing, 0.5) == ["z"]


def test_a_start_withdrawn_while_queued_is_in_no_call() -> None:
    """A start that is withdrawn before its call is taken is not in it, and a group without starts is dropped."""
    packing = Packing(0.0)
    entries = [add(packing, "demo", str(number)) for number in range(12)]
    for entry in entries[:11]:
        packing.withdraw(entry)
    assert packing.queued == 1
    assert taken(packing, 0.0) == ["11"]
    last = add(packing, "demo", "x")
    packing.withdraw(last)
    assert packing.ready_at(0.0) is None


@given(st.integers(0, 2**32))
def test_every_start_is_taken_once_or_withdrawn(seed: int) -> None:
    """In any order of adding, withdrawing and taking: no start is lost or taken twice, and a call is of one group."""
    rng = random.Random(seed)
    packing = Packing(rng.choice((0.0, 1.0)))
    everyone: list[Entry] = []
    in_flight: list[Entry] = []
    now = 0.0
    for _ in range(rng.randrange(120)):
        now += rng.random()
        what = rng.random()
        if what < 0.7:
            key = "k" if rng.random() < 0.1 else None
            everyone.append(add(packing, rng.choice("abc"), str(len(everyone)), now, key))
        elif what < 0.8 and (waiting := [entry for entry in everyone if entry.stage is Stage.QUEUED]):
            packing.withdraw(rng.choice(waiting))
        elif (call := packing.take(now)) is not None:
            group, entries = call
            assert 1 <= len(entries) <= 10
            assert {entry.request.task_definition for entry in entries} == {group.request.task_definition}
            in_flight += entries
        assert packing.queued == sum(entry.stage is Stage.QUEUED for entry in everyone)
    while (call := packing.take(now := now + 10)) is not None:
        in_flight += call[1]
    assert packing.queued == 0
    assert len(set(map(id, in_flight))) == len(in_flight)
    assert {entry.stage for entry in everyone} <= {Stage.IN_FLIGHT, Stage.DONE}
