"""run_stream: which refusals wait for capacity, and which are final, through `run_tasks` on a local ECS."""

from __future__ import annotations

import asyncio

import pytest
from run_task_fixtures import DEMO, FARGATE, opened

import aioecs
from aioecs import Outcome
from aioecs.testing import Fault, LocalECS


async def test_fargate_s_prose_is_waited_for() -> None:
    """Fargate says in prose that it has no capacity; the rest starts once some is free."""
    async with LocalECS(fargate=True, fargate_tasks=2) as local, opened(local) as client:
        work = asyncio.create_task(client.run_tasks([FARGATE] * 3, wait_for_capacity=20))
        while len(local.truth.running()) < 2:
            await asyncio.sleep(0.01)
        local.engine.end_task(local.truth.running()[0].arn)
        report = await work
        report.raise_for_failures()
        assert {start.container_instance for start in report.starts} == {""}
        assert len(local.truth.tasks()) == 3


@pytest.mark.parametrize("said", ["Capacity is unavailable at this time.", "TaskDefinition is inactive"])
async def test_prose_in_an_error(said: str) -> None:
    """Capacity is waited for; any other error is final."""
    fault = Fault("error", operation="RunTask", code="ClientException", message=said, status=400)
    async with LocalECS(instances=1, faults=[fault]) as local, opened(local) as client:
        report = await client.run_tasks([DEMO], wait_for_capacity=20)
        waited = said.startswith("Capacity")
        assert report.starts[0].outcome is (Outcome.STARTED if waited else Outcome.REFUSED)
        assert local.truth.requests["RunTask"] == 1 + waited


async def test_an_unknown_reason_is_final() -> None:
    """It is kept as it is, and not retried."""
    constraint = aioecs.types.PlacementConstraint(type="memberOf", expression="attribute:stack == prod")
    async with LocalECS(instances=1) as local, opened(local) as client:
        report = await client.run_tasks([DEMO.replace(placement_constraints=[constraint])], wait_for_capacity=20)
        (start,) = report.starts
        assert start.outcome is Outcome.REFUSED
        assert start.failure is not None
        assert start.failure.reason
        assert local.truth.requests["RunTask"] == 1
