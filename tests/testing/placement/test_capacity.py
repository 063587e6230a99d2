"""capacity: room on an instance, never less than none."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs.testing._placement.capacity import RESERVED_TCP, has_attributes, lacks, release, take, why_not
from aioecs.testing._world.state import Definition, Instance, Need


def instance(**members: object) -> Instance:
    """Make an instance of 100 units, 200 MiB, two GPUs and one network interface."""
    made = Instance(1, "i", "arn", "i-0", 100, 200, ("g1", "g2"), 1, {"os": "linux", "bare": None}, 0.0, {})
    for name, value in members.items():
        setattr(made, name, value)
    return made


def definition(*requires: tuple[str, str | None]) -> Definition:
    """Make a definition that requires attributes."""
    return Definition("f", 1, "d", "bridge", (), None, None, requires, (), {}, {}, Need())


@pytest.mark.parametrize(
    ("need", "lacking"),
    [
        (Need(cpu=100, memory=200, gpus=2, enis=1, tcp=frozenset({80}), udp=frozenset({53})), None),
        (Need(cpu=101, memory=201), "CPU"),
        (Need(memory=201), "MEMORY"),
        (Need(tcp=frozenset({8080})), "PORTS"),
        (Need(udp=frozenset({8125})), "PORTS"),
        (Need(tcp=frozenset({RESERVED_TCP[0]})), "PORTS"),
        (Need(gpus=3), "GPU"),
        (Need(enis=2), "ENI"),
    ],
)
def test_the_first_resource_that_lacks_is_named(need: Need, lacking: str | None) -> None:
    """CPU, memory, ports, GPUs, network interfaces."""
    assert lacks(instance(used_tcp={8080}, used_udp={8125}), need) == lacking


def test_interfaces_without_a_limit_never_lack() -> None:
    """None is no limit."""
    assert lacks(instance(enis=None), Need(enis=99)) is None


@pytest.mark.parametrize(
    ("requires", "has"),
    [((), True), ((("os", None),), True), ((("os", "linux"),), True), ((("os", "windows"),), False),
     ((("bare", None),), True), ((("bare", "x"),), False), ((("gone", None),), False)],
)  # fmt: skip
def test_a_required_attribute_is_matched_by_name_and_value(
    requires: tuple[tuple[str, str | None], ...], has: bool
) -> None:
    """A requirement without a value is met by any."""
    assert has_attributes(instance(), definition(*requires)) is has


@pytest.mark.parametrize(
    ("members", "refused", "reason"),
    [
        ({}, True, None),
        ({"status": "INACTIVE"}, False, "INACTIVE"),
        ({"status": "DRAINING"}, True, "INACTIVE"),
        ({"status": "DRAINING"}, False, None),
        ({"agent_connected": False}, True, "AGENT"),
        ({"attributes": {}}, True, "ATTRIBUTE"),
        ({"used_cpu": 91}, True, "RESOURCE:CPU"),
        ({"status": "INACTIVE", "agent_connected": False, "attributes": {}, "used_cpu": 91}, True, "INACTIVE"),
    ],
)
def test_why_a_task_is_not_started(members: Mapping[str, object], refused: bool, reason: str | None) -> None:
    """The gravest reason comes first."""
    assert why_not(instance(**members), definition(("os", None)), Need(cpu=10), refused) == reason


needs = st.builds(
    Need,
    cpu=st.integers(0, 60),
    memory=st.integers(0, 120),
    gpus=st.integers(0, 2),
    enis=st.integers(0, 1),
    tcp=st.frozensets(st.integers(80, 84), max_size=2),
    udp=st.frozensets(st.integers(53, 55), max_size=1),
)


@given(st.lists(st.tuples(needs, st.integers(0, 3)), max_size=30))
def test_room_is_never_negative_and_all_comes_back(steps: list[tuple[Need, int]]) -> None:
    """Whatever is taken and given back in whatever order, if it fitted."""
    host = instance()
    empty = attrs.asdict(host)
    placed: list[tuple[Need, tuple[str, ...]]] = []
    for need, drop in steps:
        if lacks(host, need) is None:
            placed.append((need, take(host, need)))
        assert 0 <= host.used_cpu <= host.cpu
        assert 0 <= host.used_memory <= host.memory
        assert host.enis is not None
        assert 0 <= host.used_enis <= host.enis
        assert len(host.used_gpus) == sum(len(gpus) for _, gpus in placed)
        if drop < len(placed):
            release(host, *placed.pop(drop))
    for held in placed:
        release(host, *held)
    assert attrs.asdict(host) == empty
