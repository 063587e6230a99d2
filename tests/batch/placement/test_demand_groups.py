"""demand_groups: which requests are placed alike."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from aioecs import Spread, StartTaskRequest, TaskOverride
from aioecs._batch.placement import demand_groups
from aioecs._batch.placement.demand_groups import DemandGroups
from aioecs._batch.placement.placement_context import PlacementContext
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.host_capacity import CapacityModel
from aioecs.types import ContainerDefinition, TaskDefinition


class FakeInventory:
    """An inventory that is never refreshed."""

    def __init__(self) -> None:
        self.capacity_model = CapacityModel([Host(arn=f"i{n}", cpu=100, memory=100) for n in range(3)])


def context(inventory: Any, confirm: Any = None) -> PlacementContext:
    """Return the context of a definition."""
    container = ContainerDefinition(name="main", cpu=1, memory=1)
    return PlacementContext(TaskDefinition(container_definitions=[container]), inventory, (), confirm)


def sized(cpu: int) -> StartTaskRequest:
    """Return a request whose task takes so much CPU."""
    return StartTaskRequest(task_definition="demo", overrides=TaskOverride(cpu=str(cpu)))


def test_equal_demands_share_a_group_and_all_sizes_a_placer() -> None:
    """Another inventory has a placer of its own."""
    groups = DemandGroups(Spread(), random.Random(1).random)
    here, there = context(FakeInventory()), context(FakeInventory())
    assert groups.find(here, sized(2)) is groups.find(here, sized(2))
    assert groups.find(here, sized(3)) is not groups.find(here, sized(2))
    assert groups.find(here, sized(3)).placer is groups.find(here, sized(2)).placer
    assert groups.find(there, sized(2)).placer is not groups.find(here, sized(2)).placer


def test_a_group_has_the_reconciler_of_its_context() -> None:
    """None where refusals are not confirmed."""
    groups, reconciler = DemandGroups(Spread(), random.Random(1).random), FakeInventory()
    assert groups.reconciler_of(groups.find(context(FakeInventory()), sized(2))) is None
    assert groups.reconciler_of(groups.find(context(FakeInventory(), reconciler), sized(2))) is cast("Any", reconciler)


def test_contradicted_inventories() -> None:
    """Those of which ECS contradicted three hosts."""
    groups, inventory = DemandGroups(Spread(), random.Random(1).random), FakeInventory()
    group = groups.find(context(inventory), sized(2))
    assert list(groups.outdated(in_use=False)) == []
    for n in range(3):
        group.placer.refused(f"i{n}", "AGENT", group.demand)
    assert list[object](groups.outdated(in_use=False)) == [inventory]


def test_groups_are_forgotten_past_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """So any number of demands takes bounded memory."""
    monkeypatch.setattr(demand_groups, "REMEMBERED", 2)
    groups, here = DemandGroups(Spread(), random.Random(1).random), context(FakeInventory())
    first = groups.find(here, sized(1))
    for cpu in range(2, 20):
        groups.find(here, sized(cpu))
    assert groups.find(here, sized(1)) is not first
