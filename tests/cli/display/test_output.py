"""Stdout, written by a thread."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from aioecs.cli._display.output import ATOMIC, Line, Output


def text_file(path: Path, encoding: str = "utf-8") -> io.TextIOWrapper:
    """Open a file as the interpreter opens stdout."""
    return io.TextIOWrapper(io.BufferedWriter(io.FileIO(path, "w")), encoding=encoding)


def fails(error: OSError) -> None:
    """Take no failure."""
    raise error


@pytest.mark.parametrize("lines", [["a", "b"], ["x" * (ATOMIC - 1)] * 3, ["x" * (5 * ATOMIC), "y"], ["z"] * 3 * ATOMIC])
async def test_everything_is_written_in_order(lines: list[str], tmp_path: Path) -> None:
    """Whatever the lines are as long as."""
    with text_file(tmp_path / "out") as stream:
        output = Output(stream, fails)
        for line in lines:
            output.put(Line(line, kept=True))
        await output.drained(0, lambda: False)
        assert output.backlog == 0
    assert (tmp_path / "out").read_text() == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
async def test_a_stdout_that_is_not_utf_8(encoding: str, tmp_path: Path) -> None:
    """It gets a question mark for what it doesn't have."""
    with text_file(tmp_path / "out", encoding) as stream:
        output = Output(stream, fails)
        output.put(Line("a \u201cb\u201d \ud800", kept=True))
        assert output.wait(10)
    assert (tmp_path / "out").read_text(encoding) == "a ?b? ?\n"


async def test_what_nobody_reads_is_taken_back() -> None:
    """Each line that a pipe didn't take comes back, the one that is being written among them."""
    read, write = os.pipe()
    stream = io.TextIOWrapper(io.BufferedWriter(io.FileIO(write, "w")), encoding="utf-8")
    output = Output(stream, fails)
    lines = [f"{at:06}" * 100 for at in range(1000)]
    for line in lines:
        output.put(Line(line, kept=True))
    assert not output.wait(0.2)
    left = [line.text for line in output.take_back()]
    assert output.wait(0)
    taken = os.read(read, 1 << 20).decode().splitlines()
    assert taken + left == lines
    os.close(read)
    await output.drained(0, lambda: False)


def test_a_stream_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written to directly."""
    monkeypatch.setattr(sys, "stdout", stream := io.StringIO())
    Output(stream, fails).put(Line("a", kept=True))
    assert stream.getvalue() == "a\n"
