"""The asyncio tasks that a client owns: every request runs in one of them, never in a caller's task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
Ended = Callable[[asyncio.Task[Any]], None]

_log = logging.getLogger("aioecs")


class BackgroundTasks:
    """A supervised set of plain asyncio tasks.

    Not a task group: a client may be entered in one task of a loop and left in another, and a caller's cancel must
    not reach them. They all belong to one loop.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[asyncio.Task[Any], Ended | None] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def own(
        self, work: Coroutine[Any, Any, T], name: str, *, awaited: bool = False, ended: Ended | None = None
    ) -> asyncio.Task[T]:
        """Run it in a background task; its error is logged, unless a caller awaits it (`awaited`).

        `ended(task)` is called at its end, also when it was cancelled before its first step.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        task = later_task(work, name, self._loop)
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
            text, fields = "a background task ended with an error: %s", {"error": type(error).__name__}
            _log.error(text, task.get_name(), exc_info=error, extra=fields)

    async def drained(self, seconds: float) -> bool:
        """Wait until all of them have ended, `seconds` at most; return whether they have."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while (left := ends - loop.time()) > 0:  # one may begin another
            if self._tasks:
                await asyncio.wait(tuple(self._tasks), timeout=left)
            await asyncio.sleep(0)  # what follows a forgotten one comes in the next step of the loop
            if not self._tasks:
                break
        return not self._tasks

    def cancel(self) -> None:
        """Cancel all that have not ended."""
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


def later_task(
    work: Coroutine[Any, Any, T], name: str, loop: asyncio.AbstractEventLoop | None = None
) -> asyncio.Task[T]:
    """Make a task that begins in a later step of the loop, whatever the loop's task factory does.

    An eager factory runs the work before it returns the task. The work could then end, and say that no task is left,
    before the caller has noted the task: the note would stay, and no other task would ever be made.
    """
    return asyncio.Task(work, loop=loop or asyncio.get_running_loop(), name=name)


def take_back_cancels(ours: bool) -> bool:
    """Undo all pending cancels of the current task; return whether one of them was not ours."""
    task = asyncio.current_task()
    others = task is not None and task.cancelling() > ours
    while task is not None and task.uncancel():
        pass
    return others
