"""Stops tasks, and reports the result for each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence

import anyio
import attrs
from rich.text import Text

from aioecs import CancelToken, Client, ECSError, InvalidRequest, ListTasksRequest, StopTaskRequest, Task
from aioecs._model import limits
from aioecs._model.arn import short
from aioecs.cli._access import Access
from aioecs.cli._display.start_counts import is_final, text_of
from aioecs.cli._display.status import CANNOT, DONE, INTERRUPTED, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._display.text_lines import one_line
from aioecs.cli._lookup import complete_task_ids
from aioecs.cli._options import UsageError, refused
from aioecs.cli._signals import interrupts
from aioecs.cli._task_names import cluster_in

_AT_ONCE = 50


def check(request: StopTaskRequest) -> None:
    """Check a request against ECS's documented limits.

    Raises:
        UsageError: one is broken.
    """
    try:
        limits.check(request)
    except InvalidRequest as error:
        raise refused(error, {"task": "TASK"}) from error


@attrs.define
class StopRun:
    """One run of `aioecs stop`: what to stop, and the results so far."""

    requests: Sequence[StopTaskRequest]
    streams: Streams
    matching: ListTasksRequest | None = attrs.field(default=None, kw_only=True)
    """Which tasks to stop instead of those that are named."""
    reason: str | None = attrs.field(default=None, kw_only=True)
    as_json: bool = attrs.field(default=False, kw_only=True)
    end: Callable[[int], object] = attrs.field(default=os._exit, kw_only=True)
    token: CancelToken = attrs.field(factory=CancelToken)
    asked: int = 0
    """How many stops have begun."""
    stopped: int = 0
    errors: list[ECSError] = attrs.field(factory=list[ECSError])

    async def go(self, access: Access) -> int:
        """Stop the tasks, fifty at a time, and return the exit status.

        After a first SIGINT or SIGTERM no further stop begins, lookups are abandoned, and stops in flight are waited
        for; the second ends the process.
        """
        with self.streams.logging(), interrupts(self.token, self._end_at_once):
            try:
                await self._find_and_stop(access)
            except (ECSError, UsageError) as error:  # the client could not be opened, or nothing listed
                self.streams.print_error(text_of(error) if isinstance(error, ECSError) else str(error))
                return CANNOT if is_final(error) else PARTLY
            self._sum_up()
            await self.streams.drained(unless=lambda: self.token.cancelled)
            self.streams.finish()
            return self.streams.status(self._status())

    async def _find_and_stop(self, access: Access) -> None:
        with anyio.CancelScope() as lookups:

            def abandon(_: str | None) -> None:
                lookups.cancel()

            self.token.add_callback(abandon)
            async with Client(**access.client_options()) as client:
                await self._find(client)
                self.token.remove_callback(abandon)
                await self._stop(client)

    async def _find(self, client: Client) -> None:
        """Complete prefixes of ids, or list the tasks that match."""
        clusters = {request.cluster for request in self.requests}
        for cluster in clusters:
            mine = [request.task for request in self.requests if request.cluster == cluster]
            whole = dict(zip(mine, await complete_task_ids(client, mine, cluster), strict=True))
            self.requests = [
                request.replace(task=whole[request.task]) if request.cluster == cluster else request
                for request in self.requests
            ]
        if self.matching is None:
            return
        found = [arn async for arn in client.list_tasks(self.matching)]
        if not found:
            raise UsageError("no running task matches")
        self.requests = [
            StopTaskRequest(cluster=self.matching.cluster or cluster_in(arn), task=arn, reason=self.reason)
            for arn in found
        ]

    async def _stop(self, client: Client) -> None:
        waiting = iter(self.requests)

        async def one_by_one() -> None:
            for request in waiting:
                if self.token.cancelled:
                    return
                self.asked += 1
                try:
                    self._print_result(request, (await client.stop_task(request)).task)
                except ECSError as error:
                    self._print_result(request, error)

        async with anyio.create_task_group() as group:
            for _ in range(min(_AT_ONCE, len(self.requests))):
                group.start_soon(one_by_one)

    def _print_result(self, request: StopTaskRequest, result: Task | ECSError | None) -> None:
        if isinstance(result, ECSError):
            self.errors.append(result)
        else:
            self.stopped += 1
        if self.as_json:
            self.streams.write(as_line(request, result))
        elif isinstance(result, ECSError):
            self.streams.print_error(f"{short(request.task)}: {text_of(result)}")
        else:
            self.streams.say(_line(request.task, result))

    def _status(self) -> int:
        if self.token.cancelled:
            return INTERRUPTED
        if not self.errors:
            return DONE
        return CANNOT if not self.stopped and all(map(is_final, self.errors)) else PARTLY

    def _sum_up(self) -> None:
        left = len(self.requests) - self.asked
        open_stops = self.asked - self.stopped - len(self.errors)
        if self.as_json or not self.token.cancelled or not (left or open_stops or not self.requests):
            return
        unanswered = f"{open_stops} without an answer, " if open_stops else ""
        counts = f"{self.stopped} stopping, {len(self.errors)} failed, {unanswered}{left} not asked to stop"
        summary = counts if self.asked else "nothing was stopped"
        self.streams.print_note(Text(f"Interrupted: {summary}", "bold yellow"))

    def _end_at_once(self) -> None:
        self._sum_up()
        self.streams.finish()
        self.end(INTERRUPTED)


def _line(name: str, task: Task | None) -> Text:
    """Return the result of one stop as a line; a task that has stopped, perhaps before, says why."""
    status = task.last_status if task is not None else None
    if task is not None and status == "STOPPED":
        reason = f": {one_line(task.stopped_reason)}" if task.stopped_reason else ""
        return Text.assemble(short(name), ("  stopped", "green"), reason)
    return Text.assemble(short(name), ("  stopping", "green"), f", now {status or 'unknown'}")


def as_line(request: StopTaskRequest, result: Task | ECSError | None) -> str:
    """Return the result of one stop as a line of JSON."""
    task = result if isinstance(result, Task) else None
    return json.dumps(
        {
            "task": request.task,
            "stopping": not isinstance(result, ECSError),
            "task_arn": task.task_arn if task is not None else None,
            "last_status": task.last_status if task is not None else None,
            "stopped_reason": task.stopped_reason if task is not None else None,
            "error": text_of(result) if isinstance(result, ECSError) else None,
        }
    )
