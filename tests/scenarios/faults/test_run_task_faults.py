"""Every fault against RunTask, on real sockets and both transports, compared with what really happened.

Each fault, before and after RunTask took effect, by one and ten tasks, on container instances and on Fargate, by the
policy of a cancel that comes meanwhile or of none, with the client token alive and with one that may be forgotten.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import anyio
import attrs
import pytest
from aiobotocore.session import AioSession
from run_task_fixtures import DEMO, FARGATE

import aioecs
from aioecs import CancelToken, Outcome, Retries, RunTaskRequest, StartResult, Timeouts
from aioecs._logic.calls import call_record
from aioecs.testing import Fault, LocalECS

SESSION = AioSession()  # which loads the service's model once for all clients
CLOCKS = Timeouts(attempt=2, consistency=0.5, call=20, settle=3, drain=5)
HUNG = attrs.evolve(CLOCKS, attempt=0.4)  # only what hangs should meet this clock, however busy the machine is
RETRIES = Retries(initial_backoff=0.02, max_backoff=0.2)

Kind = Literal["hang", "reset", "close", "error", "truncated", "garbage", "empty"]
KINDS: tuple[Kind, ...] = ("hang", "reset", "close", "error", "truncated", "garbage", "empty")
FAULTS = [Fault(kind, when=when, operation="RunTask") for kind in KINDS for when in ("before", "after")]
UNREAD = [Fault(kind, when="unread", operation="RunTask") for kind in ("hang", "reset", "close")]
NEVER_ACTED = [
    Fault("throttle", operation="RunTask"),
    Fault("error", operation="RunTask", code="ClientException", status=400),
]


@pytest.fixture(params=["auto", "botocore"])
def transport(request: pytest.FixtureRequest) -> str:
    """Take the native transport, then botocore's."""
    return str(request.param)


@attrs.define
class Reported:
    """What a caller received of its starts, and what `on_settled` received later."""

    starts: tuple[StartResult, ...] = ()
    settled: dict[str, StartResult] = attrs.Factory(dict)

    def note(self, starts: tuple[StartResult, ...], _: str | None) -> None:
        """Take what came after the caller had left."""
        self.settled.update({start.task.task_arn or "": start for start in starts if start.task is not None})


async def run(
    local: LocalECS, requests: list[RunTaskRequest], fault: Fault, transport: Any, policy: str | None
) -> Reported:
    """Make the calls under the fault; with a policy they are cancelled as soon as ECS has the requests."""
    reported = Reported()
    clocks = HUNG if fault.kind == "hang" else CLOCKS
    access: dict[str, Any] = {**local.client_kwargs(), "timeouts": clocks, "retries": RETRIES, "session": SESSION}
    access["transport"] = transport
    async with aioecs.Client(**access, on_settled=reported.note) as client:
        token = CancelToken()
        calls = [asyncio.create_task(_starts(client, request, token, policy)) for request in requests]
        while (
            policy is not None
            and local.truth.requests["RunTask"] < len(calls)
            and not any(call.done() for call in calls)
        ):
            await anyio.sleep(0.002)
        if policy is not None:
            token.cancel()
        reported.starts = tuple(start for starts in await asyncio.gather(*calls) for start in starts)
    return reported


async def _starts(
    client: aioecs.Client, request: RunTaskRequest, token: CancelToken, policy: Any
) -> tuple[StartResult, ...]:
    try:
        response = await client.run_task(request, token, on_cancel=policy)
    except aioecs.ECSError as error:
        return error.starts
    started = [
        StartResult(request=request, container_instance="", outcome=Outcome.STARTED, task=task)
        for task in response.tasks
    ]
    refused = [
        StartResult(request=request, container_instance="", outcome=Outcome.REFUSED, failure=failure)
        for failure in response.failures
    ]
    return (*started, *refused)


def check(reported: Reported, local: LocalECS, request: RunTaskRequest) -> tuple[StartResult, ...]:
    """Hold a call against the truth: nothing twice, nothing lost, no lie; return its starts."""
    made = {task.arn for task in local.truth.tasks() if task.group == request.group}
    running = {task.arn for task in local.truth.running() if task.group == request.group}
    starts = tuple(start for start in reported.starts if start.request.group == request.group)
    assert request.count is not None
    assert len(starts) == request.count, "every start is reported once"
    named = [start.task.task_arn for start in starts if start.task is not None]
    assert len(set(named)) == len(named), "no task belongs to two starts"
    assert set(named) <= made
    assert len(made) <= request.count, "never twice"
    unknown = sum(start.outcome is Outcome.UNKNOWN for start in starts)
    assert len(running - set(named) - reported.settled.keys()) <= unknown, "never lost"
    for start in starts:
        if start.outcome is Outcome.STARTED:
            assert start.task is not None
            assert start.task.task_arn in running, "what is said to have started was left alone"
        if start.outcome is Outcome.STOPPED:
            assert start.task is not None
            assert start.task.task_arn not in running
    return starts


@pytest.mark.parametrize("policy", [None, "stop", "keep", "abandon"])
@pytest.mark.parametrize("kind", ["EC2", "FARGATE"])
async def test_every_fault(transport: str, kind: str, policy: str | None) -> None:
    """No fault makes a second start, loses one, or makes a lie; without a cancel every start is known in the end.

    One task and ten are asked for side by side, of one client.
    """
    base = FARGATE if kind == "FARGATE" else DEMO
    requests = [base.replace(count=count, group=f"{count} asked for") for count in (1, 10)]

    async def one(fault: Fault) -> None:
        faults = [attrs.evolve(fault, times=len(requests))]
        async with LocalECS(instances=20, fargate=kind == "FARGATE", faults=faults, visibility_lag=0.1) as local:
            reported = await run(local, requests, fault, transport, policy)
            for request in requests:
                starts = check(reported, local, request)
                if policy is None:
                    refused = fault in NEVER_ACTED and fault.kind == "error"
                    wanted = Outcome.REFUSED if refused else Outcome.STARTED
                    assert {start.outcome for start in starts} == {wanted}
                    made = [task for task in local.truth.tasks() if task.group == request.group]
                    assert len(made) == (0 if refused else request.count)
            assert not list(local.faults) or policy is not None, "each call was hit"

    async with anyio.create_task_group() as group:
        for fault in (*FAULTS, *UNREAD, *NEVER_ACTED):
            group.start_soon(one, fault)


@pytest.mark.parametrize("count", [1, 10])
async def test_with_a_token_that_may_be_forgotten(transport: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not sent again: what started is found by its mark, and what did not is unknown."""
    monkeypatch.setattr(call_record, "CLIENT_TOKEN_KNOWN", 0.0)

    async def one(fault: Fault) -> None:
        async with LocalECS(instances=10, faults=[fault], visibility_lag=0.1) as local:
            request = DEMO.replace(count=count, group=f"{count} asked for")
            reported = await run(local, [request], fault, transport, None)
            check(reported, local, request)
            assert local.truth.requests["RunTask"] <= 1
            acted = fault.when == "after"
            assert {start.outcome for start in reported.starts} == {Outcome.STARTED if acted else Outcome.UNKNOWN}

    async with anyio.create_task_group() as group:
        for fault in FAULTS:
            group.start_soon(one, fault)
