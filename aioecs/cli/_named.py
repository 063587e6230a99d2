"""Tasks that are named in words or on standard input: as ids, ARNs, or JSON as the commands write it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import cast

from aioecs.cli._options import UsageError


def named(words: Iterable[str]) -> list[str]:
    """Return the tasks that the words name, each once, in order; - stands for those on standard input.

    Raises:
        UsageError: a line of standard input is broken JSON.
    """
    names = (name for word in words for name in (read_names(sys.stdin) if word == "-" else [word]))
    return list(dict.fromkeys(names))


def read_names(given: Iterable[str]) -> Iterator[str]:
    """Read tasks, one a line: ids, ARNs, or JSON objects with a `task_arn`; of other JSON there is nothing to stop.

    Raises:
        UsageError: a line is broken JSON. It is told by its place.
    """
    for place, line in enumerate(map(str.strip, given), 1):
        if line.startswith("{"):
            try:
                found = cast("dict[str, object]", json.loads(line)).get("task_arn")
            except ValueError as error:
                raise UsageError(f"line {place} of standard input is no JSON: {error}") from error
            if isinstance(found, str):
                yield found
        elif line:
            yield line


def cluster_in(task: str) -> str | None:
    """Return the name of the cluster that a task's ARN has in it; ids and ARNs of the old format have none."""
    _, is_arn, rest = task.partition(":task/")
    return rest.rpartition("/")[0] or None if is_arn else None
