"""Shows the log of one task, for `aioecs logs`."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs

from aioecs import Client, InvalidRequest, LogLine, StartTaskRequest, Task
from aioecs.cli._access import Access
from aioecs.cli._display.log_lines import LogFormat
from aioecs.cli._display.status import DONE
from aioecs.cli._display.streams import Streams
from aioecs.cli._logs.log_printer import LogPrinter, container_names, no_log
from aioecs.cli._lookup import complete_task_ids, endpoint
from aioecs.cli._options import UsageError, refused
from aioecs.cli._read_command import run_with_client
from aioecs.cli._run import local_tasks
from aioecs.cli._start.options import LOCAL_CLUSTER, LOCAL_TASK_DEFINITION, StartOptions
from aioecs.cli._task_names import cluster_in
from aioecs.types import DescribeTasksRequest

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@attrs.frozen(kw_only=True)
class LogOptions:
    """Whose log is shown, and which lines of it."""

    task: str | None
    """None for one of the embedded local ECS."""
    cluster: str = "default"
    follow: bool = False
    container: str | None = None
    since: datetime | None = None
    tail: int | None = None
    timestamps: bool = False
    as_json: bool = False


def read_since(text: str, now: datetime | None = None) -> datetime:
    """Read a time: how long ago, such as `10m`, or ISO 8601, which is in UTC where it names no zone.

    Raises:
        UsageError: it is neither.
    """
    try:
        if (ago := _AGO.fullmatch(text)) is not None:
            return (now or datetime.now(UTC)) - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError("--since: expected 90s, 10m, 2h, 1d, or a time as 2026-11-27T18:00Z") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


class TaskLog:
    """One run of `aioecs logs`."""

    def __init__(self, options: LogOptions, streams: Streams) -> None:
        self._options = options
        self._streams = streams

    async def go(self, access: Access) -> int:
        """Show the log and return the exit status."""
        local = StartOptions(local=self._options.task is None, cluster=LOCAL_CLUSTER, access=access)
        settings = local_tasks.settings(fargate=False) if local.local else {}
        async with endpoint(local, **settings) as where:
            return await run_with_client(access, self._streams, self.show, **where)

    async def show(self, client: Client) -> int:
        """Show the log of the task.

        Raises:
            UsageError: it is no task, or there is no log.
            ECSError: something can't be read.
        """
        task = await self._task(client)
        names = [self._options.container] if self._options.container is not None else container_names(task)
        show = LogFormat(
            names,
            terminal=self._streams.columns is not None,
            as_json=self._options.as_json,
            timestamps=self._options.timestamps,
        )
        try:
            await self._print(client, task, LogPrinter(self._streams, show), sort=len(names) > 1)
        except InvalidRequest as error:
            raise UsageError(no_log(error)) from error
        return DONE

    async def _task(self, client: Client) -> Task:
        if self._options.task is None:
            return await _local_task(client)
        try:
            [name] = await complete_task_ids(client, [self._options.task], self._options.cluster)
            request = DescribeTasksRequest(cluster=cluster_in(name) or self._options.cluster, tasks=[name])
            answer = await client.describe_tasks(request)
        except InvalidRequest as error:
            raise refused(error, {"tasks": "TASK"}) from error
        if not answer.tasks:
            raise UsageError(
                f"cluster {self._options.cluster} has no task {name}; ECS forgets a task an hour after its end"
            )
        return answer.tasks[0]

    async def _print(self, client: Client, task: Task, printer: LogPrinter, *, sort: bool) -> None:
        """Print what there is, then what comes."""
        lines = partial(client.logs, task, container=self._options.container, cluster=self._options.cluster)
        if self._options.tail is None and (self._options.follow or not sort):
            await printer.all_of(self._wanted(lines(follow=self._options.follow)))
            return
        read: Counter[str] = Counter()
        kept: deque[LogLine] = deque(maxlen=self._options.tail)
        async for line in lines():
            read[line.container] += 1
            if self._is_wanted(line):
                kept.append(line)
        # Those of several containers come as they are read.
        for line in sorted(kept, key=lambda line: line.time):
            await printer.one(line)
        if self._options.follow:
            await printer.all_of(_without(lines(follow=True), read))

    async def _wanted(self, lines: AsyncGenerator[LogLine]) -> AsyncGenerator[LogLine]:
        async with aclosing(lines):
            async for line in lines:
                if self._is_wanted(line):
                    yield line

    def _is_wanted(self, line: LogLine) -> bool:
        return self._options.since is None or line.time >= self._options.since


async def _without(lines: AsyncGenerator[LogLine], read: Counter[str]) -> AsyncGenerator[LogLine]:
    """Leave out the lines of each container that were read before: they come in the same order each time."""
    async with aclosing(lines):
        async for line in lines:
            if read[line.container]:
                read[line.container] -= 1
            else:
                yield line


async def _local_task(client: Client) -> Task:
    """Start a task on the embedded local ECS."""
    response = await client.place_task(StartTaskRequest(cluster=LOCAL_CLUSTER, task_definition=LOCAL_TASK_DEFINITION))
    response.raise_for_failures()
    return response.tasks[0]
