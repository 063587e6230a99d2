"""A command in its own terminal, with the keys that a test presses; and streams that keep what is printed."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from rich.text import Text

from aioecs.cli._display.streams import Streams
from aioecs.testing import LocalECS

COMMAND = [sys.executable, "-m", "aioecs.cli"]
SOON = """
import aioecs._client.log_poller, aioecs._logic.tasks.log_cursor, aioecs._logic.tasks.poll_schedule
from aioecs.cli import main

aioecs._client.log_poller.GRACE = 0.1
aioecs._logic.tasks.log_cursor.SHORTEST = aioecs._logic.tasks.poll_schedule.SHORTEST = 0.2
main()
"""
"""Runs the command line, which then waits neither long between polls nor for lines after the end of a task."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CTRL_C = b"\x03"


@attrs.define
class Terminal:
    """A process in its own terminal, and its output."""

    process: subprocess.Popen[bytes]
    master: int
    text: str = ""
    _more: asyncio.Event = attrs.field(factory=asyncio.Event)

    def _read(self) -> None:
        try:
            read = os.read(self.master, 65536)
        except OSError:  # on Linux, when the other side is closed
            read = b""
        if not read:
            asyncio.get_running_loop().remove_reader(self.master)
        self.text += read.decode()
        self._more.set()

    async def shows(self, pattern: str) -> re.Match[str]:
        """Wait until its output, without control sequences, matches the pattern."""
        async with asyncio.timeout(20):
            while (found := re.search(pattern, CONTROL.sub("", self.text))) is None:
                self._more.clear()
                await self._more.wait()
        return found

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    async def status(self) -> int:
        """Wait until it ends, and return its exit status."""
        return await asyncio.to_thread(self.process.wait, 20)


@asynccontextmanager
async def terminal(
    local: LocalECS, columns: int, command: str, *arguments: str, **variables: str
) -> AsyncGenerator[Terminal]:
    """Run a command on a local ECS, in a terminal with this many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    access = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {**os.environ, **access, "TERM": "xterm-256color", **variables}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(  # noqa: ASYNC220 it returns at once
        [sys.executable, "-c", SOON, command, "--endpoint-url", local.endpoint_url, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 so that Ctrl-C is a signal
        env=environment,
    )
    os.close(slave)
    shown = Terminal(process, master)
    asyncio.get_running_loop().add_reader(master, shown._read)
    try:
        yield shown
    finally:
        asyncio.get_running_loop().remove_reader(master)
        process.kill()
        process.wait()
        os.close(master)


class RecordedStreams(Streams):
    """Streams that keep what is printed, and call the test at each line."""

    def __init__(self, on_line: Callable[[int], object] = lambda _: None) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.halted = False
        self._on_line = on_line

    def say(self, *lines: Text) -> None:
        """Keep the lines."""
        self.lines += [line.plain for line in lines]

    def write(self, line: str) -> None:
        """Keep the line, and let the test act."""
        self.lines.append(line)
        self._on_line(len(self.lines))

    def show(self, lines: Iterable[Text | str]) -> None:
        """Keep the lines."""
        self.lines += [line.plain if isinstance(line, Text) else line for line in lines]

    def print_note(self, line: Text) -> None:
        """Keep the line."""
        self.notes.append(line.plain)

    def stop_live_display(self) -> None:
        """Keep that it was halted."""
        super().stop_live_display()
        self.halted = True

    @property
    def starts(self) -> list[dict[str, Any]]:
        """The outcome of each start, from JSON."""
        return [line for line in map(json.loads, self.lines) if "summary" not in line]

    @property
    def summary(self) -> dict[str, Any]:
        """The summary, as the last line of JSON said."""
        summary: dict[str, Any] = json.loads(self.lines[-1])["summary"]
        return summary

    def arns(self, outcome: str) -> set[str]:
        """The tasks of the starts with this outcome."""
        return {start["task_arn"] for start in self.starts if start["outcome"] == outcome}
