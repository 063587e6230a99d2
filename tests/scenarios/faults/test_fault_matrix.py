"""Every fault with every `delivery`, on real sockets, compared with what really happened: never twice, lost or a lie.

Each fault occurs before and after StartTask took effect, with `delivery` at_most_once and at_least_once, one and ten
instances, tasks that run and tasks that have stopped at the lookup, and the three behaviors of ListTasks with
`startedBy` and STOPPED. The four calls of a fault share one client and one local ECS; each has its own instances.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal

import anyio
import attrs
import pytest
from aiobotocore.session import AioSession
from raw_server import Exchange, RawServer

import aioecs
from aioecs import Outcome, Retries, StartResult, StartTaskRequest, Timeouts
from aioecs._model.options import Delivery
from aioecs.testing import Fault, LocalECS, TrueTask

SESSION = AioSession()  # shared, as each session loads the service's model
SHARED: dict[str, Any] = {"session": SESSION}
TIMEOUTS = Timeouts(attempt=5, consistency=0.4, call=30, settle=2, drain=5)
HANG_TIMEOUTS = attrs.evolve(
    TIMEOUTS, attempt=0.4
)  # only a hanging call should reach this timeout, even on a busy machine
RETRIES = Retries(initial_backoff=0.05, max_backoff=0.4)

Kind = Literal["hang", "reset", "close", "error", "truncated", "garbage", "empty"]
KINDS: tuple[Kind, ...] = ("hang", "reset", "close", "error", "truncated", "garbage", "empty")
CALLS = 4

AFTER = [
    *(Fault(kind, when="after", times=CALLS) for kind in KINDS),
    Fault("error", when="after", times=CALLS, code="ServiceUnavailableException", status=503),
]
BEFORE = [
    *(Fault(kind, when="before", times=CALLS) for kind in KINDS),
    Fault("error", when="before", times=CALLS, code="ServiceUnavailableException", status=503),
    Fault("hang", when="unread", times=CALLS),
    Fault("reset", when="unread", times=CALLS),
    Fault("close", when="unread", times=CALLS),
]
THROTTLED = [Fault("throttle", times=CALLS)]


@pytest.fixture(autouse=True, params=["auto", "botocore"])
def transport(request: pytest.FixtureRequest) -> None:
    """Use the native transport, then the botocore transport."""
    SHARED["transport"] = request.param


@attrs.frozen
class Case:
    """One call: its `delivery`, its instances, and the reported starts."""

    delivery: Delivery
    instances: tuple[str, ...]
    starts: tuple[StartResult, ...]

    def made(self, local: LocalECS) -> list[TrueTask]:
        """Return all tasks that were started for it."""
        return [task for task in local.truth.tasks() if task.container_instance_arn in self.instances]


async def call(client: aioecs.Client, delivery: Delivery, instances: tuple[str, ...]) -> Case:
    """Start a task on each instance, and return the reported starts, from the response or the error."""
    request = StartTaskRequest(task_definition="demo", container_instances=instances)
    try:
        response = await client.start_task(request, delivery=delivery)
    except aioecs.ECSError as error:
        return Case(delivery, instances, error.starts)
    assert not response.failures
    assert response.token.startswith("aioecs-")
    return Case(delivery, instances, tuple(_started(request, task) for task in response.tasks))


def _started(request: StartTaskRequest, task: aioecs.Task) -> StartResult:
    return StartResult(
        request=request,
        container_instance=task.container_instance_arn or "",
        outcome=Outcome.STARTED,
        task=task,
        token=task.started_by or "",
    )


def check(case: Case, local: LocalECS) -> None:
    """Compare the reported starts with what really happened: nothing twice, nothing lost, no lie."""
    made = {task.arn: task for task in case.made(local)}
    requested = Counter(case.instances)
    named = [start.task.task_arn for start in case.starts if start.task is not None]
    assert Counter(start.container_instance for start in case.starts) == requested, "every start is reported once"
    assert len(set(named)) == len(named), "no task belongs to two starts"
    counted = [task for task in made.values() if case.delivery == "at_most_once" or task.live]
    assert Counter(task.container_instance_arn for task in counted) <= requested, "never twice"
    for start in case.starts:
        if start.task is None:
            assert start.outcome in (Outcome.UNKNOWN, Outcome.NOT_SENT, Outcome.REFUSED)
        else:
            truth = made[start.task.task_arn or ""]
            assert start.outcome is Outcome.STARTED
            assert truth.container_instance_arn == start.container_instance
            assert truth.stop_code != "UserInitiated", "a task reported as started was not stopped"
    unnamed = [task for task in made.values() if task.arn not in named]
    assert not [task for task in unnamed if task.live], "never lost: a running task is reported"
    if case.delivery == "at_most_once":
        assert not unnamed, "unknown is reported only of what never started"
    else:
        assert {start.outcome for start in case.starts} == {Outcome.STARTED}, "sent again until it started"


async def check_fault(fault: Fault, sends: int, ecs: dict[str, Any]) -> None:
    """Make the four calls under a fault that hits the first send of each."""
    async with LocalECS(instances=20, faults=[fault], **ecs) as local:
        hosts = local.instance_arns
        ten, other_ten = (*hosts[1:10], hosts[1]), (*hosts[11:20], hosts[11])  # with one instance twice
        timeouts = HANG_TIMEOUTS if fault.kind == "hang" else TIMEOUTS
        access: dict[str, Any] = {**local.client_kwargs(), "timeouts": timeouts, "retries": RETRIES}
        cases: list[Case] = []

        async def one(delivery: Delivery, instances: tuple[str, ...]) -> None:
            cases.append(await call(client, delivery, instances))

        async with aioecs.Client(**SHARED, **access) as client, anyio.create_task_group() as group:
            group.start_soon(one, "at_most_once", (hosts[0],))
            group.start_soon(one, "at_most_once", ten)
            group.start_soon(one, "at_least_once", (hosts[10],))
            group.start_soon(one, "at_least_once", other_ten)
        for case in cases:
            check(case, local)
        assert len(cases) == CALLS
        assert not list(local.faults), "each call was hit"
        assert local.truth.duplicates(live_only=True) == []
        assert local.truth.requests["StartTask"] == sends, "sent again only if that can't be a second start"


# ListTasks' behavior doesn't depend on the transport, so one is enough for the botocore transport.
@pytest.mark.parametrize(
    ("transport", "behaviour"),
    [("auto", "allow"), ("auto", "reject"), ("auto", "ignore"), ("botocore", "allow")],
    indirect=["transport"],
)
@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
async def test_every_fault(transport: None, stopped: bool, behaviour: str) -> None:
    """No fault starts a task twice, loses one, or causes a lie, with any `delivery` and any behavior of ListTasks."""
    ecs = {
        "running_seconds": 0.0 if stopped else None,
        "started_by_with_status": behaviour,
        "visibility_lag": 0.2,
    }
    async with anyio.create_task_group() as group:
        for fault in AFTER:
            group.start_soon(check_fault, fault, CALLS, ecs)
        for fault in BEFORE:
            group.start_soon(check_fault, fault, CALLS + 2, ecs)
        for fault in THROTTLED:
            group.start_soon(check_fault, fault, 2 * CALLS, ecs)
            group.start_soon(check_fault, fault, 2 * CALLS, {**ecs, "disguise_throttle": True})


# ---------------------------------------------------------------------- tasks that are visible only after `consistency`

HIDDEN: dict[str, Any] = {"faults": [Fault("reset", when="after")], "visibility_lag": 3600.0}


async def reveal(local: LocalECS) -> None:
    """Make all tasks visible once a second StartTask has arrived."""
    while local.truth.requests["StartTask"] < 2:
        await anyio.sleep(0.01)
    local.engine.behaviour = attrs.evolve(local.engine.behaviour, visibility_lag=0.0)


@pytest.mark.parametrize("count", [1, 10])
async def test_at_most_once_is_never_a_second_start(count: int) -> None:
    """A start that isn't visible within `consistency` is UNKNOWN: it may run, and is not sent again."""
    async with LocalECS(instances=count, **HIDDEN) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "timeouts": TIMEOUTS, "retries": RETRIES}
        async with aioecs.Client(**SHARED, **access) as client:
            case = await call(client, "at_most_once", tuple(local.instance_arns))
        assert [start.outcome for start in case.starts] == [Outcome.UNKNOWN] * count
        assert {start.token for start in case.starts} == {task.started_by for task in local.truth.tasks()}
        assert len(case.made(local)) == count


