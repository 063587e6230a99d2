"""Every method of Client, Batch and sync.Client that takes a cancel scope: cancelled before, during and after.

By a token, by a plain scope and natively, against a local ECS on real sockets. Before, nothing is sent. During, what
reads is abandoned at once and a start is stopped; no task runs unreported. After, the answer stands.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from typing import Any

import anyio
import attrs
import pytest
from aiobotocore.session import AioSession
from run_task_fixtures import DEMO, opened
from threaded_ecs import ctrl_c, local_ecs_on_thread

import aioecs
import aioecs.sync
from aioecs import CallCancelled, CancelToken, Outcome, StartCancelled, StartTaskRequest
from aioecs.testing import Fault, LocalECS

SESSION = AioSession()  # which loads the service's model once for all clients
MOMENTS = ("before", "during", "after")
DELAY = [Fault("delay", when="after", operation="*", times=None, seconds=0.3)]


@attrs.frozen
class Asked:
    """What the methods are asked for: requests, and a task that runs already."""

    start: StartTaskRequest
    template: StartTaskRequest
    task: str

    @classmethod
    def of(cls, local: LocalECS, task: str) -> Asked:
        """Ask for what this local ECS has."""
        template = StartTaskRequest(task_definition="demo")
        return cls(template.replace(container_instances=local.instance_arns[:2]), template, task)


Call = Callable[[Any, Asked, Any], Any]
BOTH: dict[str, Call] = {
    "start_task": lambda own, asked, scope: own.start_task(asked.start, scope),
    "start_tasks": lambda own, asked, scope: own.start_tasks([asked.start] * 3, scope),
    "run_task": lambda own, _, scope: own.run_task(DEMO, scope),
    "run_tasks": lambda own, _, scope: own.run_tasks([DEMO] * 3, scope),
}
CLIENT: dict[str, Call] = {
    **BOTH,
    "place_tasks": lambda own, asked, scope: own.place_tasks(asked.template, scope, count=3),
    "place_task": lambda own, asked, scope: own.place_task(asked.template, scope),
    "run": lambda own, asked, scope: own.run(asked.template, scope, timeout=20),
    "run_all": lambda own, asked, scope: own.run_all([asked.template] * 2, scope, timeout=20),
    "wait_until_healthy": lambda own, asked, scope: own.wait_until_healthy([asked.task], scope, timeout=20),
    "wait_for_results": lambda own, asked, scope: own.wait_for_results([asked.task], scope, timeout=20),
    "wait_for_instances": lambda own, _, scope: own.wait_for_instances("default", 99, scope, timeout=20),
    "look_up": lambda own, _, scope: own.look_up("aioecs-nobody", scope),
    "wait_until_running": lambda own, asked, scope: own.wait_until_running([asked.task], scope, timeout=20),
    "wait_until_stopped": lambda own, asked, scope: own.wait_until_stopped([asked.task], scope, timeout=20),
    "watch": lambda own, asked, scope: own.watch([asked.task], scope, timeout=20),
    "stop_task": lambda own, asked, scope: own.stop_task(aioecs.StopTaskRequest(task=asked.task), scope),
    "describe_tasks": lambda own, asked, scope: own.describe_tasks(
        aioecs.DescribeTasksRequest(tasks=[asked.task]), scope
    ),
    "describe_container_instances": lambda own, asked, scope: own.describe_container_instances(
        aioecs.DescribeContainerInstancesRequest(container_instances=asked.start.container_instances), scope
    ),
    "describe_task_definition": lambda own, _, scope: own.describe_task_definition(
        aioecs.DescribeTaskDefinitionRequest(task_definition="demo"), scope
    ),
    "list_tasks": lambda own, _, scope: own.list_tasks(aioecs.ListTasksRequest(), scope),
    "list_container_instances": lambda own, _, scope: own.list_container_instances(
        aioecs.ListContainerInstancesRequest(), scope
    ),
}
BATCH: dict[str, Call] = {
    **BOTH,
    "place_task": lambda own, asked, scope: own.place_task(asked.template, scope),
    "place_tasks": lambda own, asked, scope: own.place_tasks(asked.template, scope, count=3),
}
ELSEWHERE = {"logs"}
"""A task of the demo definition has no logs: tests/client/test_logs.py cancels them."""
ENDLESS = {
    "wait_until_stopped",
    "watch",
    "run",
    "run_all",
    "wait_until_healthy",
    "wait_for_results",
    "wait_for_instances",
}
"""These end with the task, which never does by itself, or when a hundred instances have joined."""

CASES = [*(("client", name) for name in CLIENT), *(("batch", name) for name in BATCH)]


def takes_a_scope(kind: type) -> set[str]:
    """Return the public methods of a class that take a cancel scope."""
    methods = {name: held for name, held in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
    return {name for name, held in methods.items() if "cancel_scope" in inspect.signature(held).parameters} - ELSEWHERE


def test_the_tables_have_every_method() -> None:
    """Whoever adds one walks it here too; what has no scope is no operation of ECS."""
    assert takes_a_scope(aioecs.Client) == takes_a_scope(aioecs.sync.Client) == set(CLIENT)
    assert takes_a_scope(aioecs.Batch) == set(BATCH)


async def whole(make: Call, own: Any, asked: Asked, scope: Any) -> Any:
    """Make the call and wait for it, or read what it gives to its end."""
    given = make(own, asked, scope)
    if isinstance(given, AsyncIterable) and not isinstance(given, Awaitable):
        return [each async for each in given]
    return await given


def starts_in(answer: Any) -> list[Any]:
    """Return the tasks that an answer says to run, by ARN."""
    held = answer if isinstance(answer, list) else getattr(answer, "starts", None) or getattr(answer, "tasks", ())
    arns = []
    for each in held if isinstance(held, (list, tuple)) else ():
        task = getattr(each, "task", each)
        if (
            task is not None
            and getattr(each, "outcome", Outcome.STARTED) is Outcome.STARTED
            and hasattr(task, "task_arn")
        ):
            arns.append(task.task_arn)
    return arns


@pytest.mark.parametrize(("on", "name"), CASES, ids=str)
async def test_the_async_ones(on: str, name: str) -> None:
    """Each ends as it should, and leaves no task running that was not reported; the nine cases run side by side."""
    async with asyncio.TaskGroup() as group:
        for by in ("token", "scope", "natively"):
            for moment in MOMENTS:
                group.create_task(cancelled(on, name, by, moment))


async def cancelled(on: str, name: str, by: str, moment: str) -> None:
    """Cancel one call in one way, at one moment, and hold its end against the truth."""
    settled: list[aioecs.StartResult] = []
    case = f"{by}, {moment}"
    async with LocalECS(instances=3) as local:
        async with (
            opened(local, session=SESSION, on_settled=lambda starts, _: settled.extend(starts)) as client,
            client.batch() as batch,
        ):
            (task,) = (await client.run_task(DEMO)).tasks
            local.faults.set(DELAY)
            before = local.truth.requests.total()
            source: Any = CancelToken() if by == "token" else anyio.CancelScope() if by == "scope" else None
            own = client if on == "client" else batch
            table = CLIENT if on == "client" else BATCH
            if moment == "before" and source is not None:
                source.cancel()
            call = asyncio.create_task(whole(table[name], own, Asked.of(local, task.task_arn or ""), source))
            if moment == "during" or (moment == "after" and name in ENDLESS):
                while local.truth.requests.total() == before and not call.done():
                    await asyncio.sleep(0.001)
            elif moment == "after":
                await asyncio.wait([call])
            source.cancel() if source is not None else call.cancel()
            await asyncio.wait([call])
            if moment == "before":
                assert local.truth.requests.total() == before, f"{case}: nothing is sent"
            reported = judge(call, by, case, early=moment != "after" or name in ENDLESS, streams=on == "batch")
        known = {task.task_arn, *reported, *(start.task.task_arn for start in settled if start.task is not None)}
        running = {each.arn for each in local.truth.running()}
        assert running <= known, f"{case}: never lost"
        assert set(reported) <= running | {task.task_arn}, f"{case}: never a lie"


def judge(call: asyncio.Task[Any], by: str, case: str, *, early: bool, streams: bool) -> list[Any]:
    """Hold how a call ended against how it was cancelled; return the tasks that it says to run."""
    if call.cancelled():
        assert early, case
        assert by == "natively"
        return []
    error = call.exception()
    if error is None:
        assert not early or streams, (
            f"{case}: a stream ends with what it has given; every other call says that it was cancelled"
        )
        return starts_in(call.result())
    assert early, case
    assert isinstance(error, CallCancelled), f"{case}: {error!r}"
    return starts_in(error) if isinstance(error, StartCancelled) else []


# Blocking ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def there() -> Iterator[LocalECS]:
    """Serve a local ECS to threads."""
    with local_ecs_on_thread(instances=3) as local:
        yield local


@pytest.mark.parametrize(
    ("by", "moment"), [("token", "before"), ("token", "during"), ("token", "after"), ("ctrl-c", "during")]
)
@pytest.mark.parametrize("name", CLIENT)
def test_the_blocking_ones(there: LocalECS, name: str, by: str, moment: str) -> None:
    """A token cancels from another thread, a Ctrl-C in the main one; the truth is in the error or behind it."""
    there.faults.clear()
    settled: list[aioecs.StartResult] = []
    access: dict[str, Any] = {**there.client_kwargs(), "timeouts": aioecs.Timeouts(settle=5, drain=5)}
    access["session"] = SESSION
    with aioecs.sync.Client(**access, on_settled=lambda starts, _: settled.extend(starts)) as client:
        (task,) = client.run_task(DEMO).tasks
        running_before = {each.arn for each in there.truth.running()}
        if moment == "after" and name in ENDLESS:
            moment = "during"
        if moment == "during":  # neither what is not sent nor what has ended needs an answer that is late
            there.faults.set(DELAY)
        before = there.truth.requests.total()
        token = CancelToken()
        asked = Asked.of(there, task.task_arn or "")
        reported = _blocked(
            client, CLIENT[name], asked, token, by, moment, lambda: there.truth.requests.total() > before
        )
    there.faults.clear()
    if moment == "before" and by == "token":
        assert reported == []
    known = {*reported, *(start.task.task_arn for start in settled if start.task is not None)}
    assert {each.arn for each in there.truth.running()} - running_before <= known, "never lost"
    assert set(reported) - {task.task_arn} <= {each.arn for each in there.truth.running()}, "never a lie"


def _blocked(
    client: aioecs.sync.Client,
    call: Call,
    asked: Asked,
    token: CancelToken,
    by: str,
    moment: str,
    begun: Callable[[], bool],
) -> list[Any]:
    def make() -> list[Any]:
        answer = call(client, asked, token)
        return starts_in(list(answer) if isinstance(answer, Iterator) else answer)

    if by == "ctrl-c":
        with pytest.raises(KeyboardInterrupt) as interrupted, ctrl_c(begun):
            make()
        cause = interrupted.value.__cause__
        return starts_in(cause) if isinstance(cause, StartCancelled) else []
    if moment == "after":
        reported = make()
        token.cancel()
        return reported
    if moment == "before":
        token.cancel()
    canceller = threading.Thread(target=_cancel_once, args=(token, begun))
    canceller.start()
    try:
        with pytest.raises(CallCancelled) as cancelled:
            make()
        return starts_in(cancelled.value) if isinstance(cancelled.value, StartCancelled) else []
    finally:
        canceller.join()


def _cancel_once(token: CancelToken, begun: Callable[[], bool]) -> None:
    while not (begun() or token.cancelled):
        threading.Event().wait(0.001)
    token.cancel()
