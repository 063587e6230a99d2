"""A DRAINING instance: it is set back, whatever happens, and never taken from others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from aioecs.conformance._calls import Blocked, NoAnswer
from aioecs.conformance._checks.draining import draining
from aioecs.conformance._setup import Options
from aioecs.testing import Fault
from tests.conformance.runs import Run, local_run


@asynccontextmanager
async def with_drain(**settings: Any) -> AsyncIterator[tuple[Run, str]]:
    """Prepare a run that may drain the last instance."""
    async with local_run(**settings) as run:
        name = run.local.instance_arns[-1].rpartition("/")[2]
        run.context.setup = attrs.evolve(run.context.setup, options=Options(drain=name))
        yield run, name


def status(run: Run) -> str:
    """Return the status of the instance."""
    answer = run.local.engine.call("DescribeContainerInstances", {"containerInstances": [run.local.instance_arns[-1]]})
    return str(answer["containerInstances"][0]["status"])


@pytest.mark.parametrize(
    ("behavior", "result", "seen"),
    [
        ("refuse", "as expected", "200, 0 tasks, failures INACTIVE: The container instance is DRAINING."),
        ("accept", "differs, handled", "200, 1 task"),
    ],
)
async def test_what_a_draining_instance_does(behavior: Any, result: str, seen: str) -> None:
    """Either is seen, and the instance is ACTIVE again."""
    async with with_drain(draining=behavior) as (run, _):
        assert await run.findings(draining) == {"drain.refused": (result, seen)}
        assert status(run) == "ACTIVE"


async def test_an_instance_that_runs_tasks_is_left_alone() -> None:
    """Draining could stop them."""
    async with with_drain() as (run, name):
        await run.context.started([name])
        with pytest.raises(Blocked, match="runs tasks, which draining could stop"):
            await draining(run.context)
        assert run.local.truth.requests["UpdateContainerInstancesState"] == 0


async def test_one_that_takes_no_tasks_is_left_alone() -> None:
    """It would be set to ACTIVE in the end."""
    async with with_drain() as (run, name):
        run.local.engine.drain(name)
        with pytest.raises(Blocked, match="not ACTIVE"):
            await draining(run.context)
        assert status(run) == "DRAINING"


UPDATE = "UpdateContainerInstancesState"


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("reset")],  # of the start
        [Fault("reset", "after", UPDATE)],
        [Fault("reset", "after", UPDATE), Fault("reset", "before", UPDATE), Fault("error", "before", UPDATE)],
        [Fault("error", "after", UPDATE)],
    ],
)
async def test_it_is_set_back_after_an_error(faults: list[Fault]) -> None:
    """The start fails, or the answer to its being set to DRAINING is lost, or the first tries to set it back fail."""
    async with with_drain(faults=faults) as (run, _):
        with pytest.raises((Blocked, NoAnswer), match="E"):
            await draining(run.context)
        assert status(run) == "ACTIVE"
        assert run.context.draining is None


@pytest.mark.parametrize("denied", ["UpdateContainerInstancesState", "DescribeContainerInstances"])
async def test_it_must_be_permitted(denied: str) -> None:
    """Nothing is started."""
    async with with_drain() as (run, _):
        run.local.engine.denied.add(denied)
        with pytest.raises(Blocked, match="AccessDeniedException"):
            await draining(run.context)
        assert run.local.truth.tasks() == []
