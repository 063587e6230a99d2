"""How the lines of a log are shown: on a terminal, in a pipe, as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from rich.text import Text

from aioecs import LogLine
from aioecs.cli._display.log_lines import LogFormat

AT = datetime(2026, 11, 27, 18, 0, 1, 45_678, tzinfo=UTC)


def line(text: str, container: str = "main") -> LogLine:
    """Return a line of a container."""
    return LogLine(container, AT, text)


def test_in_a_pipe() -> None:
    """The text is unchanged; with several containers the name stands before it."""
    coloured = "\x1b[31mred\x1b[0m\ta"
    assert LogFormat(["main"], terminal=False)(line(coloured)) == coloured
    assert LogFormat(["main", "sidecar"], terminal=False)(line("a")) == "main    | a"
    assert LogFormat(["main"], terminal=False, timestamps=True)(line("a")) == "2026-11-27T18:00:01.045Z a"


def test_on_a_terminal() -> None:
    """Each container has its colour, a line its own; other control sequences don't reach the terminal."""
    show = LogFormat(["main", "log"], terminal=True)
    first, second, third = (show(line("a", name)) for name in ("main", "log", "late"))
    assert isinstance(first, Text)
    assert isinstance(second, Text)
    assert isinstance(third, Text)
    assert (first.plain, second.plain, third.plain) == ("main | a", "log  | a", "late | a")
    assert len({str(each.spans[0].style) for each in (first, second, third)}) == 3
    assert first.no_wrap
    shown = LogFormat(["main"], terminal=True)(line("\x1b[31mred\x1b[0m\ttab \x1b[2J\x1b]0;title\x07 end"))
    assert isinstance(shown, Text)
    assert "\x1b" not in shown.plain
    assert shown.plain.startswith("red     tab")
    assert shown.plain.endswith("end")


def test_as_json() -> None:
    """An object with its container, time and text."""
    made = LogFormat(["main"], terminal=True, as_json=True)(line('say "hi"'))
    assert isinstance(made, str)
    assert json.loads(made) == {"container": "main", "time": "2026-11-27T18:00:01.045Z", "text": 'say "hi"'}
