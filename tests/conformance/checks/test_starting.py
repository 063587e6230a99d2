"""StartTask checks: what the local ECS does is as expected, and another behavior is noticed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioecs.conformance._calls import Blocked
from aioecs.conformance._checks import starting
from aioecs.conformance._context import Context
from aioecs.testing import Fault
from tests.conformance.runs import local_run

Step = Callable[[Context], Awaitable[None]]
CHECKS = {
    "start.order": (starting.order, "the requested order in 0 of 3 answers; each task named its instance in 3"),
    "start.repeated": (starting.repeated, "200, 2 tasks"),
    "start.mixed": (starting.mixed, "200, 1 task, failures MISSING"),
    "start.no_capacity": (starting.no_capacity, "5120 CPU units: 200, 0 tasks, failures RESOURCE:CPU"),
    "start.eleven": (starting.eleven, "InvalidParameterException (400)"),
    "start.long_started_by": (starting.long_started_by, "InvalidParameterException (400)"),
}


@pytest.mark.parametrize("name", CHECKS)
async def test_as_expected(name: str) -> None:
    """And what was seen is said."""
    check, seen = CHECKS[name]
    async with local_run() as run:
        assert await run.findings(check) == {name: ("as expected", seen)}


@pytest.mark.parametrize(
    ("name", "find", "replace"),
    [
        ("start.order", "container-instance/", "container-instance/x"),
        ("start.repeated", '"failures":', '"tasks":[],"failures":'),
        ("start.mixed", "MISSING", "GONE"),
        ("start.no_capacity", "RESOURCE:CPU", "RESOURCE"),
        ("start.eleven", "InvalidParameterException", "ServerException"),
        ("start.long_started_by", "InvalidParameterException", "ClientException"),
    ],
)
async def test_another_answer_differs(name: str, find: str, replace: str) -> None:
    """Each check notices it."""
    fault = Fault("mutated", when="after", find=find, replace=replace, times=None)
    async with local_run(faults=[fault]) as run:
        found = await run.findings(CHECKS[name][0])
        assert found[name][0] == "differs", found


@pytest.mark.parametrize("check", [starting.order, starting.repeated])
async def test_without_capacity_nothing_is_learned(check: Any) -> None:
    """The check can't be run."""
    async with local_run(cpu=5) as run:
        with pytest.raises(Blocked, match="RESOURCE:CPU"):
            await check(run.context)