@pytest.mark.parametrize("count", [1, 10])
async def test_at_least_once_removes_duplicates(count: int) -> None:
    """Of two tasks of one start the oldest is kept, and the other stopped."""
    async with LocalECS(instances=count, **HIDDEN) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "timeouts": TIMEOUTS, "retries": RETRIES}
        async with aioecs.Client(**SHARED, **access) as client, anyio.create_task_group() as group:
            group.start_soon(reveal, local)
            case = await call(client, "at_least_once", tuple(local.instance_arns))
            check(case, local)
            assert len(case.made(local)) == 2 * count
        first, second = local.truth.calls("StartTask")
        assert {task.arn for task in local.truth.running()} == set(first.tasks)
        assert {task.stopped for task in local.truth.calls("StopTask")} == set(second.tasks)


async def test_a_duplicate_that_can_not_be_stopped() -> None:
    """The error says so, and names it."""
    async with LocalECS(instances=1, denied=["StopTask"], **HIDDEN) as local:
        access: dict[str, Any] = {**local.client_kwargs(), "timeouts": TIMEOUTS, "retries": RETRIES}
        request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
        async with aioecs.Client(**SHARED, **access) as client, anyio.create_task_group() as group:
            group.start_soon(reveal, local)
            with pytest.raises(
                aioecs.StartUnknown, match="1 more than requested run and could not be stopped"
            ) as caught:
                await client.start_task(request, delivery="at_least_once")
            first, second = local.truth.calls("StartTask")
            assert [task.task_arn for task in caught.value.tasks] == list(first.tasks)
            assert [task.task_arn for task in caught.value.candidates] == list(second.tasks)


