"""Polls the tasks that are waited for, for all waits of a client, and takes the events that it is fed.

The schedule says which tasks to describe next. The poller describes them, and notifies the waiters. It is a background
task of the client: it begins with the first wait and ends with the last.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from typing import Any

import anyio

from aioecs._logic.tasks.poll_schedule import SLACK, Entry, Look, PollSchedule
from aioecs._logic.tasks.task_address import Address, Key
from aioecs._logic.tasks.task_progress import Observation
from aioecs._model.arn import short
from aioecs._model.shapes.task import DescribeTasksRequest, DescribeTasksResponse
from aioecs._model.task_event import TaskChange
from aioecs._runtime.client_core import Core, log
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import DESCRIBE_TASKS
from aioecs._waiters.task_definitions import TaskDefinitions
from aioecs._waiters.waiter import Waiter
from aioecs.errors import ClientStateError, ConfigurationError, ECSError, ECSServiceError

ABOUT_ONE = ("InvalidParameterException", "ClientException", "ValidationException")
SILENT = "not in the answer"  # what is said of a task that ECS neither described nor failed


class TaskPoller:
    """Looks at tasks on behalf of all who wait for them."""

    def __init__(self, core: Core, region: str | None) -> None:
        """Watch for one client; `region` is what ARNs are held against, None where the endpoint is the caller's own."""
        self.core = core
        self.region = region
        self.definitions = TaskDefinitions(core)
        self._schedule = PollSchedule()
        self._waiting: dict[Key, dict[Waiter, None]] = {}
        self._wake = asyncio.Event()
        self._polling = False
        self._trouble: ECSError | None = None
        self._account = ""  # learnt from what ECS describes, for nothing else tells it without another call

    @property
    def trouble(self) -> ECSError | None:
        """What the last look met with, if it failed."""
        return self._trouble

    def __repr__(self) -> str:
        return f"<TaskPoller of {len(self._schedule)} tasks, {self._schedule.remembered} remembered>"

    # ------------------------------------------------------------------------------------------------------ who waits

    def join(self, waiter: Waiter, address: Address) -> Observation | None:
        """Tell this waiter of a task from now on, and return what is known of it."""
        self._account = self._account or _account_of(address.name)
        before = self._schedule.get(address.key)
        known = before.observation if before is not None else None
        entry = self._schedule.want(address, self.core.now)
        if before is not None and entry.observation is not None and entry.observation is not known:
            self._tell(address.key, entry.observation)  # this caller has a newer one in hand than the others know of
        self._waiting.setdefault(address.key, {})[waiter] = None
        if not self._polling:
            self._polling, self._trouble = True, None
            self.core.background_tasks.own(self._poll(), "aioecs-poll")
        self._wake.set()
        return entry.observation

    def leave(self, waiter: Waiter, key: Key) -> None:
        """Tell it no more; nothing happens if it wasn't told."""
        waiting = self._waiting.get(key, {})
        waiting.pop(waiter, None)
        if not waiting:
            self._waiting.pop(key, None)
            self._schedule.unwant(key)
            if not self._schedule:
                self._wake.set()

    def hurry(self, waiter: Waiter, within: float) -> None:
        """Look at what it waits for now, unless that was done within so many seconds."""
        now = self.core.now
        for key in waiter.open:
            self._schedule.hurry(key, now, now - within)
        self._wake.set()

    def feed(self, change: TaskChange) -> bool:
        """Take what an event tells; return whether that was news."""
        change.expect(self.region, self._account)
        key = (change.cluster, change.id)
        task = None if self._schedule.stale(key, change.version) else change.task()
        observation = self._schedule.told(key, task, self.core.now)
        if observation is not None:
            self._tell(key, observation)
        return observation is not None

    def close(self) -> None:
        """End all waits: the client is being left."""
        self._fail(tuple(self._waiting), ClientStateError("the client was left while this waited; the tasks go on"))
        for key in tuple(self._waiting):
            del self._waiting[key]
            self._schedule.unwant(key)
        self._wake.set()

    def _tell(self, key: Key, observation: Observation) -> None:
        for waiter in tuple(self._waiting.get(key, ())):
            waiter.told(key, observation)

    def _fail(self, keys: Iterable[Key], error: ECSError) -> None:
        """End the waits for these tasks, each with an error of its own: tracebacks are not to mix."""
        for waiter in {waiter: None for key in keys for waiter in self._waiting.get(key, ())}:
            own = copy.copy(error)
            own.__cause__ = error.__cause__
            waiter.fail(own)

    # -------------------------------------------------------------------------------------------------------- looking

    async def _poll(self) -> None:
        """Look while somebody waits. What is on its way when the last of them leaves is let go: it only reads."""
        over = False
        try:
            async with anyio.create_task_group() as looks:
                while self._schedule:
                    now, rate = self.core.now, self.core.read_limiter.rate
                    due = self._schedule.next_at(now, rate)
                    if due is not None and due <= now + SLACK:
                        for look in self._schedule.round(now, rate):
                            looks.start_soon(self._look, look)
                        continue
                    self._wake.clear()
                    with anyio.move_on_after(None if due is None else due - now):
                        await self._wake.wait()
                over, self._polling = True, False  # before anything is awaited: who comes now begins another
                looks.cancel_scope.cancel()
        except BaseException as error:
            if over:  # those who wait now have another
                raise
            self._polling = False
            ended = ClientStateError("the client's poller ended while this waited; the tasks go on")
            ended.__cause__ = error if isinstance(error, Exception) else None
            self._fail(tuple(self._waiting), ended)
            raise

    async def _look(self, look: Look) -> None:
        """Make one look, and tell those who wait what it showed; an error of it ends no other."""
        try:
            await self._ask(look.cluster, look.entries, look.began)
        finally:
            self._schedule.answered(look, self.core.now)
            self._wake.set()

    async def _ask(self, cluster: str, entries: tuple[Entry, ...], began: float) -> None:
        names = [entry.name for entry in entries]
        try:
            request = DescribeTasksRequest(cluster=cluster, tasks=names)
            answer = (await self.core.call_with_retries(DESCRIBE_TASKS, request, Priority.READ)).answer
        except ECSError as error:
            await self._failed(cluster, entries, began, error)
            return
        self._trouble = None
        self._heard(entries, began, answer)

    def _heard(self, entries: tuple[Entry, ...], began: float, answer: DescribeTasksResponse) -> None:
        now = self.core.now
        shown = {short(task.task_arn): task for task in answer.tasks if isinstance(task.task_arn, str)}
        failed = {short(failure.arn or ""): failure.reason or "" for failure in answer.failures}
        self._account = self._account or next((_account_of(task.task_arn or "") for task in shown.values()), "")
        for entry in entries:
            key = entry.key
            task = shown.get(key[1])
            if task is None:
                self._missed(key, failed.get(key[1], SILENT), began)
            elif (observation := self._schedule.shown(key, task, now)) is not None:
                self._tell(key, observation)

    def _missed(self, key: Key, reason: str, began: float) -> None:
        """Believe that a task isn't there once ECS has had the time to show it, counted for each wait by itself."""
        entry = self._schedule.get(key)
        seen_at = entry.seen_at if entry is not None else began
        for waiter in tuple(self._waiting.get(key, ())):
            if began - max(waiter.began, seen_at) >= self.core.timeouts.consistency:
                waiter.missing(key, reason)

    async def _failed(self, cluster: str, entries: tuple[Entry, ...], began: float, error: ECSError) -> None:
        """Take a look that failed: what passes is looked at again, what stays ends the waits that need it."""
        if not _stays(error):
            if self._trouble is None:
                text = "%d tasks that are waited for could not be described, and are described again: %s"
                log.warning(text, len(entries), error, extra=_fields(cluster, entries, error))
            self._trouble = error
        elif len(entries) > 1 and _is_of_one(error):
            half = len(entries) // 2  # one bad name fails the whole request: find whose it is
            await self._ask(cluster, entries[:half], began)
            await self._ask(cluster, entries[half:], began)
        else:
            text = "tasks in the cluster %s can't be waited for: %s"
            fields = _fields(cluster, entries, error)
            self.core.warn_once(f"wait {type(error).__name__} {cluster}", text, cluster, error, fields=fields)
            self._fail([entry.key for entry in entries], error)


def _fields(cluster: str, entries: tuple[Entry, ...], error: ECSError) -> dict[str, Any]:
    arns = tuple(entry.key[1] for entry in entries)
    return {"operation": "DescribeTasks", "cluster": cluster, "arns": arns, "error": type(error).__name__}


def _account_of(arn: str) -> str:
    """Return the account in an ARN, an empty text where there is none."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""


def _stays(error: ECSError) -> bool:
    """Tell an error that another look would meet again."""
    return isinstance(error, ConfigurationError) or (
        isinstance(error, ECSServiceError) and error.rejected and not error.throttled
    )


def _is_of_one(error: ECSError) -> bool:
    """Tell an error that may be about one of the names alone."""
    return isinstance(error, ECSServiceError) and error.code in ABOUT_ONE
