"""A command in its own terminal: its output, and the keys that a test presses."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs

from aioecs.testing import LocalECS

COMMAND = [sys.executable, "-m", "aioecs.cli"]
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
        [*COMMAND, command, "--endpoint-url", local.endpoint_url, *arguments],
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
