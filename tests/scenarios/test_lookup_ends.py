"""Ends of a lookup: repeated instances, stopped duplicates, and outcomes that are reported only once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

import aioecs
from aioecs import StartTaskRequest, StartTaskResponse, Timeouts
from aioecs._logic.calls import call_state
from aioecs._logic.calls.actions import BackoffEnded, LookupDone, Stopped
from aioecs._logic.calls.call_result import result_of
from aioecs.testing import Fault, LocalECS
from tests.logic.calls.test_call_state import answered, late, record, task


@pytest.mark.parametrize("delivery", ["at_most_once", "at_least_once"])
async def test_a_repeated_instance_is_confirmed_although_one_of_its_tasks_was_found(delivery: Any) -> None:
    """Of two tasks on one instance one runs and one has stopped; both are found, with either `delivery`."""
    ran: list[str] = []

    def running_seconds(task: Any) -> float | None:
        ran.append(task.arn)
        return 0.0 if ran.index(task.arn) else None

    async with LocalECS(
        instances=1,
        faults=[Fault("reset", when="after")],
        started_by_with_status="ignore",
        running_seconds=running_seconds,
    ) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "timeouts": Timeouts(consistency=0.5)}
        async with aioecs.Client(**access) as client:
            request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns * 2)
            response = await client.start_task(request, delivery=delivery)
        assert {one.task_arn for one in response.tasks} == {one.arn for one in local.truth.tasks()}
        assert local.truth.requests["StartTask"] == 1


def test_a_duplicate_whose_stop_was_accepted_does_not_count() -> None:
    """A lookup may still return it as it was before the stop; that doesn't mean that it could not be stopped."""
    call = record(delivery="at_least_once")
    late(call)
    call_state.handle(call, answered(task("9", at=32)), 32)
    call_state.handle(call, BackoffEnded(), 33)
    both = (task("1"), task("9", at=32))
    call_state.handle(call, LookupDone(both, whole=True, began=33), 33)
    call_state.handle(call, Stopped(frozenset({"9"}), frozenset({"9"})), 34)
    call_state.handle(call, BackoffEnded(), 62)
    call_state.handle(call, LookupDone(both, whole=True, began=62), 62)
    assert isinstance(result_of(call), StartTaskResponse)


def test_on_settled_receives_an_outcome_once() -> None:
    """Even if the loop ends and the caller is cancelled at the same time."""
    reasons: list[Any] = []
    serving = LocalECS(faults=[Fault("reset", when="after")])
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving) as local:

        async def main() -> None:
            client = aioecs.Client(on_settled=lambda _, reason: reasons.append(reason), **local.client_kwargs())

            async def use() -> None:
                async with client:
                    await client.start_task(
                        StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:1])
                    )

            task = asyncio.create_task(use())
            while not local.truth.requests["StartTask"]:
                await asyncio.sleep(0)
            assert not task.done()

        asyncio.run(main())
    assert len(reasons) == 1
