"""The operations beside StartTask and RunTask: typed, paginated, and chunked to ECS's limits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeVar

from aioecs._calls.caller_wait import Wait, refuse_if_cancelled
from aioecs._calls.cancel_checks import abandonable, call_cancelled
from aioecs._calls.stop_call import StopCall
from aioecs._client.listing import Listing
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
from aioecs._model.shapes.stop_task import StopTaskRequest, StopTaskResponse
from aioecs._model.shapes.task import (
    DescribeTasksRequest,
    DescribeTasksResponse,
    Failure,
    ListTasksRequest,
    ListTasksResponse,
    Task,
)
from aioecs._runtime.cancellation_monitor import Cancellable, expect
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import (
    DESCRIBE_CONTAINER_INSTANCES,
    DESCRIBE_TASK_DEFINITION,
    DESCRIBE_TASKS,
    LIST_CONTAINER_INSTANCES,
    LIST_TASKS,
    Operation,
)

R = TypeVar("R", bound=Shape)


class Operations(ABC):
    """What a client can do beside starting tasks on instances of its choice."""

    @abstractmethod
    def _core(self) -> Core:
        """Return the inside of the client, if it may be used here."""

    async def stop_task(self, request: StopTaskRequest, cancel_scope: Cancellable | None = None) -> StopTaskResponse:
        """Stop a task; stopping one twice does no harm, so the request is sent again where its answer is lost.

        Cancelled before it is begun, nothing is sent. After that the stop goes through, and a cancelled caller waits
        `timeouts.settle` seconds at most for its answer; with `on_cancel="abandon"` it does not wait.

        Raises:
            InvalidRequest: a documented rule is broken; nothing was sent.
            ECSServiceError: ECS rejected it, by the error of its code.
            CallCancelled: the scope or token fired; its `response` is the answer, if one came in time.
        """
        expect(cancel_scope)
        core = await self._let_in()
        limits.expect(request, StopTaskRequest)
        limits.check(request)
        await refuse_if_cancelled(cancel_scope, partial(call_cancelled, "StopTask was not sent"))
        stop = StopCall(core, request)
        stop.begin()
        with Wait(stop, cancel_scope, core.on_cancel, core.timeouts.settle) as wait:
            return await wait.answer()

    async def describe_tasks(
        self, request: DescribeTasksRequest, cancel_scope: Cancellable | None = None
    ) -> DescribeTasksResponse:
        """Describe any number of tasks, a hundred a call; what ECS doesn't know is in `failures`.

        Raises:
            CallCancelled: the scope or token fired; the read was abandoned.
        """
        expect(cancel_scope)
        tasks: list[Task] = []
        failures: list[Failure] = []
        for some in self._hundreds(request, DescribeTasksRequest, "tasks"):
            answer = await self._read(DESCRIBE_TASKS, some, cancel_scope)
            tasks += answer.tasks
            failures += answer.failures
        return DescribeTasksResponse(tasks=tasks, failures=failures)

    async def describe_container_instances(
        self, request: DescribeContainerInstancesRequest, cancel_scope: Cancellable | None = None
    ) -> DescribeContainerInstancesResponse:
        """Describe any number of container instances, a hundred a call; what ECS doesn't know is in `failures`.

        Raises:
            CallCancelled: the scope or token fired; the read was abandoned.
        """
        expect(cancel_scope)
        instances: list[ContainerInstance] = []
        failures: list[Failure] = []
        for some in self._hundreds(request, DescribeContainerInstancesRequest, "container_instances"):
            answer = await self._read(DESCRIBE_CONTAINER_INSTANCES, some, cancel_scope)
            instances += answer.container_instances
            failures += answer.failures
        return DescribeContainerInstancesResponse(container_instances=instances, failures=failures)

    def list_tasks(
        self,
        request: ListTasksRequest = ListTasksRequest(),  # noqa: B008 frozen
        cancel_scope: Cancellable | None = None,
    ) -> Listing[ListTasksResponse]:
        """List tasks, by default those whose desired status is RUNNING.

        `await client.list_tasks(…)` reads all pages and returns a ListTasksResponse, whose `task_arns` has them all.
        `async for arn in client.list_tasks(…)` yields each ARN, a string, and reads a page when it is needed. A page
        that is being read when the scope or token fires is abandoned: CallCancelled.
        """
        expect(cancel_scope)
        return Listing(
            lambda: self._pages(
                LIST_TASKS, request, cancel_scope, lambda answer: (answer.task_arns, answer.next_token)
            ),
            lambda arns: ListTasksResponse(task_arns=arns),
        )

    def list_container_instances(
        self,
        request: ListContainerInstancesRequest = ListContainerInstancesRequest(),  # noqa: B008 frozen
        cancel_scope: Cancellable | None = None,
    ) -> Listing[ListContainerInstancesResponse]:
        """List container instances, draining ones too unless a status is given.

        `await client.list_container_instances(…)` reads all pages and returns a ListContainerInstancesResponse, whose
        `container_instance_arns` has them all. `async for arn in client.list_container_instances(…)` yields each ARN,
        a string, and reads a page when it is needed. `describe_container_instances` describes them. A page that is
        being read when the scope or token fires is abandoned: CallCancelled.
        """
        expect(cancel_scope)
        return Listing(
            lambda: self._pages(
                LIST_CONTAINER_INSTANCES,
                request,
                cancel_scope,
                lambda answer: (answer.container_instance_arns, answer.next_token),
            ),
            lambda arns: ListContainerInstancesResponse(container_instance_arns=arns),
        )

    async def describe_task_definition(
        self, request: DescribeTaskDefinitionRequest, cancel_scope: Cancellable | None = None
    ) -> DescribeTaskDefinitionResponse:
        """Describe a task definition: a family's latest ACTIVE revision, or the one that is named.

        Raises:
            CallCancelled: the scope or token fired; the read was abandoned.
        """
        expect(cancel_scope)
        return await self._read(DESCRIBE_TASK_DEFINITION, request, cancel_scope)

    # ------------------------------------------------------------------------------------------------------- reading

    async def _let_in(self) -> Core:
        """Return the inside of the client once this caller is admitted; a cancel until then leaves nothing behind."""
        core = self._core()
        if core.admission.try_admit():
            return core
        await core.admission.queue()
        return self._core()  # it may have been left meanwhile

    async def _read(self, operation: Operation[R], request: Shape, source: Cancellable | None) -> R:
        if source is None:
            return await self._answer(operation, request)
        return await abandonable(operation.name, source, lambda: self._answer(operation, request))

    async def _answer(self, operation: Operation[R], request: Shape) -> R:
        core = await self._let_in()
        limits.expect(request, operation.request)
        limits.check(request)
        with core.caller_waits.until_closed(f"before {operation.name} was answered; it changes nothing"):
            return (await core.call_with_retries(operation, request, Priority.READ)).answer

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
        self,
        operation: Operation[R],
        request: Shape,
        source: Cancellable | None,
        read: Callable[[R], tuple[Sequence[str], str | None]],
    ) -> AsyncIterator[tuple[str, ...]]:
        token: str | None = None
        while True:
            page_request = request.replace(next_token=token) if token is not None else request
            arns, token = read(await self._read(operation, page_request, source))
            yield tuple(arns)
            if not token:
                return
