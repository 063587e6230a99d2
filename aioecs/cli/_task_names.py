"""Reads the tasks that arguments or standard input name: ids, ARNs, or JSON as the commands write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import cast

from aioecs.cli._options import UsageError
from aioecs.cli._stdin import stdin_text

_NAME = re.compile(r"\S+")
_MEMBERS = ("task_arn", "taskArn", "taskArns", "tasks")  # of ours, and of the AWS CLI's


def task_names(args: Iterable[str]) -> list[str]:
    """Return the named tasks, each once, in order; - stands for the tasks on standard input.

    Raises:
        UsageError: standard input names no task, or something on it is none.
    """
    names: list[str] = []
    for arg in args:
        names += _on_stdin() if arg == "-" else [arg]
    return list(dict.fromkeys(names))


def _on_stdin() -> list[str]:
    found = list(read_names(stdin_text()))
    if not found:
        raise UsageError("standard input names no task")
    return found


def read_names(text: str) -> Iterator[str]:
    """Read tasks, with white space between them: ids, ARNs, or JSON as the commands or the AWS CLI write it.

    The summary of a run, and a start without a task, are passed over.

    Raises:
        UsageError: it is broken JSON, or JSON that names no task; the message has the line number.
    """
    at = 0
    while (found := _NAME.search(text, at)) is not None:
        if found[0][0] not in "{[":
            yield found[0]
            at = found.end()
            continue
        line = text.count("\n", 0, found.start()) + 1
        try:
            value, at = json.JSONDecoder().raw_decode(text, found.start())
        except (ValueError, RecursionError) as error:
            raise UsageError(f"line {line} of standard input is no JSON: {error}") from error
        yield from _in_json(value, line)


def _in_json(value: object, line: int) -> Iterator[str]:
    """Find the tasks in a string, an object, or an array of either."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _in_json(each, line)
    elif isinstance(value, dict) and (keys := [key for key in _MEMBERS if key in value]):
        held = cast("dict[str, object]", value)[keys[0]]
        if held is not None:
            yield from _in_json(held, line)
    elif not (isinstance(value, dict) and "summary" in value):
        raise UsageError(f"the JSON on line {line} of standard input names no task")


def cluster_in(task: str) -> str | None:
    """Return the name of the cluster that a task's ARN has in it; ids and ARNs of the old format have none."""
    _, is_arn, path = task.partition(":task/")
    return path.rpartition("/")[0] or None if is_arn else None
