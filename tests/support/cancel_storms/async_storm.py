"""The cancels of a storm for the async client, one after the other in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from virtual_time import VirtualTimeLoop, run_in_virtual_time

import aioecs
from aioecs import Outcome, RunTaskRequest, StartResult
from cancel_storms.cases import ANSWERS, Case, Judged, StormTransport, clients_on, judge, make_cases, request_of

CANCELS = ["token", "scope", "task", "enclosing scope", "timeout"]
TIMEOUT = 1.0
UNTIL_SETTLED = 60.0
"""How long the client is given to settle what a caller has left as UNKNOWN, before the next case; in virtual time."""
LAG, SLOW = 11.0, 12.0
"""When ECS's lists show a task, and when a slow answer comes, in seconds: both after `settle`."""
CASES_OF_A_CLIENT = 250
Start = Callable[[Case, aioecs.Client, StormTransport, dict[str, Any]], Awaitable[None]]


async def _start_task(case: Case, client: aioecs.Client, transport: StormTransport, how: dict[str, Any]) -> None:
    request = request_of(case, 2, transport)
    case.answered(request, await client.start_task(request, case.source, on_cancel=case.on_cancel, **how))


async def _keyed(case: Case, client: aioecs.Client, transport: StormTransport, how: dict[str, Any]) -> None:
    request = request_of(case, 2, transport)
    how = {**how, "on_cancel": case.on_cancel, "idempotency_key": case.name}
    case.answered(request, await client.start_task(request, case.source, **how))


async def _start_tasks(case: Case, client: aioecs.Client, transport: StormTransport, how: dict[str, Any]) -> None:
    requests = [request_of(case, 1, transport)] * 2
    case.received += (await client.start_tasks(requests, case.source, on_cancel=case.on_cancel, **how)).starts


async def _place_tasks(case: Case, client: aioecs.Client, transport: StormTransport, how: dict[str, Any]) -> None:
    template = request_of(case, 0, transport)
    report = await client.place_tasks(template, case.source, count=2, on_cancel=case.on_cancel, **how)
    case.received += report.starts


async def _run_task(case: Case, client: aioecs.Client, _: StormTransport, how: dict[str, Any]) -> None:
    request = RunTaskRequest(task_definition="demo", count=2, group=case.name)
    case.answered(request, await client.run_task(request, case.source, on_cancel=case.on_cancel, **how))


async def _batch_start_task(case: Case, client: aioecs.Client, transport: StormTransport, how: dict[str, Any]) -> None:
    request = request_of(case, 2, transport)
    async with client.batch(on_cancel=case.on_cancel) as batch:
        case.answered(request, await batch.start_task(request, case.source, **how))


async def _batch_shared(case: Case, client: aioecs.Client, transport: StormTransport, how: dict[str, Any]) -> None:
    """Start the second task for another caller, which is not cancelled and shares the call."""
    request = request_of(case, 1, transport)

    async def other() -> None:
        try:
            case.answered(request, await batch.start_task(request))
        except aioecs.StartCancelled as error:  # with the whole batch
            case.record(error)

    async with client.batch(on_cancel=case.on_cancel) as batch:
        sharing = asyncio.ensure_future(other())
        try:
            case.answered(request, await batch.start_task(request, case.source, **how))
        finally:
            while not sharing.done():  # a cancel of this task is not one of the other
                await asyncio.wait([sharing])


async def _batch_start_tasks(case: Case, client: aioecs.Client, transport: StormTransport, how: dict[str, Any]) -> None:
    requests = [request_of(case, 1, transport)] * 2
    async with client.batch(on_cancel=case.on_cancel) as batch:
        async for start in batch.start_tasks(requests, case.source, **how):
            case.received.append(start)


METHODS: dict[str, Start] = {
    "start_task": _start_task,
    "start_task with a key": _keyed,
    "start_tasks": _start_tasks,
    "place_tasks": _place_tasks,
    "run_task": _run_task,
    "batch.start_task": _batch_start_task,
    "batch.start_task, shared": _batch_shared,
    "batch.start_tasks": _batch_start_tasks,
}


async def _run(case: Case, client: aioecs.Client, transport: StormTransport) -> None:
    how: dict[str, Any] = {"timeout": TIMEOUT} if case.cancel_by == "timeout" else {}
    with case.around:
        try:
            await METHODS[case.method](case, client, transport, how)
        except aioecs.ECSError as error:
            case.record(error)
        except asyncio.CancelledError as error:
            case.record(error)
            raise


def _cancel(case: Case, task: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    if case.cancel_by == "timeout":
        assert isinstance(loop, VirtualTimeLoop)
        loop.advance(TIMEOUT)
    else:
        ways = {"token": case.token.cancel, "scope": case.scope.cancel, "task": task.cancel}
        ways.get(case.cancel_by, case.around.cancel)()


async def _storm(cases: list[Case], settled: list[StartResult], transports: list[StormTransport]) -> None:
    async with aioecs.Client(
        region_name="us-east-1", pacing=None, on_settled=lambda starts, _: settled.extend(starts)
    ) as client:
        (transport,) = transports
        for case in cases:
            transport.cases[case.name] = case
            case.fired = asyncio.Event()
            task = asyncio.ensure_future(_run(case, client, transport))
            case.fire = lambda case=case, task=task: _cancel(case, task)  # type: ignore[misc]
            await asyncio.wait([task])
            await case.fired.wait()
            if not task.cancelled():
                task.result()
            if any(start.outcome is Outcome.UNKNOWN for start in case.received):
                await asyncio.sleep(UNTIL_SETTLED)


def async_storm(count: int, seed: int = 0) -> Judged:
    """Run so many cancels, and judge them."""
    judged = Judged()
    cases = make_cases(count, list(METHODS), lambda _: CANCELS, ANSWERS, seed)
    for at in range(0, count, CASES_OF_A_CLIENT):
        settled: list[StartResult] = []
        transports: list[StormTransport] = []

        def transport(transports: list[StormTransport] = transports) -> StormTransport:
            transports.append(StormTransport(slow=SLOW, visibility_lag=LAG))
            return transports[0]

        with clients_on(transport):
            run_in_virtual_time(_storm(cases[at : at + CASES_OF_A_CLIENT], settled, transports))
        judged.add(judge(cases[at : at + CASES_OF_A_CLIENT], settled, transports[0]))
    return judged
