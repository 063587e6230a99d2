"""Placement compared with RunTask's documented rules, which the local ECS follows: same cluster, same tasks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioecs import Binpack, DistinctInstance, Random, Spread
from aioecs._logic.placement.demand import demand
from aioecs._logic.placement.host import ZONE, Host
from aioecs._logic.placement.placer import Placer
from aioecs._model.codec.plain import from_plain
from aioecs._model.placement import Placement
from aioecs.testing import Engine
from aioecs.types import ContainerInstance, TaskDefinition


@attrs.frozen
class Cluster:
    """A local ECS whose hosts have these sizes and zones; a task takes `size` of CPU and memory."""

    engine: Engine
    arns: list[str]

    @classmethod
    def make(cls, hosts: list[tuple[int, int, int]], size: tuple[int, int]) -> Cluster:
        """Make one with hosts of so much CPU and memory, each in a zone."""
        engine = Engine()
        engine.add_cluster()
        engine.add_task_definition("demo", cpu=size[0], memory=size[1])
        arns = [engine.add_instances(cpu=c, memory=m, attributes={ZONE: f"z{zone}"})[0] for c, m, zone in hosts]
        return cls(engine, arns)

    def run_tasks(self, placement: Placement, *, distinct: bool, count: int) -> Iterator[str]:
        """Let ECS place tasks one by one; yield the hosts, until it refuses one."""
        request: dict[str, Any] = {"taskDefinition": "demo", "placementStrategy": strategies_of(placement)}
        if distinct:
            request["placementConstraints"] = [{"type": "distinctInstance"}]
        for _ in range(count):
            tasks = self.engine.call("RunTask", request)["tasks"]
            if not tasks:
                return
            yield tasks[0]["containerInstanceArn"]

    def place(self, placement: Placement, *, distinct: bool, count: int) -> Iterator[str]:
        """Place tasks one by one as aioecs does, and start each where it was placed."""
        described = self.engine.call("DescribeTaskDefinition", {"taskDefinition": "demo"})["taskDefinition"]
        shown = self.engine.call("DescribeContainerInstances", {"containerInstances": self.arns})["containerInstances"]
        hosts = [Host.of(from_plain(ContainerInstance, each)) for each in shown]
        constraints = (DistinctInstance(),) if distinct else ()
        takes = demand(from_plain(TaskDefinition, described))
        placer = Placer(hosts, takes, placement, constraints, random.Random(1).random)
        for _ in range(count):
            where = placer.choose()
            if where is None:
                return
            request = {"taskDefinition": "demo", "containerInstances": [where]}
            assert not self.engine.call("StartTask", request)["failures"]
            yield where


def strategies_of(placement: Placement) -> list[dict[str, str]]:
    """Return the same placement as `placementStrategy`."""
    if isinstance(placement, Binpack):
        return [{"type": "binpack", "field": placement.by}]
    if isinstance(placement, Random):
        return [{"type": "random"}]
    by = placement.attribute if placement.attribute is not None else "instanceId"
    field = by if by == "instanceId" else f"attribute:{by}"
    return [{"type": "spread", "field": field}, {"type": "spread", "field": "instanceId"}]


def by_host(cluster: Cluster, chosen: list[str]) -> list[int]:
    """Return how many tasks each host got, in any order: equal hosts are interchangeable."""
    counts = Counter(chosen)
    return sorted(counts[arn] for arn in cluster.arns)


def by_zone(cluster: Cluster, chosen: list[str]) -> list[int]:
    """Return how many tasks each zone got."""
    shown = cluster.engine.call("DescribeContainerInstances", {"containerInstances": cluster.arns})
    zones = {
        each["containerInstanceArn"]: next(a["value"] for a in each["attributes"] if a["name"] == ZONE)
        for each in shown["containerInstances"]
    }
    counts = Counter(zones[arn] for arn in chosen)
    return sorted(counts[zone] for zone in set(zones.values()))


def free_memory(cluster: Cluster, _: list[str]) -> list[int]:
    """Return how much memory each host has left."""
    shown = cluster.engine.call("DescribeContainerInstances", {"containerInstances": cluster.arns})
    resources = [each["remainingResources"] for each in shown["containerInstances"]]
    return sorted(next(r["integerValue"] for r in each if r["name"] == "MEMORY") for each in resources)


def in_all(_: Cluster, chosen: list[str]) -> int:
    """Return how many were placed."""
    return len(chosen)


HOSTS = st.lists(st.tuples(st.integers(10, 60), st.integers(10, 60), st.integers(0, 2)), min_size=1, max_size=6)
SIZES = st.tuples(st.integers(4, 20), st.integers(4, 20))


@pytest.mark.parametrize(
    ("placement", "distribution"),
    [
        (Spread(), by_host),
        (Spread(ZONE), by_zone),
        (Binpack("memory"), free_memory),
        (Random(), in_all),
    ],
    ids=["hosts", "zones", "memory", "random"],
)
@settings(max_examples=25, deadline=None)
@given(hosts=HOSTS, size=SIZES, count=st.integers(1, 40), distinct=st.booleans())
def test_tasks_are_distributed_as_run_task_does(
    placement: Placement,
    distribution: Callable[[Cluster, list[str]], Any],
    hosts: list[tuple[int, int, int]],
    size: tuple[int, int],
    count: int,
    distinct: bool,
) -> None:
    """As many, on hosts or zones alike, under the same constraint, until RunTask refuses one."""
    if isinstance(placement, Binpack):  # hosts that are equal in memory are equal: CPU is not what decides
        hosts = [(10_000, memory, zone) for _, memory, zone in hosts]
    theirs, ours = Cluster.make(hosts, size), Cluster.make(hosts, size)
    run = list(theirs.run_tasks(placement, distinct=distinct, count=count))
    placed = list(ours.place(placement, distinct=distinct, count=count))
    assert len(placed) == len(run)
    assert distribution(ours, placed) == distribution(theirs, run)
