"""Starts whose answer is lost: what they leave is found."""

from __future__ import annotations

import attrs
import pytest

from aioecs.conformance._calls import Blocked
from aioecs.conformance._checks.breaks import disconnect, reset
from aioecs.testing import Fault, LocalECS
from tests.conformance.runs import local_run


async def test_a_reset_leaves_a_task() -> None:
    """The client has an error, and the task is found by its token."""
    async with local_run(visibility_lag=0.05) as run:
        (finding,) = (await run.findings(reset)).values()
        assert finding == ("as expected", "EndpointConnectionError; tasks found: 1")
        assert set(run.context.tasks) == {task.arn for task in run.local.truth.tasks()}
        assert run.context.open_tokens == set()


async def test_a_refused_start_shows_nothing() -> None:
    """The check can't be run."""
    async with local_run(denied=["StartTask"]) as run:
        with pytest.raises(Blocked, match="ECS started nothing: AccessDeniedException"):
            await reset(run.context)


async def test_a_proxy_that_can_not_sign() -> None:
    """In front of a real endpoint it needs credentials that botocore finds."""
    async with local_run() as run:
        run.context.setup = attrs.evolve(run.context.setup, endpoint="https://ecs.eu-west-1.amazonaws.com")
        with pytest.raises(Blocked, match="the fault proxy can't be used: no AWS credentials"):
            await reset(run.context)


async def test_a_client_that_leaves_leaves_a_task() -> None:
    """One request was sent, by a connection that was closed after its last byte."""
    async with local_run(faults=[Fault("delay", when="after", seconds=0.2)]) as run:
        assert (await run.findings(disconnect))["break.disconnect"] == ("as expected", "tasks found: 1")
        (call,) = run.local.truth.calls()
        assert (call.executed, call.answered) == (True, False)
        assert set(run.context.tasks) == {task.arn for task in run.local.truth.tasks()}


async def test_an_ecs_that_drops_such_requests_is_handled() -> None:
    """Nothing is found in time; the token stays open for cleaning up."""
    async with local_run(faults=[Fault("reset")], consistency=0.05) as run:
        assert (await run.findings(disconnect))["break.disconnect"] == ("differs, handled", "tasks found: 0")
        assert len(run.context.open_tokens) == 1
        assert run.context.reserved == 0


async def test_no_direct_connection() -> None:
    """As where only a proxy leads to AWS."""
    async with local_run() as run:
        async with LocalECS() as gone:
            kwargs = gone.client_kwargs()
        connect = run.context.connect
        run.context.connect = lambda **more: connect(**{**kwargs, **more})
        with pytest.raises(Blocked, match=r"no direct connection to http.*ConnectionRefusedError"):
            await disconnect(run.context)
