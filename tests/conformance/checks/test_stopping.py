"""Stopped tasks: reason, lists and retention."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.conformance._checks.stopping import retention, stopping
from aioecs.conformance._setup import Options
from aioecs.testing import Fault
from tests.conformance.runs import local_run

NAMES = ("stop.reason", "stop.again", "stop.unknown", "list.running_by_default", "list.started_by_stopped")


async def test_as_expected() -> None:
    """All of it."""
    async with local_run() as run:
        found = await run.findings(stopping)
        assert {result for result, _ in found.values()} == {"as expected"}
        assert set(found) == {*NAMES, "list.stopped_by_instance", "list.only_filter"}
        assert found["stop.reason"][1] == "UserInitiated: aioecs:withdrawn:check"


@pytest.mark.parametrize(
    ("behavior", "seen"),
    [
        ("reject", "refused: InvalidParameterException (400)"),
        ("ignore", "accepted, and did not find it"),
    ],
)
async def test_started_by_beside_a_status_is_handled_otherwise(behavior: Any, seen: str) -> None:
    """Whether it is refused or ignored."""
    async with local_run(started_by_with_status=behavior, consistency=0.05) as run:
        assert (await run.findings(stopping))["list.started_by_stopped"] == ("differs, handled", seen)


@pytest.mark.parametrize(
    ("name", "operation", "find", "replace"),
    [
        ("stop.reason", "DescribeTasks", "UserInitiated", "EssentialContainerExited"),
        ("stop.reason", "DescribeTasks", "aioecs:withdrawn:check", "stopped"),
        ("stop.unknown", "StopTask", "InvalidParameterException", "ClientException"),
        ("list.only_filter", "ListTasks", "InvalidParameterException", "ServerException"),
        ("list.stopped_by_instance", "ListTasks", r'\["arn:[^\]]*\]', "[]"),
    ],
)
async def test_another_answer_differs(name: str, operation: str, find: str, replace: str) -> None:
    """Each fact notices it."""
    skip = 1 if name == "list.stopped_by_instance" else 0  # the first list finds the task that was started
    fault = Fault("mutated", "after", operation, times=None, find=find, replace=replace, skip=skip)
    async with local_run(faults=[fault], consistency=0.2) as run:
        assert (await run.findings(stopping))[name][0] == "differs"


async def test_retention_within_the_run() -> None:
    """All tasks that were stopped are described."""
    async with local_run() as run:
        await run.context.stop(await run.context.started(list(run.context.setup.instances)))
        assert await run.findings(retention) == {"stop.retention": ("as expected", "2 of 2 tasks, the oldest 0 s old")}


async def test_retention_after_an_hour() -> None:
    """It is described nearly an hour later; one that is gone then differs."""
    async with local_run(options=Options(long=True)) as run:
        seen = "described 3590 s after it had stopped"
        assert await run.findings(retention) == {"stop.retention": ("as expected", seen)}
    async with local_run(options=Options(long=True)) as run:
        pass_time = run.context.pass_time
        run.context.pass_time = lambda seconds: pass_time(2 * seconds)
        result, seen = (await run.findings(retention))["stop.retention"]
        assert (result, seen[:7]) == ("differs", "MISSING")
