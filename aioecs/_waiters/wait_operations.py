"""The client's methods for waiting: until tasks run, have stopped or are healthy, for each change; and for events."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from typing import Any

from aioecs._calls.caller_wait import refuse_if_cancelled
from aioecs._logic.tasks.task_address import Address, addressed
from aioecs._logic.tasks.task_progress import Goal
from aioecs._model.options import of_kind
from aioecs._model.shapes.task import Task
from aioecs._model.task_event import read_event
from aioecs._model.task_result import TaskResult
from aioecs._runtime.cancellation_monitor import Cancellable, expect
from aioecs._runtime.client_core import Core
from aioecs._runtime.event_emitter import WaitEvents
from aioecs._waiters.task_poller import TaskPoller
from aioecs._waiters.waiter import ChangeWaiter, GoalWaiter
from aioecs.errors import ClientStateError, InvalidRequest


class Waits(ABC):
    """The waits of a client. They share one poller, and the events that are fed in wake them."""

    _poller: TaskPoller

    @abstractmethod
    def _core(self) -> Core:
        """Return the inside of the client, if it may be used here."""

    async def wait_until_running(
        self,
        tasks: Iterable[Task | str],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None,
        cluster: str | None = None,
    ) -> list[Task]:
        """Wait until every task runs, or has run; return them in the order of `tasks`, as they were last seen.

        `tasks` are tasks, ARNs or ids, mixed, any number, of any number of clusters; one may be listed twice.
        `cluster` is for those that don't name theirs: ids, and ARNs of the old format. `timeout` is in seconds; None
        means no limit.

        A task that ran and stopped counts as having run, however short it was. One that stopped without having run
        ends the wait as soon as that is known, and so does one that ECS doesn't know `timeouts.consistency` seconds
        after the wait began; the other tasks go on, and the error has the last known state of each.

        Waiting starts and stops nothing. A cancel ends this wait alone, at once: one from outside is re-raised, with
        WaitCancelled as its cause. All waits of a client share their reads, a hundred tasks each, which take at most a
        quarter of the account's read bucket: a task is polled again after a tenth of the time that it has been in its
        state, 1 to 30 seconds, later where many are waited for, and once more before a timeout.

        Raises:
            InvalidRequest: an item is no task, or names no cluster; nothing was sent.
            TaskStopped: a task stopped, and had never run.
            TaskMissing: ECS doesn't know one of them.
            WaitTimeout: a TimeoutError; waiting again is safe.
            WaitCancelled: the scope or token fired.
            ECSServiceError: ECS refuses to describe them; the class is that of the error's code.
            ClientStateError: the client was closed meanwhile.
        """
        return await self._wait_for(Goal.RUNNING, tasks, cancel_scope, timeout, cluster)

    async def wait_until_stopped(
        self,
        tasks: Iterable[Task | str],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None,
        cluster: str | None = None,
    ) -> list[Task]:
        """Wait until every task has stopped, for whatever reason; return them in the order of `tasks`.

        The tasks say how they ended: `stop_code`, and `exit_code` of each container. Everything else is as with
        `wait_until_running`, but TaskStopped is never raised. ECS forgets a stopped task after about an hour: then
        TaskMissing is raised.

        Raises:
            InvalidRequest, TaskMissing, WaitTimeout, WaitCancelled, ECSServiceError, ClientStateError: as there.
        """
        return await self._wait_for(Goal.STOPPED, tasks, cancel_scope, timeout, cluster)

    async def wait_until_healthy(
        self,
        tasks: Iterable[Task | str],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None,
        cluster: str | None = None,
    ) -> list[Task]:
        """Wait until every task is HEALTHY; return them in the order of `tasks`, as they were when they became so.

        A task is HEALTHY when the container health checks of its essential containers pass. One whose definition has
        none stays UNKNOWN, so that only the timeout ends the wait. One that becomes UNHEALTHY may yet recover, and is
        waited for; one that stops ends the wait. Everything else is as with `wait_until_running`.

        Raises:
            TaskStopped: a task stopped, and had never been healthy.
            InvalidRequest, TaskMissing, WaitTimeout, WaitCancelled, ECSServiceError, ClientStateError: as there.
        """
        return await self._wait_for(Goal.HEALTHY, tasks, cancel_scope, timeout, cluster)

    async def wait_for_results(
        self,
        tasks: Iterable[Task | str],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None,
        cluster: str | None = None,
        container: str | None = None,
    ) -> list[TaskResult]:
        """Wait until every task has stopped, and return how each ended, in the order of `tasks`.

        It waits and raises as `wait_until_stopped` does, and judges as `task_result` does. A task that failed raises
        nothing here: call its result's `raise_for_status()`.
        """
        ended = await self.wait_until_stopped(tasks, cancel_scope, timeout=timeout, cluster=cluster)
        return [await self.task_result(task, container=container) for task in ended]

    async def task_result(self, task: Task, *, container: str | None = None) -> TaskResult:
        """Judge how a task ended, by the essential containers of its task definition.

        `task` is from a wait, `watch` or DescribeTasks. Its definition is read once for each revision and client.
        Where that can't be read (it needs `ecs:DescribeTaskDefinition`), the task is judged without it, and
        `succeeded` is None where only the definition could decide. `container` names the one container to judge by.

        Raises:
            InvalidRequest: an argument is of the wrong type.
            ClientStateError: the client isn't open.
        """
        self._core()
        of_kind(task, Task, "task")
        return await self._poller.definitions.result(task, container)

    async def _wait_for(
        self,
        goal: Goal,
        tasks: Iterable[Task | str],
        source: Cancellable | None,
        timeout: float | None,
        cluster: str | None,
    ) -> list[Task]:
        addresses = self._addresses_of(tasks, source, timeout, cluster)
        waiter = GoalWaiter(self._poller, addresses, source, timeout, goal=goal)
        names = partial(_names, addresses)
        with WaitEvents(self._core().emit, goal.value, names):
            await refuse_if_cancelled(source, waiter.cancelled)
            with waiter:
                return await waiter.answer()

    def watch(
        self,
        tasks: Iterable[Task | str],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        cluster: str | None = None,
    ) -> AsyncIterator[Task]:
        """Iterate over the changes of tasks, each as the new Task, until all have stopped.

        The first item of a task is its current state, unless it was passed as a Task and nothing is newer. The end of a
        task is yielded once in any case, also if it was passed as already STOPPED, so that ends can be counted. Between
        two polls a task may pass several states, and only the last is yielded; with events none is left out. Tasks may
        be mixed as with `wait_until_running`; the watch begins with the first iteration, and leaving the loop ends it.

        Raises:
            InvalidRequest: at once; the others on iterating, after the known changes: TaskMissing, WaitTimeout,
                WaitCancelled, ECSServiceError, ClientStateError, as with `wait_until_running`.
        """
        addresses = self._addresses_of(tasks, cancel_scope, timeout, cluster)
        return ChangeWaiter(self._poller, addresses, cancel_scope, timeout).changes()

    def feed(self, event: Mapping[str, Any] | str | bytes) -> bool:
        """Take an event from EventBridge, and return whether it changed what is known of a task.

        An "ECS Task State Change", as a dict or JSON, bare or in the envelope of an SQS message, an SNS notification
        or a Lambda record of either, wakes the waits for its task at once; its task is then polled only once in five
        minutes. Repeats and late ones are recognized by `detail.version` and change nothing. Other events are ignored.
        The state of a task that no wait is for yet is remembered, for the latest 5,000 of them.

        To be called on the client's event loop: elsewhere use `loop.call_soon_threadsafe(client.feed, event)`.

        Raises:
            InvalidRequest: it is no such event, or one of another Region or account than the client's; the error names
                the member and the rule, and nothing has changed.
            ClientStateError: it was called in another thread or loop, or the client is not open.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ClientStateError(
                "feed was called outside the client's event loop: use loop.call_soon_threadsafe(client.feed, event)"
            ) from None
        self._core()
        change = read_event(event)
        return change is not None and self._poller.feed(change)

    def _addresses_of(self, tasks: Any, source: Any, timeout: Any, cluster: Any) -> list[Address]:
        """Check the arguments, and return the addresses of the tasks."""
        core = self._core()
        expect(source)
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout < float("inf")
        ):
            raise InvalidRequest("timeout", "a number of seconds, 0 or more, or None", repr(timeout))
        return addressed(tasks, cluster, region=self._poller.region, partition=core.transport.partition)


def _names(addresses: Iterable[Address]) -> tuple[str, ...]:
    return tuple([address.name for address in addresses])
