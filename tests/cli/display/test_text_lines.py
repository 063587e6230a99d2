"""Lines that are safe for a terminal, and fit it."""

from __future__ import annotations

import pytest
from rich.text import Text

from aioecs.cli._display.text_lines import error_line, printable, wrapped


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 80, ["one two three"]),
        ("one two three", 8, ["one two", "  three"]),
        ("  one two three", 9, ["  one two", "    three"]),
        ("one " + "x" * 20 + " two", 10, ["one", "  " + "x" * 20, "  two"]),
        ("x" * 20, 10, ["x" * 20]),
    ],
)
def test_wrapped(text: str, width: int, lines: list[str]) -> None:
    """Lines are broken at spaces, and nowhere else."""
    assert [line.plain for line in wrapped(Text(text), width)] == lines


def test_commands_stay_whole() -> None:
    """A command is not broken: it must survive being copied."""
    command = Text("aioecs tasks", no_wrap=True)
    assert wrapped(command, 5) == [command]


def test_wrapped_lines_keep_their_style() -> None:
    """Colours stay with their text."""
    lines = wrapped(Text.assemble("one ", ("two three", "red"), style="bold"), 8)
    assert [line.plain for line in lines] == ["one two", "  three"]
    assert all(any(span.style == "red" for span in line.spans) for line in lines)


def test_an_error_is_one_line() -> None:
    """Any error fits on one line, and can't control the terminal."""
    assert error_line("no\n  such\x1b[2J\x07 cluster").plain == "aioecs: no such [2J cluster"


@pytest.mark.parametrize("sign", ["\x1b", "\x00", "\x9b", "\u202e"])
def test_what_a_terminal_takes_for_a_command(sign: str) -> None:
    """It becomes a question mark, with the styles where they were."""
    line = printable(Text.assemble("a", (f"b{sign}c", "red"), "d"))
    assert (line.plain, line.spans[0].start, line.spans[0].end) == ("ab?cd", 1, 4)
