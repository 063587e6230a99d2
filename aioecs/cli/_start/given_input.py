"""Reads the arguments of `aioecs start` and `aioecs run` that name other input: the AWS CLI's, and jobs."""

from __future__ import annotations

from typing import Any

from aioecs.cli._options import UsageError
from aioecs.cli._start import request_input
from aioecs.cli._stdin import stdin_text


def refuse_arguments(args: list[str]) -> None:
    """Refuse arguments of no option, without repeating them: one may be the value of an environment variable.

    Raises:
        UsageError: there are some.
    """
    if args:
        raise UsageError("an argument too many: --env and --tags take one NAME=VALUE each, and a command goes after --")


def cli_input(input_json: str | None, input_yaml: str | None) -> tuple[str, Any] | None:
    """Return the input in the AWS CLI's form with the name of its option; None without one.

    Raises:
        UsageError: it can't be read, or both are given.
    """
    if input_json is not None and input_yaml is not None:
        raise UsageError("--cli-input-json and --cli-input-yaml exclude each other")
    if input_json is not None:
        return "--cli-input-json", request_input.read_json("--cli-input-json", input_json)
    if input_yaml is not None:
        return "--cli-input-yaml", request_input.read_yaml("--cli-input-yaml", input_yaml)
    return None


def job_lines(name: str) -> list[str]:
    """Return the lines of the jobs, from a file or standard input.

    Raises:
        UsageError: it can't be read.
    """
    return (stdin_text() if name == "-" else request_input.read_file("--jobs", name)).split("\n")
