"""The operations beside StartTask: typed, paginated, and chunked to ECS's limits."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import anyio

from aioecs._calls.call_preparation import fresh_token
from aioecs._client.listing import Listing
from aioecs._logic.calls.call_result import cancelled_of, run_starts
from aioecs._model import limits
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.container_instance import (
    ContainerInstance,
    DescribeContainerInstancesRequest,
    DescribeContainerInstancesResponse,
    ListContainerInstancesRequest,
    ListContainerInstancesResponse,
)
from aioecs._model.shapes.definition.task_definition import (
    DescribeTaskDefinitionRequest,
    DescribeTaskDefinitionResponse,
)
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.stop_task import StopTaskRequest, StopTaskResponse
from aioecs._model.shapes.task import (
    DescribeTasksRequest,
    DescribeTasksResponse,
    Failure,
    ListTasksRequest,
    ListTasksResponse,
    Task,
)
from aioecs._runtime.client_core import Core, log
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import (
    DESCRIBE_CONTAINER_INSTANCES,
    DESCRIBE_TASK_DEFINITION,
    DESCRIBE_TASKS,
    LIST_CONTAINER_INSTANCES,
    LIST_TASKS,
    RUN_TASK,
    STOP_TASK,
    Operation,
)
from aioecs.errors import ECSError, StartCancelled

R = TypeVar("R", bound=Shape)


class Operations(ABC):
    """What a client can do beside starting tasks on instances of its choice."""

    @abstractmethod
    def _core(self) -> Core:
        """Return the inside of the client, if it may be used here."""

    async def stop_task(self, request: StopTaskRequest) -> StopTaskResponse:
        """Stop a task; stopping one twice does no harm, so a lost answer is asked for again.

        A cancel of the caller lets a request that is on its way go through.
        """
        return await self._kept(STOP_TASK, request, Priority.STOP)

    async def run_task(self, request: RunTaskRequest) -> RunTaskResponse:
        """Let ECS place and start tasks, ten at most.

        RunTask has a token of its own (`client_token`), which is made here if it isn't given: so a lost answer is
        asked for again and starts nothing twice. A cancel of the caller lets it go through; its tasks are logged.
        """
        limits.expect(request, RunTaskRequest)
        if request.client_token is None:
            request = request.replace(client_token=fresh_token())
        return await self._kept(RUN_TASK, request, Priority.START)

    async def describe_tasks(self, request: DescribeTasksRequest) -> DescribeTasksResponse:
        """Describe any number of tasks, a hundred a call; what ECS doesn't know is in `failures`."""
        tasks: list[Task] = []
        failures: list[Failure] = []
        for some in self._hundreds(request, DescribeTasksRequest, "tasks"):
            answer = await self._read(DESCRIBE_TASKS, some)
            tasks += answer.tasks
            failures += answer.failures
        return DescribeTasksResponse(tasks=tasks, failures=failures)

    async def describe_container_instances(
        self, request: DescribeContainerInstancesRequest
    ) -> DescribeContainerInstancesResponse:
        """Describe any number of container instances, a hundred a call; what ECS doesn't know is in `failures`."""
        instances: list[ContainerInstance] = []
        failures: list[Failure] = []
        for some in self._hundreds(request, DescribeContainerInstancesRequest, "container_instances"):
            answer = await self._read(DESCRIBE_CONTAINER_INSTANCES, some)
            instances += answer.container_instances
            failures += answer.failures
        return DescribeContainerInstancesResponse(container_instances=instances, failures=failures)

    def list_tasks(self, request: ListTasksRequest = ListTasksRequest()) -> Listing[ListTasksResponse]:  # noqa: B008 frozen
        """List tasks, by default those whose desired status is RUNNING.

        `await client.list_tasks(…)` reads all pages and returns a ListTasksResponse, whose `task_arns` has them all.
        `async for arn in client.list_tasks(…)` yields each ARN, a string, and reads a page when it is needed.
        """
        return Listing(
            lambda: self._pages(LIST_TASKS, request, lambda answer: (answer.task_arns, answer.next_token)),
            lambda arns: ListTasksResponse(task_arns=arns),
        )

    def list_container_instances(
        self,
        request: ListContainerInstancesRequest = ListContainerInstancesRequest(),  # noqa: B008 frozen
    ) -> Listing[ListContainerInstancesResponse]:
        """List container instances, draining ones too unless a status is given.

        `await client.list_container_instances(…)` reads all pages and returns a ListContainerInstancesResponse, whose
        `container_instance_arns` has them all. `async for arn in client.list_container_instances(…)` yields each ARN,
        a string, and reads a page when it is needed. `describe_container_instances` tells more of them.
        """
        return Listing(
            lambda: self._pages(
                LIST_CONTAINER_INSTANCES, request, lambda answer: (answer.container_instance_arns, answer.next_token)
            ),
            lambda arns: ListContainerInstancesResponse(container_instance_arns=arns),
        )

    async def describe_task_definition(self, request: DescribeTaskDefinitionRequest) -> DescribeTaskDefinitionResponse:
        """Describe a task definition: a family's latest ACTIVE revision, or the one that is named."""
        return await self._read(DESCRIBE_TASK_DEFINITION, request)

    # ------------------------------------------------------------------------------------------------------- reading

    async def _let_in(self) -> Core:
        """Return the inside of the client once this caller is let in; a cancel until then leaves nothing behind."""
        core = self._core()
        if core.admission.admits():
            return core
        await core.admission.queue()
        return self._core()  # it may have been left meanwhile

    async def _read(self, operation: Operation[R], request: Shape) -> R:
        core = await self._let_in()
        limits.expect(request, operation.request)
        limits.check(request)
        return (await core.harmless(operation, request, Priority.READ)).answer

    async def _kept(self, operation: Operation[R], request: Shape, turn: Priority) -> R:
        """Make a call in a task of the client's: what it does isn't lost with its caller."""
        core = await self._let_in()
        limits.expect(request, operation.request)
        limits.check(request)
        task = core.background_tasks.own(
            core.harmless(operation, request, turn), f"aioecs {operation.name}", heard=True
        )
        try:
            return (await asyncio.shield(task)).answer
        except asyncio.CancelledError as first:
            if operation is not RUN_TASK or task.cancelled():
                task.add_done_callback(lambda ended: _log_unheard(operation.name, ended))
                raise
            raise first from await self._run_cancelled(core, request, task)

    async def _run_cancelled(self, core: Core, request: Any, task: asyncio.Task[Any]) -> StartCancelled:
        """Wait, `settle` seconds at most, for what a cancelled RunTask came to: its tasks are not lost."""
        waits = core.settling.begin(lambda: f"RunTask with client token {request.client_token}", core.timeouts.settle)
        try:
            with anyio.CancelScope(shield=True), contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task], timeout=core.timeouts.settle)
        finally:
            core.settling.end(waits)
        if not task.done():
            task.add_done_callback(lambda ended: core.report(run_starts(request, *_came_to(ended)), "cancelled"))
        return cancelled_of(run_starts(request, *(_came_to(task) if task.done() else (None, None))), None, None)

    def _hundreds(self, request: R, shape: type[R], member: str) -> list[R]:
        """Split a request to ECS's limit; checked as a whole, so that nothing is sent if anything is wrong."""
        self._core()
        limits.expect(request, shape)
        held = getattr(request, member)
        size = limits.DESCRIBED_PER_CALL
        parts = [held[at : at + size] for at in range(0, len(held), size)] if isinstance(held, tuple) else []
        some = [request.replace(**{member: part}) for part in parts] or [request]
        for one in some:
            limits.check(one)
        return some

    async def _pages(
        self, operation: Operation[R], request: Shape, read: Callable[[R], tuple[Sequence[str], str | None]]
    ) -> AsyncIterator[tuple[str, ...]]:
        token: str | None = None
        while True:
            asked = request.replace(next_token=token) if token is not None else request
            arns, token = read(await self._read(operation, asked))
            yield tuple(arns)
            if not token:
                return


def _came_to(ended: asyncio.Task[Any]) -> tuple[RunTaskResponse | None, ECSError | None]:
    if ended.cancelled():
        return None, None
    error = ended.exception()
    if error is None:
        return ended.result().answer, None
    return None, error if isinstance(error, ECSError) else None


def _log_unheard(operation: str, ended: asyncio.Task[Any]) -> None:
    if not ended.cancelled() and ended.exception() is None:
        answer = ended.result().answer
        arns = [task.task_arn for task in getattr(answer, "tasks", ())]
        log.info("%s went through after its caller had left: tasks %s", operation, arns)
