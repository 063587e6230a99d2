"""One caller's wait for tasks: what ends it, and its result. The task poller makes the requests."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from aioecs._calls.caller_wait import cancelled_around
from aioecs._logic.tasks.task_address import Address, Key
from aioecs._logic.tasks.task_progress import (
    Goal,
    Observation,
    Progress,
    exit_codes,
    is_further,
    is_newer,
    progress_towards,
)
from aioecs._logic.tasks.task_result import task_result
from aioecs._model.shapes.task import Task
from aioecs._model.task_result import TaskResult
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, reason_of, resolve
from aioecs._runtime.client_core import Core
from aioecs._waiters.task_definitions import TaskDefinitions
from aioecs.errors import ClientStateError, ECSError, TaskMissing, TaskStopped, WaitCancelled, WaitTimeout

LAST_POLL_LEAD = 3.0  # in seconds before the timeout of a wait: when its tasks are polled once more
SHOWN = 5  # tasks at most that the text of an error names


class Poller(Protocol):
    """What a wait needs of the task poller."""

    core: Core

    @property
    def last_error(self) -> ECSError | None:
        """The error of the last request, if it failed."""
        ...

    @property
    def definitions(self) -> TaskDefinitions:
        """The task definitions to judge tasks by."""
        ...

    def join(self, waiter: Waiter, address: Address) -> Observation | None:
        """Notify this waiter of a task from now on, and return what is known of the task."""
        ...

    def leave(self, waiter: Waiter, key: Key) -> None:
        """Notify the waiter no more; nothing happens if it hadn't joined."""
        ...

    def poll_soon(self, waiter: Waiter, within: float) -> None:
        """Poll the waiter's tasks now, unless that was done in the last `within` seconds."""
        ...


class Waiter(AbstractContextManager["Waiter"]):
    """One caller's wait, as a context manager: it is notified of its tasks inside the block only."""

    def __init__(
        self, poller: Poller, addresses: Sequence[Address], source: Cancellable | None, timeout: float | None
    ) -> None:
        self._poller = poller
        self._addresses = addresses
        self._source = source
        self._timeout = timeout
        self._loop = poller.core.loop
        self._open = {address.key: address for address in addresses}
        self._seen: dict[Key, Task] = {address.key: address.task for address in addresses if address.task is not None}
        self._error: Callable[[], ECSError] | None = None
        self._fired = False
        self._time_over = False
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        self._subscription = ExitStack()
        self._timers: list[asyncio.TimerHandle] = []
        self.began = self._loop.time()
        """When it began, on the loop's clock."""

    @property
    def open(self) -> list[Key]:
        """The tasks that it still waits for."""
        return list(self._open)

    def __enter__(self) -> Self:
        self.began = self._loop.time()
        self._subscription.enter_context(CancellationMonitor.here().watch(self._source, self._source_fired))
        if self._timeout is not None:
            self._timers = [
                self._loop.call_later(self._timeout, self._time_ran_out),
                self._loop.call_later(
                    self._timeout - self._last_poll_lead, self._poller.poll_soon, self, self._last_poll_lead
                ),
            ]
        for address in list(self._open.values()):
            if (observation := self._poller.join(self, address)) is not None:
                self.observe(address.key, observation)
        if not self._open:
            self._wake()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for timer in self._timers:
            timer.cancel()
        for key in self.open:
            self._poller.leave(self, key)
        self._subscription.close()

    @property
    def _last_poll_lead(self) -> float:
        """How long before its timeout the tasks are polled once more, in seconds."""
        return min(LAST_POLL_LEAD, (self._timeout or 0.0) / 2)

    # -------------------------------------------------------------------------------------------------- notifications

    @abstractmethod
    def observe(self, key: Key, observation: Observation) -> None:
        """Take the new state of a task."""

    def not_found(self, key: Key, reason: str) -> None:
        """End the wait: ECS certainly doesn't know a task."""
        self._end_with(partial(self._missing, self._open[key], reason))

    def _missing(self, address: Address, reason: str) -> TaskMissing:
        return TaskMissing(
            f"ECS doesn't know {address.name} in the cluster {address.cluster} ({reason}): it was never there, "
            "or stopped more than an hour ago",
            known=self.known(),
            waiting_for=self.waiting_for(),
            arn=address.name,
            reason=reason,
        )

    def fail(self, error: ECSError) -> None:
        """End the wait with an error."""
        self._end_with(lambda: error)

    def _end_with(self, error: Callable[[], ECSError]) -> None:
        """End the wait; the first error counts, and is made when raised, so that it has the whole answer."""
        self._error = self._error or error
        self._wake()

    def known(self) -> list[Task]:
        """Return the tasks as they were last seen, in the order of the request; those never seen are left out."""
        return [self._seen[address.key] for address in self._addresses if address.key in self._seen]

    def waiting_for(self) -> list[str]:
        """Return the names of the tasks that are still waited for, as the caller passed them."""
        return [address.name for address in self._open.values()]

    def _remove(self, key: Key) -> None:
        del self._open[key]
        self._poller.leave(self, key)
        if not self._open:
            self._wake()

    # -------------------------------------------------------------------------------------------------------- waiting

    def _wake(self) -> None:
        resolve(self._waiter)

    def _source_fired(self) -> None:
        self._fired = True
        self._wake()

    def _time_ran_out(self) -> None:
        self._time_over = True
        self._wake()

    async def _woken(self) -> None:
        """Wait until a task has changed, or something has ended the wait.

        Raises:
            CancelledError: the caller was cancelled; WaitCancelled is its cause.
        """
        try:
            await self._waiter
        except asyncio.CancelledError as first:
            raise first from self.cancelled()
        self._waiter = self._loop.create_future()

    async def _raise_error(self) -> None:
        """Raise the error that has ended the wait early, if there is one."""
        if self._error is not None:
            raise await self._with_result(self._error())
        if self._fired:
            error = self.cancelled(reason_of(self._source), self._source)
            if (around := await cancelled_around()) is not None:
                raise around from error
            raise error
        if self._time_over:
            raise self._timed_out() from self._poller.last_error

    async def _with_result(self, error: ECSError) -> ECSError:
        """Add the result of the task to a TaskStopped."""
        if isinstance(error, TaskStopped) and error.task is not None:
            try:
                error.result = await self._result_of(error.task)
            except asyncio.CancelledError as first:
                raise first from self.cancelled()
        return error

    async def _result_of(self, task: Task) -> TaskResult:
        try:
            return await self._poller.definitions.result(task)
        except ClientStateError:  # closed meanwhile: how the task ended is known, and is no less true
            return task_result(task)

    def cancelled(self, reason: str | None = None, source: object = None) -> WaitCancelled:
        """Return the error that a cancelled caller receives."""
        why = f" ({reason})" if reason else ""
        return WaitCancelled(
            f"the wait was cancelled{why}; the tasks go on",
            known=self.known(),
            waiting_for=self.waiting_for(),
            reason=reason,
            source=source,
        )

    def _timed_out(self) -> WaitTimeout:
        count = f"{len(self._open)} of {len({address.key for address in self._addresses})} tasks"
        shown = [f"{address.name} {self._status(key)}" for key, address in list(self._open.items())[:SHOWN]]
        more = ", …" if len(self._open) > SHOWN else ""
        return WaitTimeout(
            f"{count} not {self._wanted} after {self._timeout:g} s: {', '.join(shown)}{more}",
            known=self.known(),
            waiting_for=self.waiting_for(),
        )

    def _status(self, key: Key) -> str:
        return str(self._seen[key].last_status) if key in self._seen else "never seen"

    @property
    @abstractmethod
    def _wanted(self) -> str:
        """Name the state that is waited for."""


