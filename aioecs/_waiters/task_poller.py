"""Polls the tasks that are waited for, for all waits of a client, and takes the events that the user feeds in.

The schedule says which tasks to describe next. The poller describes them, and notifies the waiters. It is a background
task of the client: it begins with the first wait and ends with the last.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from typing import Any

import anyio

from aioecs._logic.tasks.poll_schedule import SLACK, Entry, PollRequest, PollSchedule
from aioecs._logic.tasks.read_errors import is_permanent
from aioecs._logic.tasks.task_address import Address, Key
from aioecs._logic.tasks.task_progress import Observation
from aioecs._model.arn import short
from aioecs._model.shapes.task import DescribeTasksRequest, DescribeTasksResponse, Task
from aioecs._model.task_event import TaskChange
from aioecs._runtime.client_core import Core, log
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_TASKS
from aioecs._waiters.task_definitions import TaskDefinitions
from aioecs._waiters.waiter import Waiter
from aioecs.errors import ClientStateError, ECSError, ECSServiceError

MAY_CONCERN_ONE = ("InvalidParameterException", "ClientException", "ValidationException")
"""Codes of errors that one name in the request may have caused."""
NOT_ANSWERED = "not in the answer"  # the reason for a task that an answer has neither as a task nor as a failure


class TaskPoller:
    """Polls tasks for all the waiters of a client."""

    def __init__(
        self, core: Core, region: str | None, *, on_stopped: Callable[[str, Task], None] | None = None
    ) -> None:
        """Poll for one client; ARNs must name `region`, unless it is None: the endpoint is the caller's own.

        `on_stopped` is called with the cluster's name and the task when a task is first known to have stopped.
        """
        self.core = core
        self.region = region
        self.definitions = TaskDefinitions(core)
        self._on_stopped = on_stopped
        self._schedule = PollSchedule()
        self._waiting: dict[Key, dict[Waiter, None]] = {}
        self._wake = asyncio.Event()
        self._running = self._closed = False
        self._last_error: ECSError | None = None
        self._account = ""  # learned from ECS's answers: anything else would take another call

    @property
    def last_error(self) -> ECSError | None:
        """The error of the last request, if it failed."""
        return self._last_error

    def __repr__(self) -> str:
        return f"<TaskPoller of {len(self._schedule)} tasks, {self._schedule.remembered} remembered>"

    # -------------------------------------------------------------------------------------------------------- waiters

    def join(self, waiter: Waiter, address: Address) -> Observation | None:
        """Notify this waiter of a task from now on, and return what is known of the task.

        Raises:
            ClientStateError: the client is closed.
        """
        if self._closed:
            raise _closed()
        self._account = self._account or _account_of(address.name)
        before = self._schedule.get(address.key)
        known = before.observation if before is not None else None
        entry = self._schedule.add(address, self.core.now)
        if before is not None and entry.observation is not None and entry.observation is not known:
            self._notify(address.key, entry.observation)  # this caller passed a newer description than the others know
        self._waiting.setdefault(address.key, {})[waiter] = None
        if not self._running:
            self._running, self._last_error = True, None
            self.core.background_tasks.own(self._poll(), "aioecs-poll")
        self._wake.set()
        return entry.observation

    def leave(self, waiter: Waiter, key: Key) -> None:
        """Notify the waiter no more; nothing happens if it hadn't joined."""
        waiting = self._waiting.get(key, {})
        waiting.pop(waiter, None)
        if not waiting:
            self._waiting.pop(key, None)
            self._schedule.remove(key)
            if not self._schedule:
                self._wake.set()

    def poll_soon(self, waiter: Waiter, within: float) -> None:
        """Poll the waiter's tasks now, unless that was done in the last `within` seconds."""
        now = self.core.now
        for key in waiter.open:
            self._schedule.poll_soon(key, now, now - within)
        self._wake.set()

    def feed(self, change: TaskChange) -> bool:
        """Take an event; return whether it changed what is known of its task."""
        change.expect(self.region, self._account)
        key = (change.cluster, change.id)
        task = None if self._schedule.stale(key, change.version) else change.task()
        observation = self._schedule.observe_event(key, task, self.core.now)
        if observation is not None:
            self._notify(key, observation)
        return observation is not None

    def close(self) -> None:
        """End all waits: the client is closing."""
        self._closed = True
        self._fail(tuple(self._waiting), _closed())
        for key in tuple(self._waiting):
            del self._waiting[key]
            self._schedule.remove(key)
        self._wake.set()

    def _notify(self, key: Key, observation: Observation) -> None:
        if self._on_stopped is not None and observation.over:
            self._on_stopped(key[0], observation.task)
        for waiter in tuple(self._waiting.get(key, ())):
            waiter.observe(key, observation)

    def _fail(self, keys: Iterable[Key], error: ECSError) -> None:
        """End the waits for these tasks, each with its own copy of the error, so that tracebacks don't mix."""
        for waiter in {waiter: None for key in keys for waiter in self._waiting.get(key, ())}:
            own = copy.copy(error)
            own.__cause__ = error.__cause__
            waiter.fail(own)

    # -------------------------------------------------------------------------------------------------------- polling

    async def _poll(self) -> None:
        """Poll while there are waiters. Requests in flight when the last one leaves are cancelled: they only read."""
        over = False
        try:
            async with anyio.create_task_group() as requests:
                while self._schedule:
                    now, rate = self.core.now, self.core.read_limiter.rate
                    due = self._schedule.next_at(now, rate)
                    if due is not None and due <= now + SLACK:
                        for poll_request in self._schedule.round(now, rate):
                            requests.start_soon(self._poll_batch, poll_request)
                        continue
                    self._wake.clear()
                    with anyio.move_on_after(None if due is None else due - now):
                        await self._wake.wait()
                over, self._running = True, False  # before anything is awaited: a new waiter begins another poll
                requests.cancel_scope.cancel()
        except BaseException as error:
            if over:  # the waiters that have come since have another poll
                raise
            self._running = False
            ended = ClientStateError("the client's poller ended during this wait; the tasks go on")
            ended.__cause__ = error if isinstance(error, Exception) else None
            self._fail(tuple(self._waiting), ended)
            raise

    async def _poll_batch(self, poll_request: PollRequest) -> None:
        """Make one request, and notify the waiters; its error ends no other request."""
        try:
            await self._describe(poll_request.cluster, poll_request.entries, poll_request.began)
        finally:
            self._schedule.answered(poll_request, self.core.now)
            self._wake.set()

    async def _describe(self, cluster: str, entries: tuple[Entry, ...], began: float) -> None:
        names = [entry.name for entry in entries]
        try:
            request = DescribeTasksRequest(cluster=cluster, tasks=names)
            answer = (await self.core.call_with_retries(DESCRIBE_TASKS, request, Priority.READ)).answer
        except ECSError as error:
            await self._take_error(cluster, entries, began, error)
            return
        self._last_error = None
        self._take_answer(entries, began, answer)

    def _take_answer(self, entries: tuple[Entry, ...], began: float, answer: DescribeTasksResponse) -> None:
        now = self.core.now
        shown = {short(task.task_arn): task for task in answer.tasks if isinstance(task.task_arn, str)}
        failed = {short(failure.arn or ""): failure.reason or "" for failure in answer.failures}
        self._account = self._account or next((_account_of(task.task_arn or "") for task in shown.values()), "")
        for entry in entries:
            key = entry.key
            task = shown.get(key[1])
            if task is None:
                self._take_missing(key, failed.get(key[1], NOT_ANSWERED), began)
            elif (observation := self._schedule.observe_described(key, task, now)) is not None:
                self._notify(key, observation)

    def _take_missing(self, key: Key, reason: str, began: float) -> None:
        """End the waits for a task that ECS doesn't know, once `consistency` seconds have passed for each."""
        entry = self._schedule.get(key)
        seen_at = entry.seen_at if entry is not None else began
        for waiter in tuple(self._waiting.get(key, ())):
            if began - max(waiter.began, seen_at) >= self.core.timeouts.consistency:
                waiter.not_found(key, reason)

    async def _take_error(self, cluster: str, entries: tuple[Entry, ...], began: float, error: ECSError) -> None:
        """Handle a failed request: a temporary error is retried, a permanent one ends the waits for its tasks."""
        if not is_permanent(error):
            if self._last_error is None:
                text = "DescribeTasks of %d awaited tasks failed, and is retried: %s"
                log.warning(text, len(entries), error, extra=_fields(cluster, entries, error))
            self._last_error = error
        elif len(entries) > 1 and _may_concern_one(error):
            half = len(entries) // 2  # one bad name fails the whole request: find it by halving
            await self._describe(cluster, entries[:half], began)
            await self._describe(cluster, entries[half:], began)
        else:
            text = "tasks in the cluster %s can't be waited for: %s"
            fields = _fields(cluster, entries, error)
            self.core.warn_once(f"wait {type(error).__name__} {cluster}", text, cluster, error, fields=fields)
            self._fail([entry.key for entry in entries], error)


def _fields(cluster: str, entries: tuple[Entry, ...], error: ECSError) -> dict[str, Any]:
    """Return what a log record of a failed request has beside its text."""
    arns = tuple(entry.key[1] for entry in entries)
    return {"operation": "DescribeTasks", "cluster": cluster, "arns": arns, "error": type(error).__name__}


def _closed() -> ClientStateError:
    return ClientStateError("the client was closed during this wait; the tasks go on")


def _account_of(arn: str) -> str:
    """Return the account in an ARN, an empty string where there is none."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""


def _may_concern_one(error: ECSError) -> bool:
    """Return whether an error may concern one of the names alone."""
    return isinstance(error, ECSServiceError) and error.code in MAY_CONCERN_ONE
