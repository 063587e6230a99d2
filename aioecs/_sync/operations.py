"""The blocking client's waits, logs, and operations beside its starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import anyio

import aioecs
from aioecs import (
    CancelToken,
    DescribeContainerInstancesResponse,
    DescribeTaskDefinitionResponse,
    DescribeTasksResponse,
    ListContainerInstancesRequest,
    ListContainerInstancesResponse,
    ListTasksRequest,
    ListTasksResponse,
    LogLine,
    StopTaskResponse,
    Task,
    TaskResult,
)
from aioecs._blocking import like
from aioecs._sync.background_client import BackgroundClient
from aioecs.types import ContainerInstance


class Operations(BackgroundClient):
    """What the blocking client does beside starting tasks."""

    @like(aioecs.Client.wait_until_running)
    def wait_until_running(self, *args: Any, **kwargs: Any) -> list[Task]:
        """Do what `aioecs.Client.wait_until_running` does, and wait for it."""
        return self._done(lambda: self._client.wait_until_running(*args, **kwargs))

    @like(aioecs.Client.wait_until_stopped)
    def wait_until_stopped(self, *args: Any, **kwargs: Any) -> list[Task]:
        """Do what `aioecs.Client.wait_until_stopped` does, and wait for it."""
        return self._done(lambda: self._client.wait_until_stopped(*args, **kwargs))

    @like(aioecs.Client.wait_until_healthy)
    def wait_until_healthy(self, *args: Any, **kwargs: Any) -> list[Task]:
        """Do what `aioecs.Client.wait_until_healthy` does, and wait for it."""
        return self._done(lambda: self._client.wait_until_healthy(*args, **kwargs))

    @like(aioecs.Client.wait_for_instances)
    def wait_for_instances(self, *args: Any, **kwargs: Any) -> list[ContainerInstance]:
        """Do what `aioecs.Client.wait_for_instances` does, and wait for it."""
        return self._done(lambda: self._client.wait_for_instances(*args, **kwargs))

    @like(aioecs.Client.log_tail)
    def log_tail(self, *args: Any, **kwargs: Any) -> tuple[LogLine, ...]:
        """Do what `aioecs.Client.log_tail` does, and wait for it."""
        return self._done(lambda: self._client.log_tail(*args, **kwargs))

    @like(aioecs.Client.wait_for_results)
    def wait_for_results(self, *args: Any, **kwargs: Any) -> list[TaskResult]:
        """Do what `aioecs.Client.wait_for_results` does, and wait for it."""
        return self._done(lambda: self._client.wait_for_results(*args, **kwargs))

    @like(aioecs.Client.task_result)
    def task_result(self, *args: Any, **kwargs: Any) -> TaskResult:
        """Do what `aioecs.Client.task_result` does, and wait for it."""
        return self._done(lambda: self._client.task_result(*args, **kwargs))

    def watch(
        self,
        tasks: Iterable[Task | str],
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
        timeout: float | None = None,
        cluster: str | None = None,
    ) -> Iterator[Task]:
        """Iterate over the changes of tasks, as `aioecs.Client.watch` does; leaving the loop, or a Ctrl-C, ends it.

        Raises:
            WaitError, InvalidRequest, ECSServiceError, ClientStateError: on iterating, after what was known.
        """
        return self._each(lambda: self._client.watch(tasks, cancel_scope, timeout=timeout, cluster=cluster))

    @like(aioecs.Client.logs)
    def logs(self, *args: Any, **kwargs: Any) -> Iterator[LogLine]:
        """Iterate over the lines that a task's containers wrote, as `aioecs.Client.logs` does.

        A thousand lines or two are read ahead of the thread, whatever the size of the log.
        """
        return self._each(lambda: self._client.logs(*args, **kwargs))

    def feed(self, event: Mapping[str, Any] | str | bytes) -> bool:
        """Take an event of EventBridge's, from any thread, as `aioecs.Client.feed` does on its loop.

        Raises:
            InvalidRequest: it is no such event; it names the member and the rule, and nothing has changed.
        """

        async def feed() -> bool:
            return self._client.feed(event)

        return self._done(feed)

    @like(aioecs.Client.stop_task)
    def stop_task(self, *args: Any, **kwargs: Any) -> StopTaskResponse:
        """Do what `aioecs.Client.stop_task` does, and wait for it."""
        return self._done(lambda: self._client.stop_task(*args, **kwargs))

    @like(aioecs.Client.describe_tasks)
    def describe_tasks(self, *args: Any, **kwargs: Any) -> DescribeTasksResponse:
        """Do what `aioecs.Client.describe_tasks` does, and wait for it."""
        return self._done(lambda: self._client.describe_tasks(*args, **kwargs))

    @like(aioecs.Client.describe_container_instances)
    def describe_container_instances(self, *args: Any, **kwargs: Any) -> DescribeContainerInstancesResponse:
        """Do what `aioecs.Client.describe_container_instances` does, and wait for it."""
        return self._done(lambda: self._client.describe_container_instances(*args, **kwargs))

    @like(aioecs.Client.describe_task_definition)
    def describe_task_definition(self, *args: Any, **kwargs: Any) -> DescribeTaskDefinitionResponse:
        """Do what `aioecs.Client.describe_task_definition` does, and wait for it."""
        return self._done(lambda: self._client.describe_task_definition(*args, **kwargs))

    def list_tasks(
        self,
        request: ListTasksRequest = ListTasksRequest(),  # noqa: B008 frozen
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
    ) -> ListTasksResponse:
        """List tasks to the last page, by default those whose desired status is RUNNING."""
        return self._done(lambda: self._client.list_tasks(request, cancel_scope))

    def list_container_instances(
        self,
        request: ListContainerInstancesRequest = ListContainerInstancesRequest(),  # noqa: B008 frozen
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
    ) -> ListContainerInstancesResponse:
        """List container instances to the last page, draining ones too unless a status is given.

        The answer's `container_instance_arns` has them all.
        """
        return self._done(lambda: self._client.list_container_instances(request, cancel_scope))
