"""_calls: one request is one request, and its answer is read as it is."""

from __future__ import annotations

import pytest
from aiobotocore.session import AioSession

from aioecs.conformance import _calls
from aioecs.conformance._calls import Answer, Blocked, NoAnswer, send, send_once, single_attempts
from aioecs.testing import Fault, LocalECS
from tests.conformance.runs import SESSION


async def test_answers_and_errors() -> None:
    """Status, headers, code and message; one request each."""
    async with LocalECS() as local, SESSION.create_client("ecs", **local.client_kwargs()) as ecs:
        good = await send_once(ecs, "list_tasks")
        assert (good.error, good.status, good.body["taskArns"]) == (None, 200, [])
        assert good.headers["x-amzn-requestid"]
        bad = await send_once(ecs, "list_tasks", cluster="nowhere")
        assert (bad.error, bad.message, str(bad)) == (
            "ClusterNotFoundException",
            "Cluster not found.",
            "ClusterNotFoundException (400)",
        )
        assert local.truth.requests == {"ListTasks": 2}


async def test_tasks_and_failures() -> None:
    """The text has the number of tasks and the reasons of the failures."""
    async with LocalECS() as local, SESSION.create_client("ecs", **local.client_kwargs()) as ecs:
        named = [local.instance_arns[0], "f" * 32]
        answer = await send_once(ecs, "start_task", taskDefinition="demo", containerInstances=named)
        assert (len(answer.arns), answer.reasons) == (1, ["MISSING"])
        assert str(answer) == "200, 1 task, failures MISSING"


async def test_what_can_not_be_sent_was_not_sent() -> None:
    """Without credentials there is no lost answer to wait for."""
    session = AioSession()
    async with LocalECS() as local:
        where = {"endpoint_url": local.endpoint_url, "region_name": local.region}
        async with session.create_client("ecs", **where) as ecs:
            with pytest.raises(Blocked, match=r"^list_tasks was not sent: NoCredentialsError$"):
                await send_once(ecs, "list_tasks")
        assert local.truth.requests == {}


@pytest.mark.parametrize("kind", ["reset", "error"])
async def test_nothing_is_sent_again(kind: str) -> None:
    """A broken connection is no answer; a 500 is one."""
    faults = [Fault(kind, operation="ListTasks", times=None)]  # type: ignore[arg-type]
    once = single_attempts()
    async with (
        LocalECS(faults=faults) as local,
        SESSION.create_client("ecs", config=once, **local.client_kwargs()) as ecs,
    ):
        if kind == "reset":
            with pytest.raises(NoAnswer, match=r"Error$"):
                await send_once(ecs, "list_tasks")
        else:
            assert (await send_once(ecs, "list_tasks")).status == 500
        assert local.truth.requests == {"ListTasks": 1}


async def test_a_throttled_request_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not executed; after some times it stays throttled."""
    monkeypatch.setattr(_calls, "_BACKOFF", 0.0)
    once = single_attempts()
    faults = [Fault("throttle", operation="ListTasks", times=3)]
    async with (
        LocalECS(faults=faults) as local,
        SESSION.create_client("ecs", config=once, **local.client_kwargs()) as ecs,
    ):
        assert (await send(ecs, "list_tasks")).error is None
        local.faults.add(Fault("throttle", operation="ListTasks", times=None))
        assert (await send(ecs, "list_tasks")).error == "ThrottlingException"
        assert local.truth.requests == {"ListTasks": 10}


async def test_what_is_not_permitted_blocks() -> None:
    """The error has ECS's message."""
    async with LocalECS(denied=["ListTasks"]) as local, SESSION.create_client("ecs", **local.client_kwargs()) as ecs:
        with pytest.raises(Blocked, match=r"^list_tasks: AccessDeniedException: User: .* is not authorized to perform"):
            await send(ecs, "list_tasks")


def test_an_empty_answer() -> None:
    """It has no tasks and no message."""
    answer = Answer({}, 200, {})
    assert (answer.arns, answer.reasons, answer.message, str(answer)) == ([], [], "", "200, 0 tasks")
