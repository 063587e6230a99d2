"""Writes results to stdout and all else to stderr, with a live progress line where stderr is a terminal."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from io import StringIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from aioecs.cli._display.output import Line, Output
from aioecs.cli._display.status import UNWRITTEN
from aioecs.cli._display.text_lines import error_line, printable, wrapped

PROGRESS_INTERVAL = 10.0  # seconds between two lines of progress where there is no live display
READER_TIMEOUT = 1.0  # seconds that a reader of stdout is given, when the command is over
ORDER_TIMEOUT = 0.1  # seconds that a line of stderr waits, at most, for those of stdout before it in the same terminal
_FRAME = 0.1  # between two drawings of the live display, in seconds


class Streams:
    """Stdout and stderr. When stdout can't be written any more, further results go to stderr.

    `on_broken` is called once, when that happens; `broken_by` says why.
    """

    def __init__(self, on_broken: Callable[[], object] = lambda: None) -> None:
        self._out = Console(highlight=False)
        self._err = Console(stderr=True, highlight=False)
        self._results: Output | None = None
        self._notes: Output | None = None
        self._error: OSError | None = None
        self._live: Live | None = None
        self._settling: tuple[str, float] | None = None
        self.on_broken = on_broken

    def say(self, *lines: Text) -> None:
        """Print lines of a result. They are wrapped at spaces for a terminal, and whole for a pipe."""
        for line in lines:
            if self._error is not None:
                self.print_note(line)
                continue
            for text in _rendered(self._out, line):
                self._put(text, kept=True)

    def write(self, line: str) -> None:
        """Print a line of a result unchanged, at once."""
        self._put(line, kept=True)

    @property
    def rows(self) -> int:
        """How high the terminal is that stderr goes to."""
        return self._err.height

    def show(self, lines: Iterable[Text | str]) -> None:
        """Print lines of a read, strings unchanged; once stdout can't be written, the rest is left out."""
        for line in lines:
            for text in _rendered(self._out, line) if isinstance(line, Text) else [line]:
                self._put(text, kept=False)
            if self._error is not None:
                return

    def _put(self, text: str, *, kept: bool) -> None:
        if self._error is None:
            if self._results is None:
                self._results = Output(self._out.file, self._failed)
            try:
                self._results.put(Line(text, kept))
            except OSError as error:
                self._failed(error)
            else:
                return
        if kept:
            self._print_note(text)

    def _failed(self, error: OSError) -> None:
        """Go on with stderr."""
        if self._error is not None:
            return
        self._error = error
        if not _reader_is_gone(error):
            self.print_error(f"the results could not be written: {error.strerror or error}")
        silence_stdout()
        self._print_remaining()
        self.on_broken()

    def _print_remaining(self) -> None:
        for line in [] if self._results is None else self._results.take_back():
            if line.kept:
                self._print_note(line.text)

    @property
    def broken(self) -> bool:
        """Whether stdout can't be written any more."""
        return self._error is not None

    @property
    def broken_by(self) -> str:
        """Why stdout is not written any more."""
        if self._error is None or _reader_is_gone(self._error):
            return "nobody reads the output any more"
        return f"the results could not be written: {self._error.strerror or self._error}"

    def status(self, status: int) -> int:
        """Return the exit status: `status`, or that the results could not be written."""
        return status if self._error is None or _reader_is_gone(self._error) else UNWRITTEN

    # ------------------------------------------------------------------------------------------- waiting for a reader

    @property
    def backlog(self) -> int:
        """How many lines stdout has not taken yet."""
        return 0 if self._results is None else self._results.backlog

    async def drained(self, most: int = 0, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until no more than `most` lines are left to be written, or they can't be, or `unless` says so."""
        for output in (self._results, self._notes):
            if output is not None:
                await output.drained(most, unless)

    def finish(self, seconds: float = READER_TIMEOUT) -> None:
        """Finish writing: what stdout doesn't take within so many seconds goes to stderr."""
        if self._results is not None and not self._results.wait(seconds):
            self.print_error("nobody reads stdout; what it did not take follows here")
        self._print_remaining()
        if self._notes is not None and not self._notes.wait(seconds):
            self._notes.take_back()

    def discard(self) -> None:
        """Discard what is not written yet."""
        for output in (self._results, self._notes):
            if output is not None:
                output.take_back()

    @property
    def columns(self) -> int | None:
        """How wide the terminal is that stdout goes to; None if it goes to none."""
        return self._out.width if _is_terminal(self._out) else None

    def print_note(self, line: Text) -> None:
        """Print a line to stderr."""
        if not _is_terminal(self._err):
            for text in _rendered(self._err, line):
                self._print_note(text)
            return
        if self._results is not None and _is_terminal(self._out):
            self._results.wait(ORDER_TIMEOUT)  # both may be one terminal
        with suppress(OSError):  # stderr can't be written either
            for part in _lines_for(self._err, line):
                self._err.print(part, soft_wrap=True)  # above the live display

    def _print_note(self, text: str) -> None:
        if _is_terminal(self._err):
            self.print_note(Text.from_ansi(text, no_wrap=True))
            return
        if self._notes is None:
            self._notes = Output(self._err.file, lambda _: None)
        with suppress(OSError):
            self._notes.put(Line(text, kept=False))

    def print_error(self, message: str) -> None:
        """Print an error on one line of stderr."""
        self.print_note(error_line(message))

    def shows_progress(self, *, as_json: bool) -> bool:
        """Whether stderr gets a live display: it is a terminal, and no JSON goes to a terminal beside it."""
        capable = _is_terminal(self._err) and not self._err.is_dumb_terminal
        return capable and not (as_json and _is_terminal(self._out))

    @contextmanager
    def live_display(self, render: Callable[[int], RenderableType], *, whole_screen: bool = False) -> Generator[None]:
        """Draw `render(columns)` ten times a second on stderr; nothing of it is left on the screen.

        The whole screen is the terminal's alternate one: what was on it before comes back.
        """
        console = self._err
        with Live(
            get_renderable=lambda: render(console.width),
            console=console,
            screen=whole_screen,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as self._live:
            drawing = asyncio.get_running_loop().create_task(_draw(self._live), name="aioecs progress")
            try:
                yield
            finally:
                drawing.cancel()
                self.stop_live_display()

    @contextmanager
    def periodic_progress(self, render: Callable[[], Text], seconds: float = PROGRESS_INTERVAL) -> Generator[None]:
        """Print `render()` to stderr every ten seconds, where there is no live display."""

        async def print_progress() -> None:
            while True:
                await asyncio.sleep(seconds)
                self.print_note(render())

        periodic_progress = asyncio.get_running_loop().create_task(print_progress(), name="aioecs progress")
        try:
            yield
        finally:
            periodic_progress.cancel()

    def stop_live_display(self) -> None:
        """Take the live display off the screen, for a process that is about to end."""
        if self._live is not None:
            with suppress(OSError):  # the terminal may be gone
                self._live.stop()

    @property
    def settling(self) -> str | None:
        """What an interrupt waits for, and how long at most; None while that isn't known."""
        if self._settling is None:
            return None
        described, until = self._settling
        return f"waiting for up to {max(0, round(until - time.monotonic()))} s for the outcome of {described}"

    def _set_settling(self, described: str, seconds: float) -> None:
        self._settling = described, time.monotonic() + seconds
        if self._live is None:
            self.print_error(f"{self.settling}; Ctrl-C again ends at once")

    @contextmanager
    def logging(self) -> Generator[None]:
        """Print warnings and errors that aioecs logs, above the live display; that shows itself what is waited for."""
        handler = _LogPrinter(self.print_error, self._set_settling)
        log = logging.getLogger("aioecs")
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)


class _LogPrinter(logging.Handler):
    def __init__(self, print_error: Callable[[str], object], set_settling: Callable[[str, float], object]) -> None:
        super().__init__(logging.WARNING)
        self._print_error = print_error
        self._set_settling = set_settling

    def emit(self, record: logging.LogRecord) -> None:
        settling: tuple[str, float] | None = getattr(record, "aioecs_settling", None)
        if settling is None:
            self._print_error(record.getMessage())
        else:
            self._set_settling(*settling)


def _lines_for(console: Console, line: Text) -> list[Text]:
    """Return what is to be printed: whole for a pipe, wrapped at spaces for a terminal."""
    line = printable(line)
    return wrapped(line, console.width) if _is_terminal(console) else [line]


def _rendered(console: Console, line: Text) -> list[str]:
    """Return what is to be printed, as text with the console's colours."""
    in_memory = Console(file=StringIO(), force_terminal=_is_terminal(console) or None, highlight=False)
    texts: list[str] = []
    for part in _lines_for(console, line):
        with in_memory.capture() as captured:
            in_memory.print(part, soft_wrap=True)
        texts.append(captured.get().removesuffix("\n"))
    return texts


def _is_terminal(console: Console) -> bool:
    """Return whether the stream is a terminal; rich takes FORCE_COLOR for one."""
    return console.file.isatty()


async def _draw(live: Live) -> None:
    with suppress(OSError):  # a closed terminal ends the display, not the command
        while True:
            live.refresh()
            await asyncio.sleep(_FRAME)


def _reader_is_gone(error: OSError) -> bool:
    return isinstance(error, BrokenPipeError)


def silence_stdout() -> None:
    """Keep the interpreter from failing on the closed pipe again, when it flushes at exit (Python docs, SIGPIPE)."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
