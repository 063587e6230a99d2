"""transport: the operations, held against botocore's model, and the port's protocol."""

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


def test_there_are_eight() -> None:
    """The operations of the typed client, each once, and a request here for each."""
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS) == 8
    assert {operation.request for operation in OPERATIONS} == set(REQUESTS)


@each_operation
def test_an_operation_is_as_in_the_model(operation: Operation[Any]) -> None:
    """Its name and the shapes of its request and answer are the service model's."""
    theirs: Any = MODEL.operation_model(operation.name)
    assert operation.request.__name__ == theirs.input_shape.name
    assert operation.answer.__name__ == theirs.output_shape.name


def test_an_operation_takes_from_the_bucket_of_its_kind() -> None:
    """What changes a cluster's resources and what reads them have a bucket each; definitions have one unpaced."""
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
async def test_an_operation_is_one_of_aiobotocore_s(local: LocalECS, operation: Operation[Any]) -> None:
    """Its name in Python is the method that makes it, and ECS answers what it names."""
    settings: dict[str, Any] = {**local.client_kwargs()}
    async with open_transport(Settings(**settings)) as (transport, client):
        assert client.meta.method_to_api_mapping[operation.method] == operation.name
        request = REQUESTS[operation.request]
        if isinstance(request, StopTaskRequest):
            request = request.replace(task=await a_task(transport))
        what = await transport.attempt(operation, request, SentMarker())
    assert isinstance(what, Answered), what
    assert type(what.answer) is operation.answer
    assert local.truth.requests[operation.name] == 1


async def a_task(transport: Transport) -> str:
    """Start a task and return its ARN."""
    run = next(operation for operation in OPERATIONS if operation.name == "RunTask")
    what = await transport.attempt(run, REQUESTS[RunTaskRequest], SentMarker())
    assert isinstance(what, Answered)
    return str(what.answer.tasks[0].task_arn)


async def test_the_plain_port_is_a_port(local: LocalECS) -> None:
    """It has what the protocol asks for, as the type checkers see too."""
    settings: dict[str, Any] = {**local.client_kwargs()}
    async with open_transport(Settings(**settings)) as (opened, _):
        transport: Transport = opened
        assert (transport.endpoint_url, transport.region, transport.partition) == (
            local.endpoint_url,
            "us-east-1",
            "aws",
        )


def test_a_witness_has_seen_nothing_at_first() -> None:
    """Until a body is written, ECS can't have seen the request."""
    assert SentMarker().body_started is False
