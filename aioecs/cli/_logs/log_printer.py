"""Prints the log of a task as it comes, no faster than stdout is read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from rich.text import Text

from aioecs import ECSError, InvalidRequest, LogLine, Task
from aioecs.cli._display.output import BACKLOG
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.streams import Streams


class LogPrinter:
    """Prints lines of a log, and counts them by their container."""

    def __init__(self, streams: Streams, show: Callable[[LogLine], Text | str]) -> None:
        self._streams = streams
        self._show = show
        self.printed = 0

    async def all_of(self, lines: AsyncGenerator[LogLine]) -> None:
        """Print lines until there are no more, or nobody reads stdout any more; what reads them has ended then.

        Raises:
            ECSError: the log can't be read.
        """
        async with aclosing(lines):
            async for line in lines:
                await self.one(line)
                if self._streams.broken:
                    return

    async def one(self, line: LogLine) -> None:
        """Print a line; wait where many have not been read yet."""
        self._streams.show([self._show(line)])
        self.printed += 1
        if self._streams.backlog > BACKLOG:
            await self._streams.drained(BACKLOG)


def container_names(task: Task) -> list[str]:
    """Return the names of a task's containers."""
    return [each.name for each in task.containers if each.name]


def no_log(error: ECSError) -> str:
    """Say why a log can't be shown."""
    if isinstance(error, InvalidRequest):
        found = f" ({error.found})" if error.found else ""
        return f"there is no log to show: needed is {error.rule}{found}"
    return f"the log can't be read: {text_of(error)}"
