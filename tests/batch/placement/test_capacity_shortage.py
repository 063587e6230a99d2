"""capacity_shortage: the failure of a start that fits nowhere, and when the hook is called."""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest

from aioecs import CapacityDemand, Spread, StartTaskRequest
from aioecs._batch.placement.capacity_shortage import ShortageNotifier, no_capacity
from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host, Size
from aioecs._logic.placement.placer import Placer
from aioecs._logic.placement.waitlist import DemandGroup, WaitingStart
from aioecs._logic.sending.packing import Entry

DEMAND = Demand(cpu=4, memory=4)


def group(*hosts: Host, demand: Demand = DEMAND) -> DemandGroup:
    """Return the group of a demand on these hosts."""
    return DemandGroup(Placer(hosts, demand, Spread(), (), random.Random(1).random), demand, None)


def host(cpu: int, size: int = 8) -> Host:
    """Return a host with so much CPU free."""
    return Host(arn="i1", cpu=cpu, memory=8, size=Size(cpu=size, memory=size))


@pytest.mark.parametrize(
    ("hosts", "reason", "detail"),
    [
        ([host(1)], "RESOURCE:CPU", "no container instance has capacity: RESOURCE:CPU on 1"),
        ([host(1, size=2)], "RESOURCE:CPU", "larger than any container instance"),
        ([], "RESOURCE", "none is ACTIVE and matches the constraints"),
    ],
)
def test_the_failure_says_why(hosts: list[Host], reason: str, detail: str) -> None:
    """With ECS's reason, and with the number of instances."""
    failure = no_capacity(group(*hosts))
    assert failure.reason == reason
    assert detail in (failure.detail or "")


def test_the_hook_is_called_when_what_lacks_has_changed(caplog: pytest.LogCaptureFixture) -> None:
    """Not twice with the same; what it raises is logged, and goes no further."""
    calls: list[CapacityDemand] = []

    def hook(demand: CapacityDemand) -> None:
        calls.append(demand)
        raise ValueError("a defect of the hook's")

    notifier = ShortageNotifier(hook)
    lacking, owner = group(host(1)), Any
    waiting = [
        (lacking, WaitingStart(n, Entry(StartTaskRequest(task_definition="demo"), "", owner, n), 1.0))  # type: ignore[arg-type]
        for n in range(2)
    ]
    with caplog.at_level(logging.ERROR, "aioecs"):
        notifier.notify(waiting)
        notifier.notify(waiting)
        notifier.notify(waiting[:1])
    assert [(each.starts, each.cpu) for each in calls] == [(2, 8), (1, 4)]
    assert "on_capacity_shortage raised" in caplog.text
    ShortageNotifier(None).notify(waiting)
