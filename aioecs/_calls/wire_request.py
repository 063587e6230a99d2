"""The request that is sent for a call, and the read that completes an answer with bare tasks."""

from __future__ import annotations

from typing import Any

from aioecs._logic.calls import matching
from aioecs._model.attempt import Answered
from aioecs._model.shapes.enums import TaskField
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import DescribeTasksRequest
from aioecs._runtime.client_core import Core, log
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_TASKS, RUN_TASK, START_TASK, Operation
from aioecs.errors import ECSError


def wire_request(
    request: StartTaskRequest | RunTaskRequest, instances: tuple[str, ...]
) -> tuple[Operation[Any], StartTaskRequest | RunTaskRequest]:
    """Return the operation, and the request for these instances."""
    if isinstance(request, RunTaskRequest):
        same = len(instances) == (request.count or 1)
        return RUN_TASK, request if same else request.replace(count=len(instances))
    same = instances == request.container_instances
    return START_TASK, request if same else request.replace(container_instances=instances)


def bare_tasks(answer: RunTaskResponse) -> list[str]:
    """Return the ARNs of tasks that ECS answered without members: stopped ones, to a `clientToken` that it knows."""
    tasks, _ = matching.well_formed(answer.tasks, ())
    return [task.task_arn or "" for task in tasks if task.task_definition_arn is None]


async def filled_in(
    core: Core, cluster: str | None, what: Answered[RunTaskResponse], bare: list[str]
) -> Answered[RunTaskResponse]:
    """Return the answer with these tasks described; unchanged where that fails."""
    request = DescribeTasksRequest(cluster=cluster, tasks=bare, include=[TaskField.TAGS])
    try:
        read = await core.call_with_retries(DESCRIBE_TASKS, request, Priority.LOOKUP, within=core.timeouts.settle)
    except ECSError as error:
        log.info(
            "RunTask gave tasks that have stopped, and they could not be described: %s",
            error,
            extra={"operation": "DescribeTasks", "error": type(error).__name__},
        )
        return what
    described = {task.task_arn: task for task in read.answer.tasks}
    tasks, _ = matching.well_formed(what.answer.tasks, ())
    return Answered(what.answer.replace(tasks=[described.get(task.task_arn, task) for task in tasks]), what.request_id)
