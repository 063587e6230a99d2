"""operations: what a client does beside starting, in pages, by hundreds, and whatever is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from engine_transport import engine_client
from fake_transport import FakeTransport, Handler, HeldAttempt, make_core
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import (
    Client,
    DescribeContainerInstancesRequest,
    DescribeContainerInstancesResponse,
    DescribeTaskDefinitionRequest,
    DescribeTasksRequest,
    DescribeTasksResponse,
    Failure,
    ListContainerInstancesRequest,
    ListTasksRequest,
    ListTasksResponse,
    StopTaskRequest,
    Task,
)
from aioecs._client.operations import Operations
from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._model.codec.shape import Shape
from aioecs._runtime import admission
from aioecs._runtime.client_core import Core
from aioecs._transport.transport import SentMarker
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    ClientStateError,
    ConfigurationError,
    InvalidRequest,
)
from aioecs.types import ContainerInstance

STOP = StopTaskRequest(task="0" * 32)
DENIED = Rejected(AccessDeniedException("no"))


class EntryPoints(Operations):
    """The operations over a core, and nothing else of a client."""

    def __init__(self, core: Core | None) -> None:
        self.core = core

    def _core(self) -> Core:
        if self.core is None:
            raise ClientStateError("not open")
        return self.core


def answering(*script: Attempt[Any] | Shape) -> Handler:
    """Answer one after the other, the last for ever."""
    left = list(script)

    async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        what = left.pop(0) if len(left) > 1 else left[0]
        return Answered(what) if isinstance(what, Shape) else what

    return say


@asynccontextmanager
async def entry_points(**says: Handler) -> AsyncIterator[tuple[EntryPoints, FakeTransport]]:
    """Open them; no background task is left when they are closed."""
    transport = FakeTransport(**says)
    core = make_core(transport)
    yield EntryPoints(core), transport
    assert await core.background_tasks.drained(0)


# What changes something ----------------------------------------------------------------------------------------------


def test_a_lost_answer_is_asked_for_again() -> None:
    """Stopping twice does no harm."""

    async def main() -> None:
        async with entry_points(stop_task=answering(Lost(AnswerLost("reset")), aioecs.StopTaskResponse())) as (
            client,
            transport,
        ):
            await client.stop_task(STOP)
            assert transport.names() == ["StopTask", "StopTask"]

    run_in_virtual_time(main())


# What reads ----------------------------------------------------------------------------------------------------------


async def described(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    """Know every second one."""
    if isinstance(request, DescribeTasksRequest):
        tasks = [Task(task_arn=arn) for arn in request.tasks if int(arn) % 2]
        missing = [Failure(arn=arn, reason="MISSING") for arn in request.tasks if not int(arn) % 2]
        return Answered(DescribeTasksResponse(tasks=tasks, failures=missing))
    found = [ContainerInstance(container_instance_arn=arn) for arn in request.container_instances if int(arn) % 2]
    unknown = [Failure(arn=arn, reason="MISSING") for arn in request.container_instances if not int(arn) % 2]
    return Answered(DescribeContainerInstancesResponse(container_instances=found, failures=unknown))


@pytest.mark.parametrize(("count", "calls"), [(1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_any_number_is_described_a_hundred_a_call(count: int, calls: list[int]) -> None:
    """As one answer, in the order asked; the other members are those of each call."""

    async def main() -> None:
        names = [f"{n:032}" for n in range(count)]
        async with entry_points(describe_tasks=described, describe_container_instances=described) as (
            client,
            transport,
        ):
            tasks = await client.describe_tasks(DescribeTasksRequest(tasks=names, cluster="c"))
            assert [task.task_arn for task in tasks.tasks] == names[1::2]
            assert [failure.arn for failure in tasks.failures] == names[::2]
            assert [len(request.tasks) for _, request in transport.requests] == calls
            assert {request.cluster for _, request in transport.requests} == {"c"}
            transport.requests.clear()
            hosts = await client.describe_container_instances(
                DescribeContainerInstancesRequest(container_instances=names)
            )
            assert [host.container_instance_arn for host in hosts.container_instances] == names[1::2]
            assert [failure.arn for failure in hosts.failures] == names[::2]
            assert [len(request.container_instances) for _, request in transport.requests] == calls

    run_in_virtual_time(main())


@pytest.mark.parametrize("tasks", [[], [*["0" * 32] * 150, 7], "0" * 32, None])
def test_what_can_t_be_described_is_said_before_anything_is_sent(tasks: Any) -> None:
    """The whole is checked first: a bad name among the last is no half a read."""

    async def main() -> None:
        async with entry_points(describe_tasks=described, describe_container_instances=described) as (
            client,
            transport,
        ):
            with pytest.raises(InvalidRequest, match="tasks"):
                await client.describe_tasks(DescribeTasksRequest(tasks=tasks))
            with pytest.raises(InvalidRequest, match="container_instances"):
                await client.describe_container_instances(DescribeContainerInstancesRequest(container_instances=tasks))
            assert transport.requests == []

    run_in_virtual_time(main())


def test_lists_are_read_page_by_page() -> None:
    """Await one for the whole, or iterate and have each page when it is needed; the filter goes with every page."""

    async def main() -> None:
        pages = [ListTasksResponse(task_arns=["a", "b"], next_token="t1"), ListTasksResponse(next_token="t2")]
        last = ListTasksResponse(task_arns=["c"])
        async with entry_points(list_tasks=answering(*pages, last)) as (client, transport):
            listing = client.list_tasks(ListTasksRequest(family="f"))
            assert transport.requests == []
            assert await listing == ListTasksResponse(task_arns=["a", "b", "c"])
            assert [request.next_token for _, request in transport.requests] == [None, "t1", "t2"]
            assert {request.family for _, request in transport.requests} == {"f"}
        async with entry_points(list_tasks=answering(*pages, last)) as (client, transport):
            seen = [(arn, len(transport.requests)) async for arn in client.list_tasks()]
            assert seen == [("a", 1), ("b", 1), ("c", 3)]

    run_in_virtual_time(main())


def test_a_list_goes_on_from_a_token_that_it_is_given() -> None:
    """And an empty token ends it, as none does."""

    async def main() -> None:
        answer = aioecs.ListContainerInstancesResponse(container_instance_arns=["i1"], next_token="")
        async with entry_points(list_container_instances=answering(answer)) as (client, transport):
            request = ListContainerInstancesRequest(next_token="mine", status="DRAINING")
            assert (await client.list_container_instances(request)).container_instance_arns == ("i1",)
            assert [request for _, request in transport.requests] == [request]

    run_in_virtual_time(main())


def test_a_read_goes_with_its_caller() -> None:
    """A cancel cuts it: nothing is changed by it, so nothing is left behind."""

    async def main() -> None:
        held = HeldAttempt()
        async with entry_points(describe_tasks=held) as (client, _):
            read = asyncio.create_task(client.describe_tasks(DescribeTasksRequest(tasks=["0" * 32])))
            await held.begun.wait()
            read.cancel()
            await asyncio.wait([read])
            assert (read.cancelled(), held.cancelled) == (True, True)
            assert client._core().concurrency.in_use == 0

    run_in_virtual_time(main())


def test_a_page_that_is_being_read_is_abandoned() -> None:
    """What was given of a listing stays; the page under way is cut as the token fires, and none is read after."""

    async def main() -> None:
        held = HeldAttempt()
        pages = [Answered(ListTasksResponse(task_arns=["a"], next_token="t1"))]

        async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            return pages.pop() if pages else await held(request, sent_marker)

        async with entry_points(list_tasks=say) as (client, transport):
            token = aioecs.CancelToken()
            seen: list[str] = []

            async def read() -> None:
                async for arn in client.list_tasks(ListTasksRequest(), token):
                    seen.append(arn)  # noqa: PERF401 what was seen before the end counts

            reading = asyncio.create_task(read())
            await held.begun.wait()
            token.cancel("enough")
            with pytest.raises(aioecs.CallCancelled, match=r"cancelled \(enough\): ListTasks was abandoned") as caught:
                await reading
            assert (caught.value.reason, caught.value.source) == ("enough", token)
            assert (seen, held.cancelled) == (["a"], True)
            with pytest.raises(aioecs.CallCancelled):
                await client.list_tasks(ListTasksRequest(), token)
            assert len(transport.requests) == 2

    run_in_virtual_time(main())


def test_a_crowd_goes_in_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are served; of one that is cancelled while queued nothing was sent."""
    monkeypatch.setattr(admission, "ADMITTING_TIME", 0.0)

    async def main() -> None:
        async with entry_points(stop_task=answering(aioecs.StopTaskResponse())) as (client, transport):
            crowd = [asyncio.create_task(client.stop_task(STOP)) for _ in range(40)]
            await iterations(1)
            assert client._core().admission.waiting > 0
            crowd[-1].cancel()
            await asyncio.wait(crowd)
            assert [each.cancelled() for each in crowd] == [False] * 39 + [True]
            assert len(transport.requests) == 39

    run_in_virtual_time(main())


