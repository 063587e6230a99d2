"""The command as a process of its own, and how it ends: Ctrl-C twice, a closed terminal, a stdout that takes nothing.

Whatever stdout is, each task that may run is reported: by its ARN, or by its token.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from virtual_time import until

from aioecs.testing import Fault, LocalECS

CAPACITY = 1_000_000_000
ANSWERED = 40  # calls that are answered; the others take effect, and their answers never come
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
SINKS = ("file", "unread pipe", "terminal", "unread terminal")


@pytest.fixture
async def hanging() -> AsyncIterator[LocalECS]:
    """Serve an ECS that stops answering, with capacity for all."""
    hang = Fault("hang", when="after", skip=ANSWERED, times=None)
    async with LocalECS(cpu=CAPACITY, memory=CAPACITY, faults=[hang]) as local:
        yield local


class Sink:
    """What takes a command's stdout; what was written to it can be read once the command has ended."""

    def __init__(self, kind: str, path: Path) -> None:
        self._kind = kind
        self._text = b""
        self._path = path
        if kind == "file":
            self.fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        elif "pipe" in kind:
            self._read, self.fd = os.pipe()
        else:
            self._read, self.fd = pty.openpty()
            if kind == "terminal":
                asyncio.get_running_loop().add_reader(self._read, self._take)

    def _take(self) -> None:
        try:
            self._text += os.read(self._read, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._read)

    def text(self) -> str:
        """Return what was written."""
        os.close(self.fd)
        if self._kind == "file":
            return self._path.read_text(encoding="utf-8")
        asyncio.get_running_loop().remove_reader(self._read)
        os.set_blocking(self._read, False)
        while True:
            try:
                more = os.read(self._read, 65536)
            except OSError:  # a terminal without its other side
                break
            if not more:
                break
            self._text += more
        os.close(self._read)
        return self._text.decode()


@pytest.fixture
def environment() -> dict[str, str]:
    """Return what the command's process has in its environment."""
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", "COLUMNS": "400"}


async def begun(local: LocalECS, environment: dict[str, str], stdout: int, *args: str, **more: Any) -> Any:
    """Begin `aioecs start` against a local ECS."""
    where = ("--cluster", "default", "--task-definition", "demo", "--endpoint-url", local.endpoint_url)
    command = (sys.executable, "-m", "aioecs.cli", "start", *where, *args)
    given: dict[str, Any] = {"stdin": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.PIPE} | more
    return await asyncio.create_subprocess_exec(*command, stdout=stdout, env=environment, **given)


async def sent(local: LocalECS, calls: int) -> None:
    """Wait until so many calls have been made."""
    await until(lambda: local.truth.requests["StartTask"] >= calls, 60)


def reported(text: str) -> tuple[set[str], set[str]]:
    """Return the ARNs and the tokens in lines of JSON."""
    starts = [json.loads(line) for line in text.splitlines() if line.startswith('{"outcome"')]
    arns = {start["task_arn"] for start in starts if start["task_arn"]}
    return arns, {start["token"] for start in starts if start["outcome"] == "unknown"}


def unreported(local: LocalECS, text: str) -> list[str]:
    """Return the tasks that ran and that nothing in the text leads to."""
    arns, tokens = reported(text)
    return [task.arn for task in local.truth.tasks() if task.arn not in arns and task.started_by not in tokens]


def summary_of(text: str) -> dict[str, Any]:
    """Return the summary that the text ends with."""
    found = [json.loads(line)["summary"] for line in text.splitlines() if line.startswith('{"summary"')]
    summary: dict[str, Any] = found[-1]
    return summary


@pytest.mark.parametrize(
    ("kind", "names"), [*((kind, ()) for kind in SINKS), ("unread pipe", ("--all-instances",))], ids=[*SINKS, "named"]
)
async def test_ctrl_c_twice(
    kind: str, names: tuple[str, ...], hanging: LocalECS, environment: dict[str, str], tmp_path: Path
) -> None:
    """Everything that was sent is reported, what was never answered by its token, and nothing is unresolved."""
    sink = Sink(kind, tmp_path / "out")
    process = await begun(hanging, environment, sink.fd, "--count", "1500", "--json", *names)
    await sent(hanging, ANSWERED + 10)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.05)
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    text = sink.text().replace("\r\n", "\n") + "\n" + errors.decode()
    assert process.returncode == 130
    assert "Traceback" not in text
    assert unreported(hanging, text) == []
    summary = summary_of(text)
    assert summary["unsettled"] == 0
    assert set(summary["unknown_tokens"]) == reported(text)[1] != set()
    assert sum(summary[name] for name in ("started", "refused", "stopped", "not_sent", "unknown")) == 1500


def take_terminal() -> None:
    """Make standard input the terminal of this process, and handle SIGHUP, which nohup ignores."""
    import fcntl
    import termios

    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
async def test_a_terminal_that_closes(local: LocalECS, environment: dict[str, str], tmp_path: Path) -> None:
    """Its SIGHUP is an interrupt like any other: what was started until then is reported where it can be read."""
    ours, theirs = pty.openpty()
    out = tmp_path / "out"
    with out.open("wb") as file:
        process = await begun(
            local,
            environment,
            file.fileno(),
            *("--count", "20000", "--json", "--concurrency", "2"),
            stdin=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
    os.close(theirs)
    await sent(local, 20)
    os.close(ours)
    async with asyncio.timeout(60):
        await process.wait()
    text = out.read_text(encoding="utf-8")
    assert (process.returncode, summary_of(text)["interrupted"]) == (130, "SIGHUP")
    arns = {json.loads(line)["task_arn"] for line in text.splitlines() if '"started"' in line and "outcome" in line}
    assert arns == {task.arn for task in local.truth.running()}


async def test_a_disk_that_is_full(local: LocalECS, environment: dict[str, str]) -> None:
    """What can't be written goes to stderr, with a message, and the status says that it was so."""
    full = os.open("/dev/full", os.O_WRONLY)
    process = await begun(local, environment, full, "--count", "20", "--json")
    _, errors = await process.communicate()
    assert process.returncode == 3
    assert b"aioecs: the results could not be written: No space left on device" in errors
    assert unreported(local, errors.decode()) == []
