"""capacity: the free resources of an instance, which are never negative."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs.testing._placement.capacity import (
    RESERVED_TCP,
    failure_reason,
    has_attributes,
    missing_resource,
    release,
    reserve,
)
from aioecs.testing._state.records import Definition, Instance, Need


def instance(**members: object) -> Instance:
    """Return an instance of 100 units, 200 MiB, two GPUs and one network interface."""
    made = Instance(1, "i", "arn", "i-0", 100, 200, ("g1", "g2"), 1, {"os": "linux", "bare": None}, 0.0, {})
    for name, value in members.items():
        setattr(made, name, value)
    return made


def definition(*requires: tuple[str, str | None]) -> Definition:
    """Return a definition that requires attributes."""
    return Definition("f", 1, "d", "bridge", (), None, None, requires, (), {}, {}, Need())


@pytest.mark.parametrize(
    ("need", "missing"),
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
def test_the_first_missing_resource_is_named(need: Need, missing: str | None) -> None:
    """CPU, memory, ports, GPUs, network interfaces."""
    assert missing_resource(instance(used_tcp={8080}, used_udp={8125}), need) == missing


def test_interfaces_without_a_limit_are_never_missing() -> None:
    """None is no limit."""
    assert missing_resource(instance(enis=None), Need(enis=99)) is None


@pytest.mark.parametrize(
    ("requires", "has"),
    [((), True), ((("os", None),), True), ((("os", "linux"),), True), ((("os", "windows"),), False),
     ((("bare", None),), True), ((("bare", "x"),), False), ((("gone", None),), False)],
)  # fmt: skip
def test_a_required_attribute_is_matched_by_name_and_value(
    requires: tuple[tuple[str, str | None], ...], has: bool
) -> None:
    """A requirement without a value matches any value."""
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
    """The first reason in the order of checks is returned."""
    assert failure_reason(instance(**members), definition(("os", None)), Need(cpu=10), refused) == reason


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
def test_free_resources_are_never_negative_and_all_are_released(steps: list[tuple[Need, int]]) -> None:
    """In whatever order fitting tasks are started and stopped."""
    host = instance()
    empty = attrs.asdict(host)
    placed: list[tuple[Need, tuple[str, ...]]] = []
    for need, drop in steps:
        if missing_resource(host, need) is None:
            placed.append((need, reserve(host, need)))
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