# All of them ---------------------------------------------------------------------------------------------------------

ASKED: dict[str, Callable[[Operations, Any], Any]] = {
    "stop_task": lambda client, given: client.stop_task(given or STOP),
    "describe_tasks": lambda client, given: client.describe_tasks(given or DescribeTasksRequest(tasks=["0" * 32])),
    "describe_container_instances": lambda client, given: client.describe_container_instances(
        given or DescribeContainerInstancesRequest(container_instances=["0" * 32])
    ),
    "list_tasks": lambda client, given: client.list_tasks(given or ListTasksRequest()),
    "list_container_instances": lambda client, given: client.list_container_instances(
        given or ListContainerInstancesRequest()
    ),
    "describe_task_definition": lambda client, given: client.describe_task_definition(
        given or DescribeTaskDefinitionRequest(task_definition="demo")
    ),
}
each_operation = pytest.mark.parametrize("operation", ASKED)


@each_operation
def test_what_comes_in_the_end_is_raised(operation: str) -> None:
    """A refusal as the error of its code, and one without credentials as what it is; neither is asked again."""

    async def main() -> None:
        for what in (DENIED, NotSent(ConfigurationError("no credentials"))):
            async with entry_points(**{operation: answering(what)}) as (client, transport):
                with pytest.raises(type(what.error)):
                    await ASKED[operation](client, None)
                assert len(transport.requests) == 1

    run_in_virtual_time(main())


