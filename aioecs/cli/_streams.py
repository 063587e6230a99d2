"""Where the words go: results to stdout, all else to stderr, a moving line only where a terminal shows it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from aioecs.cli._screen import broken, complaint

_FRAME = 0.1  # between two drawings of the moving line, in seconds


class _Console(Console):
    """A console that says when nobody reads it any more, instead of ending the process."""

    def on_broken_pipe(self) -> None:
        """Let the caller see it."""
        raise BrokenPipeError


class Streams:
    """Stdout and stderr. When the reader of stdout goes away, what is left to tell goes to stderr.

    `on_broken` is called once, when that happens.
    """

    def __init__(self, on_broken: Callable[[], object] = lambda: None) -> None:
        self._out = _Console(highlight=False)
        self._err = _Console(stderr=True, highlight=False)
        self._broken = False
        self._live: Live | None = None
        self.on_broken = on_broken

    def say(self, *lines: Text) -> None:
        """Print lines of a result. A terminal breaks them between words; a pipe gets them whole."""
        for line in lines:
            if not self._broken:
                with self._breakable():
                    _print(self._out, line)
            if self._broken:
                self.note(line)

    def write(self, line: str) -> None:
        """Print a line as it stands, at once."""
        if not self._broken:
            with self._breakable():
                typer.echo(line)
        if self._broken:
            self._noted(lambda: typer.echo(line, err=True))

    @property
    def columns(self) -> int | None:
        """How wide the terminal is that stdout goes to; None if it goes to none."""
        return self._out.width if _is_terminal(self._out) else None

    def show(self, lines: Iterable[Text | str]) -> None:
        """Print what was only looked up, words as they stand; once nobody reads it, the rest is left out."""
        with self._breakable():
            for line in lines:
                if isinstance(line, Text):
                    _print(self._out, line)
                else:
                    typer.echo(line)

    def note(self, line: Text) -> None:
        """Print a line to stderr."""
        self._noted(lambda: _print(self._err, line))

    def complain(self, message: str) -> None:
        """Say on one line of stderr what is wrong."""
        self.note(complaint(message))

    def shows_progress(self, *, as_json: bool) -> bool:
        """Whether a moving line belongs on stderr: it is a terminal, and no JSON is written to one beside it."""
        moving = _is_terminal(self._err) and not self._err.is_dumb_terminal
        return moving and not (as_json and _is_terminal(self._out))

    @contextmanager
    def moving(self, render: Callable[[int], RenderableType]) -> Generator[None]:
        """Draw `render(columns)` ten times a second on stderr; nothing of it is left on the screen."""
        console = self._err
        with Live(
            get_renderable=lambda: render(console.width),
            console=console,
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

    def halt(self) -> None:
        """Take the moving line off the screen, for a process that is about to end."""
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def logging(self) -> Generator[None]:
        """Show what aioecs logs as a warning or worse, above the moving line."""
        handler = _Notes(self.complain)
        log = logging.getLogger("aioecs")
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)

    @contextmanager
    def _breakable(self) -> Generator[None]:
        try:
            yield
        except OSError:
            self._broken = True
            _silence_stdout()
            self.on_broken()

    def _noted(self, write: Callable[[], object]) -> None:
        with suppress(OSError):  # with stderr gone as well, nobody is left to tell
            write()


class _Notes(logging.Handler):
    def __init__(self, complain: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._complain = complain

    def emit(self, record: logging.LogRecord) -> None:
        self._complain(record.getMessage())


def _print(console: Console, line: Text) -> None:
    """Print a line: whole to a pipe, broken between words to a terminal."""
    for part in broken(line, console.width) if _is_terminal(console) else [line]:
        console.print(part, soft_wrap=True)


def _is_terminal(console: Console) -> bool:
    """Ask the stream itself: rich takes FORCE_COLOR for a terminal."""
    return console.file.isatty()


async def _draw(live: Live) -> None:
    with suppress(OSError):  # a terminal that is gone shows nothing, and what it showed goes on without it
        while True:
            live.refresh()
            await asyncio.sleep(_FRAME)


def _silence_stdout() -> None:
    """Keep the interpreter from failing on the closed pipe again, when it flushes at exit (Python docs, SIGPIPE)."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
