"""Stdout, written by a thread: a reader that doesn't read holds up neither the event loop nor Ctrl-C."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections import deque
from collections.abc import Callable
from io import RawIOBase
from typing import IO

import attrs

ATOMIC = 4096  # bytes that a pipe takes whole or not at all (POSIX, PIPE_BUF: 512 at least; Linux 4,096)
BACKLOG = 10_000  # lines that may wait before whoever makes more of them has to wait


@attrs.frozen
class Line:
    """What is to be written. One that is `kept` must reach somebody, by stderr if stdout fails."""

    text: str
    kept: bool


class Output:
    """A text stream whose file a thread writes to; a stream without one, such as a test's, is written to directly.

    `failed` is called once when a write fails, in the caller's thread or on its event loop.
    """

    def __init__(self, stream: IO[str], failed: Callable[[OSError], object]) -> None:
        self._stream = stream
        self._raw = _raw(stream)
        self._encoding: str | None = getattr(stream, "encoding", None)
        self._failed = failed
        self._lines: deque[Line] = deque()
        self._writing: list[Line] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: OSError | None = None

    def put(self, line: Line) -> None:
        """Write a line, soon and in order.

        Raises:
            OSError: it can't be written, and that is known at once.
        """
        if self._error is not None:
            raise self._error
        if self._raw is None:
            self._stream.write(_encodable(line.text, self._encoding) + "\n")
            self._stream.flush()
            return
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()
        if self._thread is None:
            self._begin()

    def _begin(self) -> None:
        self._stream.flush()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._thread = threading.Thread(target=self._write_all, name="aioecs stdout", daemon=True)
        self._thread.start()
        atexit.register(self.wait, None)

    @property
    def backlog(self) -> int:
        """How many lines are not written yet."""
        return len(self._lines) + len(self._writing)

    async def drained(self, most: int, unless: Callable[[], bool]) -> None:
        """Wait until no more than so many lines are left to be written, or writing has failed, or `unless` says so."""
        pause = 0.001
        while self.backlog > most and self._error is None and not unless():
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.05)

    def wait(self, seconds: float | None) -> bool:
        """Wait in this thread until all is written, `seconds` at most; return whether nothing is left to wait for."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.backlog or self._error is not None, seconds)

    def take_back(self) -> list[Line]:
        """Return what is not written, in order, and forget it."""
        with self._changed:
            left = [*self._writing, *self._lines]
            self._writing = []
            self._lines.clear()
            return left

    # --------------------------------------------------------------------------------------------------- the thread

    def _write_all(self) -> None:
        try:
            while True:
                data = self._next()
                while data:
                    data = data[self._write(data) :]
                with self._changed:
                    self._writing = []
                    self._changed.notify_all()
        except OSError as error:
            self._end(error)

    def _next(self) -> bytes:
        """Take as many lines as a pipe takes whole, one at least."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines)
            data = b""
            while self._lines and (not data or len(data) < ATOMIC):
                more = self._bytes(self._lines[0])
                if data and len(data) + len(more) > ATOMIC:
                    break
                data += more
                self._writing.append(self._lines.popleft())
            return data

    def _write(self, data: bytes) -> int:
        if self._raw is None:
            return len(data)
        return self._raw.write(data) or 0

    def _bytes(self, line: Line) -> bytes:
        return (line.text + "\n").encode(self._encoding or "utf-8", "replace")

    def _end(self, error: OSError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._failed, error)


def _raw(stream: IO[str]) -> RawIOBase | None:
    """Return the file beneath the stream's buffers, if it has one: it has no lock for a thread to hold at exit."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # PYTHONUNBUFFERED leaves the buffer out
    return raw if isinstance(raw, RawIOBase) else None


def _encodable(text: str, encoding: str | None) -> str:
    """Return the text with a question mark for each sign that the encoding doesn't have."""
    return text.encode(encoding, "replace").decode(encoding) if encoding else text
