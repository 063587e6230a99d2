"""What a client has in flight, never in a caller's task: asyncio tasks of its own, and requests that need none."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
Ended = Callable[[asyncio.Task[Any]], None]

_log = logging.getLogger("aioecs")


class Taskless(ABC):
    """What is in flight without a task."""

    @abstractmethod
    def cancel(self) -> None:
        """End it: the client is closed."""


class BackgroundTasks:
    """A supervised set of plain asyncio tasks, and of what is in flight without one.

    Not a task group: a client may be entered in one task of a loop and left in another, and a caller's cancel must
    not reach them.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], Ended | None] = {}
        self._taskless: dict[Taskless, None] = {}
        self._last_ended: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._tasks) + len(self._taskless)

    def add_taskless(self, each: Taskless) -> None:
        """Own it until it is removed."""
        self._taskless[each] = None

    def remove_taskless(self, each: Taskless) -> None:
        """Give up what has ended; do nothing if it isn't here."""
        self._taskless.pop(each, None)
        if not self._taskless and self._last_ended is not None and not self._last_ended.done():
            self._last_ended.set_result(None)

    def own(
        self, work: Coroutine[Any, Any, T], name: str, *, awaited: bool = False, ended: Ended | None = None
    ) -> asyncio.Task[T]:
        """Run it in a background task; its error is logged, unless a caller awaits it (`awaited`).

        `ended(task)` is called at its end, also when it was cancelled before its first step.
        """
        task = later_task(work, name)
        self._tasks[task] = ended
        task.add_done_callback(self._ended_awaited if awaited else self._ended)
        return task

    def forget(self, task: asyncio.Task[Any]) -> None:
        """Give up a task in its own last step, when it ends well: nothing is called at its end then.

        So it costs no further step of the loop.
        """
        if self._tasks.pop(task, None) is not None:
            task.remove_done_callback(self._ended)

    def _ended_awaited(self, task: asyncio.Task[Any]) -> None:
        if (ended := self._tasks.pop(task, None)) is not None:
            ended(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if (ended := self._tasks.pop(task, None)) is not None:
            ended(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):  # a KeyboardInterrupt goes to the caller of the event loop by itself
            log_failure(task.get_name(), error)

    async def drained(self, seconds: float) -> bool:
        """Wait until all of them have ended, `seconds` at most; return whether they have."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while (left := ends - loop.time()) > 0:  # one may begin another
            awaited: list[asyncio.Future[Any]] = [*self._tasks]
            if not awaited and self._taskless:
                self._last_ended = loop.create_future()
                awaited.append(self._last_ended)
            if awaited:
                await asyncio.wait(awaited, timeout=left)
            await asyncio.sleep(0)  # what follows a forgotten one comes in the next step of the loop
            if not len(self):
                break
        return not len(self)

    def cancel(self) -> None:
        """Cancel all that have not ended."""
        for each in tuple(self._taskless):
            each.cancel()
        for task in tuple(self._tasks):
            task.cancel()


class TaskGroup(asyncio.TaskGroup):
    """A task group that raises a KeyboardInterrupt of a child no second time.

    The step of the child has raised it already, to the caller of the event loop. Raised again while the loop cancels
    its tasks, it would end that before the others have said what they know.
    """

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the tasks; raise a CancelledError in place of a child's KeyboardInterrupt or SystemExit."""
        try:
            await super().__aexit__(kind, error, traceback)
        except (KeyboardInterrupt, SystemExit) as raised:
            if raised is error:
                raise
            raise asyncio.CancelledError from raised


def log_failure(name: str, error: Exception) -> None:
    """Log the error that something in the background ended with, which is a defect of ours."""
    text, fields = "a background task ended with an error: %s", {"error": type(error).__name__}
    _log.error(text, name, exc_info=error, extra=fields)


def later_task(work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Make a task that begins in a later step of the loop, whatever the loop's task factory does.

    An eager factory runs the work before it returns the task. The work could then end, and say that no task is left,
    before the caller has noted the task: the note would stay, and no other task would ever be made.
    """
    return asyncio.Task(work, loop=asyncio.get_running_loop(), name=name)


def take_back_cancels(ours: bool) -> bool:
    """Undo all pending cancels of the current task; return whether one of them was not ours."""
    task = asyncio.current_task()
    others = task is not None and task.cancelling() > ours
    while task is not None and task.uncancel():
        pass
    return others
