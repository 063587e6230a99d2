"""The logs of tasks, read from CloudWatch Logs: as a whole, as they grow, and the last lines of a task that failed."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio
import attrs

from aioecs._client.access import Access
from aioecs._client.instance_waits import InstanceWaits
from aioecs._client.log_poller import LogPoller
from aioecs._logic.tasks.log_source import LogSource, log_drivers, log_sources
from aioecs._logic.tasks.task_address import addressed
from aioecs._logic.tasks.task_progress import is_over
from aioecs._model import limits
from aioecs._model.log_line import LogLine
from aioecs._model.options import of_kind
from aioecs._model.shapes.task import DescribeTasksRequest, Task
from aioecs._model.task_result import TaskResult
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, expect, fired, reason_of
from aioecs._waiters.wait_operations import Waits
from aioecs.errors import ECSError, InvalidRequest, TaskMissing, WaitCancelled

QUEUED = 1_000
"""Lines that are read ahead of the follower."""
TAIL_SECONDS = 10.0
"""For which the last lines of a failed task are waited for, at most."""
AGAIN_AFTER = 2.0
"""When an empty tail is read once more: log drivers send in batches."""


Queue = asyncio.Queue[LogLine | None]


class Logs(InstanceWaits, Waits):
    """What a client reads of the logs of tasks."""

    _stack: AsyncExitStack
    _log_poller: LogPoller | None = None
    _log_clients: dict[str | None, asyncio.Task[Any]]

    @abstractmethod
    def _access(self) -> Access:
        """Return how the client reaches AWS."""

    async def logs(
        self,
        task: Task | str,
        cancel_scope: Cancellable | None = None,
        *,
        follow: bool = False,
        container: str | None = None,
        cluster: str | None = None,
    ) -> AsyncGenerator[LogLine]:
        """Iterate over the lines that a task's containers wrote: what there is, or with `follow` until it has ended.

            async for line in ecs.logs(task, follow=True):
                print(line.container, line.text)

        It reads CloudWatch Logs, for containers with the log driver `awslogs`, or `awsfirelens` with the output
        `cloudwatch` or `cloudwatch_logs`. The lines of a container come in their order; those of several containers
        come as they are read. None is left out or comes twice, also where a read fails and is made again, and where
        CloudWatch Logs shows a line up to 30 seconds later than newer ones of its container. Following ends 5 seconds
        after the end of the task at the soonest, for log drivers send in batches.

        Of the tasks that are followed at once, the first ten of a log group are read each second or so; the others are
        read together, a hundred by each request: the lines of 1,000 tasks come 3 to 4 seconds after they are written.
        A client sends at most 10 GetLogEvents and 5 FilterLogEvents in any second, as every Region allows.

        The calls go where the client's settings send those of CloudWatch Logs, and to the client's own endpoint where
        that is on this machine (a local ECS, LocalStack, moto). Permissions: `logs:GetLogEvents`,
        `logs:FilterLogEvents` to follow many tasks, `ecs:DescribeTaskDefinition`.

        Raises:
            InvalidRequest: it is no task, its definition can't be read, or no container logs to CloudWatch Logs.
            TaskMissing: ECS doesn't know it.
            WaitCancelled: the scope or token fired.
            ClientStateError: the client was closed meanwhile.
            ECSServiceError, AnswerLost: the log can't be read.
        """
        self._core()
        expect(cancel_scope)
        found = await self._log_task(task, cluster)
        sources = await self._log_sources(found, container)
        ended = asyncio.Event() if follow and not is_over(found) else None
        queue: Queue = asyncio.Queue(QUEUED)
        reading = asyncio.get_running_loop().create_task(
            self._read_logs(found, sources, queue, ended), name="aioecs logs"
        )
        try:
            while (line := await _next(queue, cancel_scope, found)) is not None:
                yield line
            await reading
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    async def _read_logs(
        self,
        task: Task,
        sources: Sequence[LogSource],
        queue: Queue,
        ended: asyncio.Event | None,
    ) -> None:
        """Read the streams into the queue, and None last, also after an error."""
        try:
            await self._read_streams(task, sources, queue, ended)
        except asyncio.CancelledError:
            raise  # nobody takes the lines any more
        except BaseException:
            await queue.put(None)
            raise
        await queue.put(None)

    async def _read_streams(
        self, task: Task, sources: Sequence[LogSource], queue: Queue, ended: asyncio.Event | None
    ) -> None:
        poller = self._poller_of_logs()
        try:
            with self._core().caller_waits.until_closed("while a log was read; the task goes on"):
                async with asyncio.TaskGroup() as group:
                    if ended is not None:
                        group.create_task(self._set_at_end(task, ended))
                    for source in sources:
                        group.create_task(poller.follow(source, queue.put, ended))
        except BaseExceptionGroup as raised:
            raise raised.exceptions[0] from None

    async def _set_at_end(self, task: Task, ended: asyncio.Event) -> None:
        with contextlib.suppress(TaskMissing):  # it stopped more than an hour ago
            await self.wait_until_stopped([task], timeout=None)
        ended.set()

    async def log_tail(self, result: TaskResult, count: int = 20) -> tuple[LogLine, ...]:
        """Return the last lines of the containers that a result was judged by, in the order of their times.

        `count` is 10,000 at most. Where the log can't be read, or there is none, that is logged once, and none are
        returned.

        Raises:
            InvalidRequest: an argument is not what it must be.
            ClientStateError: the client isn't open.
        """
        core = self._core()
        of_kind(result, TaskResult, "result")
        if not limits.log_lines(count, "count"):
            return ()
        try:
            with core.caller_waits.until_closed("before the last lines of a task were read"):
                async with asyncio.timeout(TAIL_SECONDS):
                    return await self._tail(result, count)
        except (ECSError, TimeoutError) as error:
            core.warn_once(f"log tail {type(error).__name__}", "the last lines of a task can't be read: %s", error)
            return ()

    async def _tail(self, result: TaskResult, count: int) -> tuple[LogLine, ...]:
        if result.task.started_at is None:
            return ()
        definition = await self._poller.definitions.of(result.task)
        judged = {each.name for each in result.containers if each.essential is not False}
        sources = log_sources(result.task, definition) if definition is not None else []
        wanted = [source for source in sources if source.container in judged]
        lines: list[LogLine] = []
        for again in (True, False):
            for source in wanted:
                lines += await self._poller_of_logs().last(source, count)
            if lines or not wanted or not again:
                break
            await asyncio.sleep(AGAIN_AFTER)
        return tuple(sorted(lines, key=lambda line: line.time)[-count:])

    # --------------------------------------------------------------------------------------------- what and where

    async def _log_task(self, task: Task | str, cluster: str | None) -> Task:
        """Return the task itself, with its definition's ARN; described anew unless it has stopped."""
        core = self._core()
        (address,) = addressed([task], cluster, region=self._poller.region, partition=core.transport.partition)
        if address.task is not None and is_over(address.task) and address.task.task_definition_arn:
            return address.task
        answer = await self.describe_tasks(DescribeTasksRequest(cluster=address.cluster, tasks=[address.name]))
        if answer.tasks:
            return answer.tasks[0]
        if address.task is not None and address.task.task_definition_arn:
            return address.task
        raise TaskMissing(f"ECS doesn't know {address.name} in the cluster {address.cluster}", arn=address.name)

    async def _log_sources(self, task: Task, container: str | None) -> list[LogSource]:
        definition = await self._poller.definitions.of(task)
        if definition is None:
            raise InvalidRequest("task", "one whose task definition can be read: that says where its logs are")
        if sources := log_sources(task, definition, container):
            return sources
        whose = f"container {container}" if container is not None else "a container"
        rule = f"{whose} that logs to CloudWatch Logs, by awslogs or by awsfirelens to cloudwatch"
        raise InvalidRequest("task", rule, f"log drivers: {log_drivers(definition)}")

    def _poller_of_logs(self) -> LogPoller:
        if self._log_poller is None:
            self._log_poller, self._log_clients = LogPoller(self._core(), self._log_client), {}
        return self._log_poller

    def _close_logs(self) -> None:
        if self._log_poller is not None:
            self._log_poller.close()

    async def _log_client(self, region: str | None) -> Any:
        """Return the client of CloudWatch Logs for a Region; the first caller opens it, or the next if that failed."""
        own = self._access().region
        key = region if region != own else None
        known = self._log_clients.get(key)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            opening = self._core().background_tasks.own(self._open_log_client(key), "aioecs logs client", awaited=True)
            self._log_clients[key] = opening
        return await asyncio.shield(self._log_clients[key])

    async def _open_log_client(self, region: str | None) -> Any:
        from aioecs._client.services import local_endpoint, opened
        from aioecs._transport.botocore.log_events import enter_log_client, log_config

        access = self._access()
        local = local_endpoint(access, "logs", self._core().transport.endpoint_url)
        opening = opened(access, "logs", config=log_config(), endpoint_url=local, region_name=region)
        return await enter_log_client(self._stack.enter_async_context(opening))


async def _next(queue: Queue, source: Cancellable | None, task: Task) -> LogLine | None:
    """Return the next line, None after the last.

    Raises:
        WaitCancelled: the scope or token fired.
    """
    if source is None:
        return await queue.get()
    with anyio.CancelScope() as waiting, CancellationMonitor.here().watch(source, waiting.cancel):
        if not fired(source):
            return await queue.get()
    text = f"the log of {task.task_arn} is no longer read: cancelled; the task goes on"
    raise WaitCancelled(text, known=[task], reason=reason_of(source), source=source)


def with_tail(result: TaskResult, tail: tuple[LogLine, ...]) -> TaskResult:
    """Return a result that has the last lines of its log."""
    return attrs.evolve(result, log_tail=tail)
