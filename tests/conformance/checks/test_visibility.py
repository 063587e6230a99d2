"""The lags: they are measured, and what is not visible in time differs."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.conformance._calls import Answer
from aioecs.conformance._checks import visibility
from aioecs.conformance._checks.visibility import lags
from aioecs.conformance._context import Context
from aioecs.testing import Fault, VirtualClock
from tests.conformance.runs import local_run


async def test_lags_are_measured() -> None:
    """DescribeTasks answers MISSING until then."""
    async with local_run(visibility_lag=0.06, describe_lag=0.03, consistency=10) as run:
        found = await run.findings(lags)
        assert {name: result for name, (result, _) in found.items()} == {
            "describe.lag": "as expected",
            "list.lag": "as expected",
            "list.before_describe": "as expected",
        }
        assert "times MISSING" in found["describe.lag"][1]
        assert "10 tasks" in found["list.lag"][1]
        assert run.local.truth.running() == []


async def test_without_lags() -> None:
    """No failure was seen."""
    async with local_run(consistency=10) as run:
        assert (await run.findings(lags))["describe.lag"][1].endswith("; before, never a failure")


async def test_a_list_that_is_ahead_is_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted where a DescribeTasks after the list did not know the task."""
    clock, call, missing = VirtualClock(1.8e9), Context.call, list[bool]()

    async def watched(context: Context, operation: str, **members: Any) -> Answer:
        """Let the time for DescribeTasks pass after two of them that followed the list."""
        listed = bool(missing)
        answer = await call(context, operation, **members)
        if operation == "list_tasks" and answer.body["taskArns"] and not missing:
            missing.append(False)
        elif operation == "describe_tasks" and listed and answer.reasons:
            missing.append(True)
        if sum(missing) == 2:
            clock.advance(60)
            missing.clear()
        return answer

    monkeypatch.setattr(Context, "call", watched)
    async with local_run(clock=clock, describe_lag=60, consistency=10) as run:
        result, seen = (await run.findings(lags))["list.before_describe"]
        assert (result, seen) == (
            "differs, handled",
            "10 of 10 tasks in ListTasks were not known to the DescribeTasks that followed",
        )


async def test_what_is_not_visible_in_time_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how many."""
    monkeypatch.setattr(visibility, "_TASKS", 2)
    nothing = Fault("mutated", "after", "ListTasks", times=None, find=r'\["arn:[^\]]*\]', replace="[]")
    async with local_run(faults=[nothing], consistency=0.3) as run:
        found = await run.findings(lags)
        assert found["list.lag"] == ("differs", "none; 2 not within 0 s")
