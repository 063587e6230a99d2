"""What the containers of the local ECS wrote: the log streams of CloudWatch Logs, each line with its time."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import attrs

from aioecs.testing._state.records import RUNNING, Task

Output = Iterable[tuple[float, str]] | Callable[[Task], Iterable[tuple[float, str]]]
"""Lines with the seconds after a task's start at which its first container writes them: for all tasks, or for each."""


@attrs.frozen(order=True)
class Line:
    """One line of a stream."""

    at: int
    """When it was written, in milliseconds since the epoch."""
    number: int
    """Counts the lines of all streams."""
    text: str


@attrs.define
class LogStreams:
    """All streams, by the names of their group and their own."""

    streams: dict[tuple[str, str], list[Line]] = attrs.field(factory=dict[tuple[str, str], list[Line]])
    _count: int = 0

    def write(self, task: Task, container: str | None, text: str, at: float) -> bool:
        """Add a line of a container, by default of the first; returns False if its log goes elsewhere."""
        stream = stream_of(task, container)
        if stream is not None:
            self._count += 1
            insort(self.streams.setdefault(stream, []), Line(round(at * 1000), self._count, text))
        return stream is not None

    def write_output(self, text: str, task: Task, at: float) -> None:
        """Write a scripted line, if the task still runs."""
        if task.last_status == RUNNING:
            self.write(task, None, text, at)


def output_of(output: Output | None, task: Task) -> list[tuple[float, str]]:
    """Return what a task is to write."""
    if output is None:
        return []
    return list(output(task) if callable(output) else output)


def stream_of(task: Task, container: str | None) -> tuple[str, str] | None:
    """Return the group and the stream that a container logs to; None if that is not CloudWatch Logs by `awslogs`."""
    for described, runtime_id in zip(task.definition.wire["containerDefinitions"], task.container_ids, strict=True):
        if container in (None, described["name"]):
            return _stream(task.id, described, runtime_id)
    return None


def _stream(task_id: str, described: Mapping[str, Any], runtime_id: str) -> tuple[str, str] | None:
    config = cast("Mapping[str, Any]", described.get("logConfiguration") or {})
    options = cast("Mapping[str, str]", config.get("options") or {})
    if config.get("logDriver") != "awslogs" or "awslogs-group" not in options:
        return None
    prefix = options.get("awslogs-stream-prefix")
    return options["awslogs-group"], f"{prefix}/{described['name']}/{task_id}" if prefix else runtime_id.replace(
        "-", ""
    ) * 2
