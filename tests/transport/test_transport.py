"""transport: the operations match botocore's model, and both transports implement the protocol."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from aioecs._model import (
    DescribeContainerInstancesRequest,
    DescribeTaskDefinitionRequest,
    DescribeTasksRequest,
    ListContainerInstancesRequest,
    ListTasksRequest,
    RunTaskRequest,
    StartTaskRequest,
    StopTaskRequest,
)
from aioecs._model.attempt import Answered
from aioecs._model.codec.shape import Shape
from aioecs._transport import transport as module
from aioecs._transport.settings import Settings
from aioecs._transport.transport import Operation, SentMarker, Transport
from aioecs._transport.transport_factory import open_transport
from aioecs.testing import LocalECS

OPERATIONS: list[Operation[Any]] = [each for each in vars(module).values() if isinstance(each, Operation)]
MODEL = ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")

REQUESTS: dict[type[Shape], Shape] = {
    type(request): request
    for request in (
        StartTaskRequest(task_definition="demo", container_instances=["0" * 32]),
        RunTaskRequest(task_definition="demo", count=1, client_token="once"),
        StopTaskRequest(task="0" * 32),
        DescribeTasksRequest(tasks=["0" * 32], include=["TAGS"]),
        ListTasksRequest(started_by="nobody"),
        ListContainerInstancesRequest(max_results=2),
        DescribeContainerInstancesRequest(container_instances=["0" * 32]),
        DescribeTaskDefinitionRequest(task_definition="demo"),
    )
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def test_there_are_eight_operations() -> None:
    """Each operation is defined once, and has a request in this module."""
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS) == 8
    assert {operation.request for operation in OPERATIONS} == set(REQUESTS)


@each_operation
def test_an_operation_matches_the_service_model(operation: Operation[Any]) -> None:
    """The name and the shapes of request and answer are those of the service model."""
    theirs: Any = MODEL.operation_model(operation.name)
    assert operation.request.__name__ == theirs.input_shape.name
    assert operation.answer.__name__ == theirs.output_shape.name


def test_the_token_bucket_of_each_operation() -> None:
    """Operations that change resources and operations that read them have a bucket each; task definitions have none."""
    buckets = {operation.name: operation.bucket for operation in OPERATIONS}
    assert buckets == {
        "StartTask": "starts",
        "RunTask": "starts",
        "StopTask": "starts",
        "DescribeTasks": "reads",
        "ListTasks": "reads",
        "ListContainerInstances": "reads",
        "DescribeContainerInstances": "reads",
        "DescribeTaskDefinition": None,
    }


@each_operation
async def test_an_operation_is_a_method_of_aiobotocore(local: LocalECS, operation: Operation[Any]) -> None:
    """`method` is the client's method for the operation, and the local ECS answers it."""
    settings: dict[str, Any] = {**local.client_kwargs()}
    async with open_transport(Settings(**settings)) as (transport, client):
        assert client.meta.method_to_api_mapping[operation.method] == operation.name
        request = REQUESTS[operation.request]
        if isinstance(request, StopTaskRequest):
            request = request.replace(task=await a_task(transport))
        outcome = await transport.attempt(operation, request, SentMarker())
    assert isinstance(outcome, Answered), outcome
    assert type(outcome.answer) is operation.answer
    assert local.truth.requests[operation.name] == 1


async def a_task(transport: Transport) -> str:
    """Start a task and return its ARN."""
    run = next(operation for operation in OPERATIONS if operation.name == "RunTask")
    outcome = await transport.attempt(run, REQUESTS[RunTaskRequest], SentMarker())
    assert isinstance(outcome, Answered)
    return str(outcome.answer.tasks[0].task_arn)


async def test_an_opened_transport_implements_the_protocol(local: LocalECS) -> None:
    """The type checkers check it, too."""
    settings: dict[str, Any] = {**local.client_kwargs()}
    async with open_transport(Settings(**settings)) as (opened, _):
        transport: Transport = opened
        assert (transport.endpoint_url, transport.region, transport.partition) == (
            local.endpoint_url,
            "us-east-1",
            "aws",
        )


def test_a_new_sent_marker_is_unset() -> None:
    """Before a body is written, ECS can't have seen the request."""
    assert SentMarker().body_started is False
