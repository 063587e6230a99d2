"""What arguments name: input of the AWS CLI, and the lines of jobs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from aioecs.cli._options import UsageError
from aioecs.cli._start.given_input import cli_input, job_lines, refuse_arguments


def test_arguments_that_belong_to_no_option() -> None:
    """They are refused and not repeated."""
    refuse_arguments([])
    with pytest.raises(UsageError, match="an argument too many") as raised:
        refuse_arguments(["hunter2"])
    assert "hunter2" not in str(raised.value)


def test_input_in_the_form_of_the_aws_cli() -> None:
    """As JSON or as YAML, not both; it comes with the name of its option."""
    assert cli_input(None, None) is None
    assert cli_input('{"cluster": "c"}', None) == ("--cli-input-json", {"cluster": "c"})
    assert cli_input(None, "cluster: c\n") == ("--cli-input-yaml", {"cluster": "c"})
    with pytest.raises(UsageError, match="exclude each other"):
        cli_input("{}", "a: b\n")


def test_lines_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file, or from standard input for -."""
    (tmp_path / "jobs").write_text("{}\n{}\n")
    assert job_lines(str(tmp_path / "jobs")) == ["{}", "{}", ""]
    monkeypatch.setattr("sys.stdin", io.StringIO("a\nb"))
    assert job_lines("-") == ["a", "b"]
    with pytest.raises(UsageError, match="--jobs"):
        job_lines(str(tmp_path / "none"))


def test_a_line_ends_at_a_line_feed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON may hold other separators as they are, such as U+2028 in what people wrote."""
    line = '{"environment": {"TEXT": "a\u2028b\x85c"}}'
    (tmp_path / "jobs").write_bytes(f"{line}\r\n{{}}".encode())
    assert job_lines(str(tmp_path / "jobs")) == [line, "{}"]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{line}\n{{}}\n"))
    assert job_lines("-") == [line, "{}", ""]


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Editors on Windows put one before UTF-8."""
    (tmp_path / "jobs").write_bytes(b'\xef\xbb\xbf{"cluster": "c"}')
    assert job_lines(str(tmp_path / "jobs")) == ['{"cluster": "c"}']
    assert cli_input(f"file://{tmp_path / 'jobs'}", None) == ("--cli-input-json", {"cluster": "c"})


def test_standard_input_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, as a file is."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"{}\n\xff"), encoding="utf-8"))
    with pytest.raises(UsageError, match=r"^standard input is no text in utf-8"):
        job_lines("-")
