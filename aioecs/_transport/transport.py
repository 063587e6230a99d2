"""The interface of a transport: one attempt of one operation, and a marker of whether its body began to be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, Protocol, TypeVar

import attrs

from aioecs._model.attempt import Attempt
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.container_instance import (
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
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.stop_task import StopTaskRequest, StopTaskResponse
from aioecs._model.shapes.task import DescribeTasksRequest, DescribeTasksResponse, ListTasksRequest, ListTasksResponse

R = TypeVar("R", bound=Shape)


@attrs.frozen
class Operation(Generic[R]):
    """An operation of ECS: its name in the service model, its name in Python, and the shapes of request and answer."""

    name: str
    method: str
    request: type[Shape]
    answer: type[R]
    bucket: Literal["starts", "reads"] | None
    """The account's token bucket that it takes from; None if it is not rate limited here."""


START_TASK = Operation("StartTask", "start_task", StartTaskRequest, StartTaskResponse, "starts")
RUN_TASK = Operation("RunTask", "run_task", RunTaskRequest, RunTaskResponse, "starts")
STOP_TASK = Operation("StopTask", "stop_task", StopTaskRequest, StopTaskResponse, "starts")
DESCRIBE_TASKS = Operation("DescribeTasks", "describe_tasks", DescribeTasksRequest, DescribeTasksResponse, "reads")
LIST_TASKS = Operation("ListTasks", "list_tasks", ListTasksRequest, ListTasksResponse, "reads")
LIST_CONTAINER_INSTANCES = Operation(
    "ListContainerInstances",
    "list_container_instances",
    ListContainerInstancesRequest,
    ListContainerInstancesResponse,
    "reads",
)
DESCRIBE_CONTAINER_INSTANCES = Operation(
    "DescribeContainerInstances",
    "describe_container_instances",
    DescribeContainerInstancesRequest,
    DescribeContainerInstancesResponse,
    "reads",
)
DESCRIBE_TASK_DEFINITION = Operation(
    "DescribeTaskDefinition",
    "describe_task_definition",
    DescribeTaskDefinitionRequest,
    DescribeTaskDefinitionResponse,
    None,
)

ALL_OPERATIONS: tuple[Operation[Any], ...] = (
    START_TASK,
    RUN_TASK,
    STOP_TASK,
    DESCRIBE_TASKS,
    LIST_TASKS,
    LIST_CONTAINER_INSTANCES,
    DESCRIBE_CONTAINER_INSTANCES,
    DESCRIBE_TASK_DEFINITION,
)
"""The operations of ECS that aioecs uses."""

OPERATION_NAMES = tuple(operation.name for operation in ALL_OPERATIONS)
"""Their names."""


class SendNotAllowed(ConnectionError):
    """`SentMarker.may_send` refused the request in the last step before its first byte."""


def _never() -> bool:
    return False


@attrs.define
class SentMarker:
    """Records whether a request's body began to be written; False means that ECS can't have seen it."""

    body_started: bool = False
    answer: Attempt[Any] | None = None
    """The outcome of an answer that arrived together with a cancel, and would be lost otherwise."""
    may_send: Callable[[], bool] | None = None
    """Called in the last step before the first byte is written; if it returns False, nothing is sent."""

    def forbid(self) -> None:
        """Let no body be begun from now on, also by a writer that a cancel reaches only in a later step of the loop."""
        self.may_send = _never

    def begin_body(self) -> None:
        """Mark the body as started, in the same step of the event loop that writes the first byte.

        Raises:
            SendNotAllowed: `may_send` returned False.
        """
        if self.may_send is not None and not self.may_send():
            raise SendNotAllowed("the time in which the request may be sent was over before its first byte was written")
        self.body_started = True


NEVER_SENT = SentMarker()
"""The marker of what was never handed to a transport; it is not to be changed."""


class Transport(Protocol):
    """Sends each request at most once, and returns its outcome as a value."""

    @property
    def endpoint_url(self) -> str:
        """Where requests go."""
        ...

    @property
    def region(self) -> str:
        """The Region that requests are signed for."""
        ...

    @property
    def partition(self) -> str:
        """The partition of that Region: `aws`, `aws-cn`, `aws-us-gov` …"""
        ...

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send the request once and return the outcome.

        It raises nothing but CancelledError. `sent_marker` then says whether ECS may have seen the request, and holds
        the outcome if the answer arrived together with the cancel.
        """
        ...
