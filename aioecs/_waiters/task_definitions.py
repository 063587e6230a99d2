"""The task definitions that a client has read: one DescribeTaskDefinition for each revision, to judge tasks by.

A revision never changes, so it is kept for as long as the client is open.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from aioecs._logic.tasks.read_errors import is_permanent
from aioecs._logic.tasks.task_result import task_result
from aioecs._model.shapes.definition.task_definition import DescribeTaskDefinitionRequest, TaskDefinition
from aioecs._model.shapes.task import Task
from aioecs._model.task_result import TaskResult
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_TASK_DEFINITION
from aioecs.errors import AccessDeniedException, ECSError

CACHED = 1_000
"""Revisions that are kept; the least recently used one is dropped first."""


class TaskDefinitions:
    """Reads each revision of a task definition once, for all callers that need it at the same time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._known: OrderedDict[str, TaskDefinition | None] = OrderedDict()
        self._reading: dict[str, asyncio.Task[TaskDefinition | None]] = {}

    def __len__(self) -> int:
        return len(self._known)

    async def result(self, task: Task, container: str | None = None) -> TaskResult:
        """Return how a task ended, judged by its definition where that can be read."""
        return task_result(task, await self.of(task), container)

    async def of(self, task: Task) -> TaskDefinition | None:
        """Return the definition of a task; None if it names none, or ECS doesn't show it."""
        arn = task.task_definition_arn
        return await self.get(arn) if isinstance(arn, str) and arn else None

    async def get(self, arn: str) -> TaskDefinition | None:
        """Return a revision by its ARN; None if ECS doesn't show it.

        Raises:
            ClientStateError: the client was closed before it was read.
        """
        if arn in self._known:
            self._known.move_to_end(arn)
            return self._known[arn]
        reading = self._reading.get(arn)
        if reading is None:
            reading = self._reading[arn] = self._core.background_tasks.own(self._read(arn), "aioecs task definition")
            reading.add_done_callback(lambda _: self._reading.pop(arn, None))
        with self._core.caller_waits.until_closed("before a task definition was read; it changes nothing"):
            await asyncio.wait([reading])
        return None if reading.cancelled() else reading.result()

    async def _read(self, arn: str) -> TaskDefinition | None:
        try:
            request = DescribeTaskDefinitionRequest(task_definition=arn)
            answer = (await self._core.call_with_retries(DESCRIBE_TASK_DEFINITION, request, Priority.READ)).answer
        except ECSError as error:
            text = "task definition %s can't be read, so its tasks are judged without it: %s"
            self._core.warn_once(f"task definition {_about(error, arn)}", text, arn, error)
            if is_permanent(error):
                self._keep(arn, None)
            return None
        found = answer.task_definition
        known = found if isinstance(found, TaskDefinition) else None
        self._keep(arn, known)
        return known

    def _keep(self, arn: str, definition: TaskDefinition | None) -> None:
        self._known[arn] = definition
        if len(self._known) > CACHED:
            self._known.popitem(last=False)


def _about(error: ECSError, arn: str) -> str:
    """Name what a warning is about: permissions are the same for all revisions."""
    return type(error).__name__ if isinstance(error, AccessDeniedException) else arn
