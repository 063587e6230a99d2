"""A command in its own terminal, with the keys that a test presses; and streams that keep what is printed."""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import json
import multiprocessing
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd as Passed
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

    process: BaseProcess
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
        await asyncio.to_thread(self.process.join, 20)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        os.kill(self.process.pid or 0, number)


_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [
        "aioecs.cli._app",
        "aioecs.cli._cluster.cluster_watch",
        "aioecs.cli._run.task_run",
        "aioecs.cli._start.run",
        "aioecs._transport.native.native_transport",
        "aioecs._transport.transport_factory",
        "anyio._backends._asyncio",
        "typer._adapters",
    ]
)


def _run_in_terminal(slave: Any, arguments: list[str], environment: dict[str, str]) -> None:
    """Run the command line with this terminal as its own, in a process that has imported it already."""
    fd = slave.detach()
    os.setsid()
    for number in range(3):
        os.dup2(fd, number)
    os.close(fd)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is a signal
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 it is the process's
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["aioecs", *arguments]
    try:
        exec(SOON, {"__name__": "__main__"})  # noqa: S102 it is what other processes are started with
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


@asynccontextmanager
async def terminal(
    local: LocalECS, columns: int, command: str, *arguments: str, **variables: str
) -> AsyncGenerator[Terminal]:
    """Run a command on a local ECS, in a terminal with this many columns.

    Its process is forked from one that has imported the command line, which takes longer than most commands.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    access = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {**os.environ, **access, "TERM": "xterm-256color", **variables}
    environment.pop("COLUMNS", None)
    process = _FORKED.Process(
        target=_run_in_terminal,
        args=(Passed(slave), [command, "--endpoint-url", local.endpoint_url, *arguments], environment),
        daemon=True,
    )
    process.start()
    os.close(slave)
    shown = Terminal(process, master)
    asyncio.get_running_loop().add_reader(master, shown._read)
    try:
        yield shown
    finally:
        asyncio.get_running_loop().remove_reader(master)
        process.kill()
        process.join()
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
