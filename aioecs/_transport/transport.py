"""The port: one attempt of one operation, and the witness of whether it was on the wire."""

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
    """The account's token bucket that it takes from, as far as it is paced."""


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
"""All that aioecs asks ECS for."""

OPERATION_NAMES = tuple(operation.name for operation in ALL_OPERATIONS)
"""The names of it."""


class SendNotAllowed(ConnectionError):
    """A request was kept back in the last step before its first byte: who wants it may no longer send it."""


@attrs.define
class SentMarker:
    """Tells whether a request's body began to be written; False means that ECS can't have seen it."""

    body_started: bool = False
    answer: Attempt[Any] | None = None
    """What a cancel found in the very moment in which it came, and would be lost with it."""
    may_send: Callable[[], bool] | None = None
    """Asked in the last step before the first byte is written; False keeps the request back."""

    def begin_body(self) -> None:
        """Note that the first byte is about to be written, in the step that writes it.

        Raises:
            TooLate: it may not be sent any more.
        """
        if self.may_send is not None and not self.may_send():
            raise SendNotAllowed("it was kept back in the last step: the time in which it may be sent is over")
        self.body_started = True


class Transport(Protocol):
    """Sends each request at most once, and says in values what came of it."""

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
        """Send the request once; a cancel leaves the truth in `witness`, and raises.

        Raises nothing of its own: every other way it can end is an `Attempt`.
        """
        ...
