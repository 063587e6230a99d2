"""Watches a cluster: its tasks by state, each change of a task, and the load of its instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import anyio
import attrs
from rich.console import Group, RenderableType
from rich.text import Text

from aioecs import (
    AnswerLost,
    Client,
    ConnectionFailed,
    DescribeContainerInstancesRequest,
    DescribeTasksRequest,
    ECSError,
    ECSServiceError,
    InvalidRequest,
    ListContainerInstancesRequest,
    ListTasksRequest,
    Task,
)
from aioecs._model.arn import short
from aioecs.cli._cluster.instance_list import table
from aioecs.cli._cluster.task_list import as_line
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.status import DONE
from aioecs.cli._display.streams import Streams
from aioecs.cli._display.text_lines import one_line, printable
from aioecs.cli._options import refused
from aioecs.types import ContainerInstance


@attrs.define
class ClusterWatch:
    """One run of `aioecs watch`: what is watched, and what the last poll showed."""

    request: ListTasksRequest
    streams: Streams
    as_json: bool = attrs.field(default=False, kw_only=True)
    interval: float = attrs.field(default=2.0, kw_only=True)
    tasks: Sequence[Task] | None = None
    """None before the first poll."""
    instances: Sequence[ContainerInstance] = ()
    stopped: int = 0
    """How many have stopped since it began."""
    _known: dict[str, str | None] = attrs.field(factory=dict[str, "str | None"])
    _failing: bool = False

    async def go(self, client: Client) -> int:
        """Poll until it is cancelled or stdout can't be written any more.

        An error that may pass is shown once, and the next poll tries again; unless it comes with the first poll.

        Raises:
            UsageError: ECS documents that it does not take this.
            ECSError: something could not be listed or described.
        """
        closed: list[None] = []
        self.streams.on_broken = lambda: closed.append(None)
        if not self.as_json and self.streams.columns is not None and self.streams.shows_progress(as_json=False):
            try:
                with self.streams.live_display(self.view, whole_screen=True):
                    while True:
                        await self._try_poll(client, lambda _: None, with_instances=True)
                        await anyio.sleep(self.interval)
            finally:
                self.streams.show(self.lines(self.streams.columns))  # the last view stays on the screen
        while not closed:
            await self._try_poll(client, self._print_change)
            await anyio.sleep(self.interval)
        return DONE

    async def _try_poll(
        self, client: Client, on_change: Callable[[Task], object], *, with_instances: bool = False
    ) -> None:
        try:
            await self._poll(client, on_change, with_instances=with_instances)
        except ECSError as error:
            if self.tasks is None or not _may_pass(error):
                raise
            if not self._failing:
                self.streams.print_error(f"{text_of(error)}; it is tried again")
            self._failing = True
        else:
            self._failing = False

    async def _poll(self, client: Client, on_change: Callable[[Task], object], *, with_instances: bool = False) -> None:
        """Describe the tasks, those that are no longer listed, and the instances."""
        try:
            arns = (await client.list_tasks(self.request)).task_arns
        except InvalidRequest as error:
            raise refused(error) from error
        listed = set(arns)
        left = [arn for arn in self._known if arn not in listed]
        seen = await self._described(client, [*arns, *left])
        if with_instances:
            self.instances = await self._hosts(client)
        for task in seen:
            arn = task.task_arn or ""
            if self._known.get(arn) != task.last_status:
                on_change(task)
                self._known[arn] = task.last_status
        self.tasks = [task for task in seen if task.last_status != "STOPPED"]
        # What was listed before and can't be described any more has stopped, an hour ago or more.
        present = {task.task_arn for task in self.tasks}.union(listed - {task.task_arn for task in seen})
        ended = self._known.keys() - present
        self.stopped += len(ended)
        for arn in ended:
            del self._known[arn]

    async def _described(self, client: Client, arns: Sequence[str]) -> Sequence[Task]:
        if not arns:
            return ()
        return (await client.describe_tasks(DescribeTasksRequest(cluster=self.request.cluster, tasks=arns))).tasks

    async def _hosts(self, client: Client) -> Sequence[ContainerInstance]:
        cluster = self.request.cluster
        listed = await client.list_container_instances(ListContainerInstancesRequest(cluster=cluster))
        if not (arns := listed.container_instance_arns):
            return ()
        described = DescribeContainerInstancesRequest(cluster=cluster, container_instances=arns)
        return (await client.describe_container_instances(described)).container_instances

    def _print_change(self, task: Task) -> None:
        if self.as_json:
            self.streams.write(as_line(task))
            return
        reason = f"  {one_line(task.stopped_reason)}" if task.stopped_reason else ""
        self.streams.say(Text(f"{short(task.task_arn or '')}  {task.last_status}{reason}"))

    def view(self, columns: int) -> RenderableType:
        """Return what the last poll showed, for a terminal of so many columns; lines that don't fit are counted."""
        title = f"{self.request.cluster or 'default'}, every {self.interval:g} s; Ctrl-C ends it"
        shown = [Text(title, "dim"), *(self.lines(columns) or [Text("reading the cluster", "dim")])]
        if (more := len(shown) - self.streams.rows) > 0:
            shown[-more - 1 :] = [Text(f"{more + 1:,} more", "dim")]
        return Group(*shown)

    def lines(self, columns: int | None) -> list[Text]:
        """Return what the last poll showed: the tasks by state, then the instances in a stable order."""
        if self.tasks is None:
            return []
        states = Counter(task.last_status or "" for task in self.tasks)
        counts = [f"{count:,} {state}" for state, count in sorted(states.items(), key=lambda item: -item[1])]
        if self.stopped:
            counts.append(f"{self.stopped:,} stopped meanwhile")
        stable = sorted(self.instances, key=lambda each: each.container_instance_arn or "")
        return [printable(Text(", ".join(counts) or "no tasks", "bold")), *table(stable, columns)]


def _may_pass(error: ECSError) -> bool:
    """Return whether a later poll may succeed: ECS was not reached, or it is a throttle or a fault of its own."""
    if isinstance(error, ECSServiceError):
        return error.throttled or not error.rejected
    return isinstance(error, (ConnectionFailed, AnswerLost))
