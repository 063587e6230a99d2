"""One caller's wait for tasks: what ends it, and what the caller gets. The task poller makes the requests."""

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
from aioecs._logic.tasks.task_progress import Goal, Observation, Standing, exit_codes, further, newer, standing
from aioecs._model.shapes.task import Task
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, reason_of, resolve
from aioecs._runtime.client_core import Core
from aioecs._waiters.task_definitions import TaskDefinitions
from aioecs.errors import ECSError, TaskMissing, TaskStopped, WaitCancelled, WaitTimeout

LAST = 3.0  # in seconds before a wait's clock runs out: when its tasks are looked at once more
SHOWN = 5  # tasks that the text of an error names


class Poller(Protocol):
    """What tells of tasks."""

    core: Core

    @property
    def trouble(self) -> ECSError | None:
        """What the last look met with, if it failed."""
        ...

    @property
    def definitions(self) -> TaskDefinitions:
        """The task definitions to judge tasks by."""
        ...

    def join(self, waiter: Waiter, address: Address) -> Observation | None:
        """Tell this waiter of a task from now on, and return what is known of it."""
        ...

    def leave(self, waiter: Waiter, key: Key) -> None:
        """Tell it no more; nothing happens if it wasn't told."""
        ...

    def hurry(self, waiter: Waiter, within: float) -> None:
        """Look at what it waits for now, unless that was done within so many seconds."""
        ...


class Waiter(AbstractContextManager["Waiter"]):
    """One caller's wait, as a block: it is told of its tasks inside, and of nothing after it."""

    def __init__(
        self, watch: Poller, addresses: Sequence[Address], source: Cancellable | None, timeout: float | None
    ) -> None:
        self._watch = watch
        self._addresses = addresses
        self._source = source
        self._timeout = timeout
        self._loop = watch.core.loop
        self._open = {address.key: address for address in addresses}
        self._seen: dict[Key, Task] = {address.key: address.task for address in addresses if address.task is not None}
        self._error: Callable[[], ECSError] | None = None
        self._fired = False
        self._late = False
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        self._subscription = ExitStack()
        self._clocks: list[asyncio.TimerHandle] = []
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
            self._clocks = [
                self._loop.call_later(self._timeout, self._clock_ran_out),
                self._loop.call_later(self._timeout - self._last, self._watch.hurry, self, self._last),
            ]
        for address in list(self._open.values()):
            if (observation := self._watch.join(self, address)) is not None:
                self.told(address.key, observation)
        if not self._open:
            self._wake()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for clock in self._clocks:
            clock.cancel()
        for key in self.open:
            self._watch.leave(self, key)
        self._subscription.close()

    @property
    def _last(self) -> float:
        """How long before its clock runs out the tasks are looked at once more, in seconds."""
        return min(LAST, (self._timeout or 0.0) / 2)

    # ----------------------------------------------------------------------------------------------------- being told

    @abstractmethod
    def told(self, key: Key, observation: Observation) -> None:
        """Hear what a task has become."""

    def missing(self, key: Key, reason: str) -> None:
        """Hear that ECS doesn't know a task, and has had the time to."""
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
        """Hear what ends the wait."""
        self._end_with(lambda: error)

    def _end_with(self, error: Callable[[], ECSError]) -> None:
        """End the wait; the first such counts, and is made when it is raised: the rest of an answer counts too."""
        self._error = self._error or error
        self._wake()

    def known(self) -> list[Task]:
        """Return the tasks as they were last seen, in the order asked; those never seen are left out."""
        return [self._seen[address.key] for address in self._addresses if address.key in self._seen]

    def waiting_for(self) -> list[str]:
        """Return the names of those that have not got there, as they were asked for."""
        return [address.name for address in self._open.values()]

    def _done_with(self, key: Key) -> None:
        del self._open[key]
        self._watch.leave(self, key)
        if not self._open:
            self._wake()

    # -------------------------------------------------------------------------------------------------------- waiting

    def _wake(self) -> None:
        resolve(self._waiter)

    def _source_fired(self) -> None:
        self._fired = True
        self._wake()

    def _clock_ran_out(self) -> None:
        self._late = True
        self._wake()

    async def _woken(self) -> None:
        """Wait until there is something to hear.

        Raises:
            CancelledError: the caller was cancelled; WaitCancelled is its cause.
        """
        try:
            await self._waiter
        except asyncio.CancelledError as first:
            raise first from self.cancelled()
        self._waiter = self._loop.create_future()

    async def _raise_what_ended_it(self) -> None:
        """Raise what has ended the wait early, if something has."""
        if self._error is not None:
            raise await self._with_result(self._error())
        if self._fired:
            truth = self.cancelled(reason_of(self._source), self._source)
            if (around := await cancelled_around()) is not None:
                raise around from truth
            raise truth
        if self._late:
            raise self._timed_out() from self._watch.trouble

    async def _with_result(self, error: ECSError) -> ECSError:
        """Judge the task of a TaskStopped by its definition."""
        if isinstance(error, TaskStopped) and error.task is not None:
            try:
                error.result = await self._watch.definitions.result(error.task)
            except asyncio.CancelledError as first:
                raise first from self.cancelled()
        return error

    def cancelled(self, reason: str | None = None, source: object = None) -> WaitCancelled:
        """Return what a cancelled caller is told."""
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
        watch: Poller,
        addresses: Sequence[Address],
        source: Cancellable | None,
        timeout: float | None,
        *,
        goal: Goal,
    ) -> None:
        self._goal = goal
        super().__init__(watch, addresses, source, timeout)

    @property
    def _wanted(self) -> str:
        return self._goal.value

    def told(self, key: Key, observation: Observation) -> None:
        """Hear what a task has become: there, not yet, or never to be."""
        self._seen[key] = observation.task
        match standing(observation, self._goal):
            case Standing.REACHED:
                self._done_with(key)
            case Standing.NEVER:
                self._end_with(partial(self._stopped, observation.task))
            case Standing.NOT_YET:
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
        """Wait, and return the tasks in the order asked, or raise what ended the wait."""
        while self._open:
            await self._woken()
            if self._open:
                await self._raise_what_ended_it()
        return self.known()


class Changes(Waiter):
    """A wait that tells each change of its tasks, until all have stopped."""

    def __init__(
        self, watch: Poller, addresses: Sequence[Address], source: Cancellable | None, timeout: float | None
    ) -> None:
        self._news: deque[Task] = deque()
        super().__init__(watch, addresses, source, timeout)

    @property
    def _wanted(self) -> str:
        return Goal.STOPPED.value

    def told(self, key: Key, observation: Observation) -> None:
        """Take what a task has become, unless the caller has that in hand; the end of a task is always told, once."""
        given = self._seen.get(key)
        more = given is not None and observation.described and further(observation.task, given)
        if given is None or more or newer(observation.task, given) or observation.over:
            self._seen[key] = observation.task
            self._news.append(observation.task)
            self._wake()
        if observation.over:
            self._done_with(key)

    async def tell(self) -> AsyncGenerator[Task]:
        """Yield each change as it is known; it begins with the first, and raises what ended it after the last."""
        with self:
            while True:
                while self._news:
                    yield self._news.popleft()
                if not self._open:
                    return
                await self._raise_what_ended_it()
                await self._woken()