class GoalWaiter(Waiter):
    """A wait until every task has reached a goal."""

    def __init__(
        self,
        poller: Poller,
        addresses: Sequence[Address],
        source: Cancellable | None,
        timeout: float | None,
        *,
        goal: Goal,
    ) -> None:
        self._goal = goal
        super().__init__(poller, addresses, source, timeout)

    @property
    def _wanted(self) -> str:
        return self._goal.value

    def observe(self, key: Key, observation: Observation) -> None:
        """Take the new state of a task: it has reached the goal, not yet, or never will."""
        self._seen[key] = observation.task
        match progress_towards(observation, self._goal):
            case Progress.REACHED:
                self._remove(key)
            case Progress.NEVER:
                self._end_with(partial(self._stopped, observation.task))
            case Progress.NOT_YET:
                pass

    def _stopped(self, task: Task) -> TaskStopped:
        codes = exit_codes(task)
        been = "been healthy" if self._goal is Goal.HEALTHY else "run"
        return TaskStopped(
            f"{task.task_arn} stopped, and had never {been}: {task.stop_code} ({task.stopped_reason}), "
            f"exit codes {codes}",
            known=self.known(),
            waiting_for=self.waiting_for(),
            task=task,
            exit_codes=codes,
        )

    async def answer(self) -> list[Task]:
        """Wait, and return the tasks in the order of the request, or raise the error that ended the wait."""
        while self._open:
            await self._woken()
            if self._open:
                await self._raise_error()
        return self.known()


class ChangeWaiter(Waiter):
    """A wait that yields each change of its tasks, until all have stopped."""

    def __init__(
        self, poller: Poller, addresses: Sequence[Address], source: Cancellable | None, timeout: float | None
    ) -> None:
        self._pending: deque[Task] = deque()
        super().__init__(poller, addresses, source, timeout)

    @property
    def _wanted(self) -> str:
        return Goal.STOPPED.value

    def observe(self, key: Key, observation: Observation) -> None:
        """Take the new state of a task, unless the caller has it; the end of a task is always yielded, once."""
        known = self._seen.get(key)
        more = known is not None and observation.described and is_further(observation.task, known)
        if known is None or more or is_newer(observation.task, known) or observation.over:
            self._seen[key] = observation.task
            self._pending.append(observation.task)
            self._wake()
        if observation.over:
            self._remove(key)

    async def changes(self) -> AsyncGenerator[Task]:
        """Yield each change as it is known; after the last one raise the error that ended the wait, if any."""
        with self:
            while True:
                while self._pending:
                    yield self._pending.popleft()
                if not self._open:
                    return
                await self._raise_error()
                await self._woken()
