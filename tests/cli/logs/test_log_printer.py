"""Printing a log: each line in order, no faster than it is read, until nobody reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

import aioecs
from aioecs import LogLine
from aioecs.cli._display.streams import Streams
from aioecs.cli._logs.log_printer import LogPrinter, container_names, no_log
from aioecs.types import Container


async def lines(count: int, ended: list[bool] | None = None) -> AsyncGenerator[LogLine]:
    """Yield so many lines; note when what reads them ends."""
    try:
        for number in range(count):
            yield LogLine("main", datetime.now(UTC), f"line {number}")
    finally:
        if ended is not None:
            ended.append(True)


async def test_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, in order."""
    printer = LogPrinter(Streams(), lambda line: line.text)
    await printer.all_of(lines(3))
    assert (printer.printed, capsys.readouterr().out) == (3, "line 0\nline 1\nline 2\n")


class SlowStreams(Streams):
    """Streams whose stdout is behind, and broken after some lines."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = 0
        self.waits: list[int] = []

    @property
    def backlog(self) -> int:
        """How many lines were not taken."""
        return 10_001 if self.shown == 2 else 0

    @property
    def broken(self) -> bool:
        """Whether nobody reads any more."""
        return self.shown == 4

    def show(self, lines: object) -> None:
        """Count a line."""
        self.shown += 1

    async def drained(self, most: int = 0, unless: object = None) -> None:
        """Note the wait."""
        self.waits.append(most)


async def test_a_reader_that_is_slow_and_goes_away() -> None:
    """It waits while much is unread, and ends once nobody reads, and with it what reads the log."""
    streams, ended = SlowStreams(), list[bool]()
    reading = lines(9, ended)
    await LogPrinter(streams, lambda line: line.text).all_of(reading)
    assert ended == [True]
    assert (streams.shown, streams.waits) == (4, [10_000])


def test_names() -> None:
    """Those of the containers."""
    task = aioecs.Task(containers=[Container(name="a"), Container(), Container(name="b")])
    assert container_names(task) == ["a", "b"]


def test_no_log() -> None:
    """The reason, with the names of the command line's options."""
    assert no_log(aioecs.InvalidRequest("task", "a container that logs", "log drivers: none")) == (
        "there is no log to show: needed is a container that logs (log drivers: none)"
    )
    assert no_log(aioecs.AnswerLost("gone")) == "the log can't be read: gone"
