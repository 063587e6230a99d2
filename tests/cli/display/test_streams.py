"""Where the output goes: in a pipe, in a terminal, and when nobody reads them any more."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator

import pytest
from rich.text import Text

from aioecs.cli._display.streams import Streams

LONG = " ".join(["aioecs"] * 30)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Handler so."""
        return True


class Closed(io.StringIO):
    """A stream whose reader has gone, with a file beneath it."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def write(self, _: str) -> int:
        """Fail as a pipe does."""
        raise BrokenPipeError

    def fileno(self) -> int:
        """Name the file beneath."""
        return self._fd


Put = Callable[[str, io.StringIO], None]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Put:
    """Give a test what puts a stream in the place of stdout or stderr, on a machine with a terminal of 40 columns.

    The test does it, and not a fixture, because pytest puts its own streams there when a test begins.
    """
    for name, value in {"COLUMNS": "40", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return lambda name, stream: monkeypatch.setattr(sys, name, stream)


@pytest.fixture
def closed() -> Iterator[Closed]:
    """Make a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    yield Closed(write)
    os.close(write)


def test_a_pipe_gets_lines_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is broken or coloured in a pipe, and results and errors go to different streams."""
    streams = Streams()
    streams.say(Text(LONG, style="red"))
    streams.write('{"a": 1}')
    streams.print_error("no\ncluster")
    out, err = capsys.readouterr()
    assert out == f'{LONG}\n{{"a": 1}}\n'
    assert err == "aioecs: no cluster\n"


def test_a_terminal_gets_lines_broken(put: Put) -> None:
    """In a terminal lines are broken at spaces."""
    put("stderr", terminal := Terminal())
    Streams().print_note(Text(LONG))
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 40 for line in lines)


def test_no_color(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR there is no colour, even in a terminal."""
    put("stderr", terminal := Terminal())
    Streams().print_note(Text("red", style="red"))
    assert "\x1b[31m" in terminal.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.truncate(0)
    Streams().print_note(Text("red", style="red"))
    assert "\x1b[31m" not in terminal.getvalue()


def test_progress_only_where_it_is_seen(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live display needs a capable terminal, and never stands beside JSON in the same one."""
    put("stderr", Terminal())
    assert Streams().shows_progress(as_json=False)
    assert Streams().shows_progress(as_json=True)
    put("stdout", Terminal())
    assert Streams().shows_progress(as_json=False)
    assert not Streams().shows_progress(as_json=True)
    monkeypatch.setenv("TERM", "dumb")
    assert not Streams().shows_progress(as_json=False)


def test_forced_colours_make_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR colours a pipe; it doesn't make lines move in it."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not Streams().shows_progress(as_json=False)


async def test_the_live_display(put: Put) -> None:
    """It is drawn repeatedly for the terminal's width while the block runs, and then removed."""
    put("stderr", terminal := Terminal())
    frames: list[int] = []
    drawn = asyncio.Event()

    def render(columns: int) -> Text:
        frames.append(columns)
        if len(frames) == 3:
            drawn.set()
        return Text(f"frame {len(frames)}")

    streams = Streams()
    with streams.live_display(render):
        await drawn.wait()
    assert set(frames) == {40}
    assert "frame 2" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[1A\x1b[2K")


async def test_stopping_removes_the_live_display(put: Put) -> None:
    """Halted in the middle, the line is gone and the cursor back."""
    put("stderr", terminal := Terminal())
    streams = Streams()
    streams.stop_live_display()
    with streams.live_display(lambda _: Text("moving")):
        streams.stop_live_display()
        assert terminal.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_when_nobody_reads_the_results(put: Put, closed: Closed, capsys: pytest.CaptureFixture[str]) -> None:
    """The remaining results go to stderr, and the run is notified once."""
    put("stdout", closed)
    on_signal: list[bool] = []
    streams = Streams(lambda: on_signal.append(True))
    streams.write('{"a": 1}')
    streams.write('{"a": 2}')
    streams.say(Text("summary"))
    assert capsys.readouterr().err == '{"a": 1}\n{"a": 2}\nsummary\n'
    assert on_signal == [True]
    os.write(closed.fileno(), b"the interpreter's last flush")


def test_when_nobody_reads_a_summary(put: Put, closed: Closed, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for lines that rich writes."""
    put("stdout", closed)
    Streams().say(Text("one"), Text("two"))
    assert capsys.readouterr().err == "one\ntwo\n"


def test_when_nobody_reads_anything(put: Put, closed: Closed) -> None:
    """With both closed nothing is written, and that is no error."""
    put("stdout", closed)
    put("stderr", closed)
    streams = Streams()
    streams.say(Text("one"))
    streams.write("two")


def test_what_was_only_looked_up(put: Put, closed: Closed, capsys: pytest.CaptureFixture[str]) -> None:
    """It goes to stdout, as text or as it stands; once nobody reads it, the rest is left out in silence."""
    Streams().show([Text("text", "red"), "[line]"])
    assert capsys.readouterr() == ("text\n[line]\n", "")
    put("stdout", closed)
    left = iter(["a", "b", "c"])
    Streams().show(left)
    assert list(left) == ["b", "c"]
    assert capsys.readouterr().err == ""


def test_the_columns(put: Put) -> None:
    """A terminal has as many as it is wide, a pipe none."""
    assert Streams().columns is None
    put("stdout", Terminal())
    assert Streams().columns == 40


def test_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """What aioecs logs as a warning is shown on a line; less is not, and nothing after the block."""
    log = logging.getLogger("aioecs")
    with Streams().logging():
        log.warning("no permission to %s", "stop\ntasks")
        log.info("quiet")
    assert capsys.readouterr().err == "aioecs: no permission to stop tasks\n"
    assert not any(type(handler).__module__.startswith("aioecs.cli") for handler in log.handlers)