TASK = "arn:aws:ecs:us-east-1:123456789012:task/default/5c6d"
HOST = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/0a1b"
STRAY = TASK.replace("5c6d", "7e7e")


@pytest.mark.parametrize(
    "first",
    [
        {"tasks": [{}]},
        {"tasks": [{"taskArn": STRAY, "containerInstanceArn": HOST, "startedBy": "another"}]},
        {"tasks": [{"taskArn": STRAY, "containerInstanceArn": HOST.replace("0a1b", "9f9f")}]},
        {"tasks": 17, "failures": 17},
        {"failures": [{"arn": ["x"], "reason": {}}]},
    ],
    ids=["no ARN", "another's token", "another's instance", "no lists", "no texts"],
)
async def test_an_invalid_answer_is_reconciled(first: dict[str, Any]) -> None:
    """The call is sent once and looked up by its token; its own task is returned, and no other."""
    sent: list[dict[str, Any]] = []

    async def behave(exchange: Exchange) -> None:
        head, body = await exchange.head(), json.loads(await exchange.body())
        if "StartTask" in head:
            sent.append(body)
            exchange.answer(200, json.dumps(first))
        elif "ListTasks" in head:
            exchange.answer(200, json.dumps({"taskArns": [TASK]}))
        else:
            ours = {"taskArn": TASK, "containerInstanceArn": HOST, "startedBy": sent[0]["startedBy"]}
            exchange.answer(200, json.dumps({"tasks": [ours]}))

    request = StartTaskRequest(task_definition="demo", container_instances=[HOST])
    keys: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "s"}
    async with (
        RawServer(behave) as server,
        aioecs.Client(**keys, **SHARED, endpoint_url=server.url, timeouts=TIMEOUTS, retries=RETRIES) as client,
    ):
        response = await client.start_task(request)
    assert [task.task_arn for task in response.tasks] == [TASK]
    assert len(sent) == 1