@each_operation
@pytest.mark.parametrize("given", ["0" * 32, aioecs.StartTaskRequest(task_definition="demo")])
def test_a_request_of_another_kind(operation: str, given: Any) -> None:
    """It is named, and nothing is sent."""

    async def main() -> None:
        async with entry_points() as (client, transport):
            with pytest.raises(InvalidRequest, match="request: a "):
                await ASKED[operation](client, given)
            assert transport.requests == []

    run_in_virtual_time(main())


@each_operation
async def test_outside_of_an_open_client(operation: str) -> None:
    """Each says so when it is awaited."""
    with pytest.raises(ClientStateError, match="not open"):
        await ASKED[operation](EntryPoints(None), None)


def test_on_an_ecs() -> None:
    """All of them, one after the other, of a client in virtual time."""

    async def main() -> None:
        async with engine_client() as world:
            client: Client = world.client
            arns = world.transport.start(3)
            assert sorted([arn async for arn in client.list_tasks()]) == sorted(arns)
            stopped = await client.stop_task(StopTaskRequest(task=arns[0]))
            assert stopped.task is not None
            assert stopped.task.task_arn == arns[0]
            reported = await client.describe_tasks(DescribeTasksRequest(tasks=[*arns, "0" * 32]))
            assert (len(reported.tasks), [failure.reason for failure in reported.failures]) == (3, ["MISSING"])
            hosts = (await client.list_container_instances()).container_instance_arns
            seen = await client.describe_container_instances(
                DescribeContainerInstancesRequest(container_instances=hosts)
            )
            assert [host.container_instance_arn for host in seen.container_instances] == list(hosts)
            definition = DescribeTaskDefinitionRequest(task_definition="demo")
            found = (await client.describe_task_definition(definition)).task_definition
            assert found is not None
            assert found.family == "demo"

    run_in_virtual_time(main())
