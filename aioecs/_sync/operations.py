"""The blocking client's waits, logs, and operations beside its starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import anyio

import aioecs
from aioecs import (
    CancelToken,
    ListContainerInstancesRequest,
    ListContainerInstancesResponse,
    ListTasksRequest,
    ListTasksResponse,
    LogLine,
    Task,
)
from aioecs._blocking import like
from aioecs._sync.background_client import BackgroundClient, blocking


class Operations(BackgroundClient):
    """What the blocking client does beside starting tasks.

    Documented by `aioecs.Client`: `stop_task`, `task_result`, `log_tail`, `wait_until_running`, `wait_until_stopped`,
    `wait_until_healthy`, `wait_for_results`, `wait_for_instances`, `describe_tasks`, `describe_container_instances`,
    `describe_task_definition`.
    """

    wait_until_running = blocking(aioecs.Client.wait_until_running)
    wait_until_stopped = blocking(aioecs.Client.wait_until_stopped)
    wait_until_healthy = blocking(aioecs.Client.wait_until_healthy)
    wait_for_instances = blocking(aioecs.Client.wait_for_instances)
    log_tail = blocking(aioecs.Client.log_tail)
    wait_for_results = blocking(aioecs.Client.wait_for_results)
    task_result = blocking(aioecs.Client.task_result)

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
        """Iterate over the lines that a task's containers wrote, as `aioecs.Client.logs` does."""
        return self._each(lambda: self._client.logs(*args, **kwargs))

    def feed(self, event: Mapping[str, Any] | str | bytes) -> bool:
        """Take an event of EventBridge's, from any thread, as `aioecs.Client.feed` does on its loop.

        Raises:
            InvalidRequest: it is no such event; it names the member and the rule, and nothing has changed.
        """

        async def feed() -> bool:
            return self._client.feed(event)

        return self._done(feed)

    stop_task = blocking(aioecs.Client.stop_task)
    """Stop a task, as `aioecs.Client.stop_task` does."""

    describe_tasks = blocking(aioecs.Client.describe_tasks)
    describe_container_instances = blocking(aioecs.Client.describe_container_instances)
    describe_task_definition = blocking(aioecs.Client.describe_task_definition)

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
