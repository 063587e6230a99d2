"""Finds the log streams of a task's containers in CloudWatch Logs, from its task definition.

Log drivers: `awslogs` writes to the stream `prefix/container/task-id`, or, without a prefix, to one that is named by
the container's runtime id. `awsfirelens` writes there with the output plugin `cloudwatch` or `cloudwatch_logs`; its
records are tagged `container-firelens-task-id`. [AmazonECS/latest/developerguide/using_awslogs.html,
firelens-taskdef.html; github.com/aws/amazon-cloudwatch-logs-for-fluent-bit]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from aioecs._logic.tasks.task_progress import containers_of
from aioecs._model.arn import short
from aioecs._model.log_line import LogLine
from aioecs._model.shapes.definition.container_definition import ContainerDefinition
from aioecs._model.shapes.definition.container_settings import LogConfiguration
from aioecs._model.shapes.definition.task_definition import TaskDefinition
from aioecs._model.shapes.task import Task

PLUGINS = ("cloudwatch", "cloudwatch_logs")
CLOCK_DIFFERENCE = 60_000
"""In milliseconds: how far the clock of a container instance may be behind that of ECS."""


@attrs.frozen
class LogSource:
    """The log stream of one container of a task."""

    container: str
    group: str
    stream: str
    region: str | None = None
    """The Region of the stream, where the definition names one."""
    json: bool = False
    """Whether a record may be a JSON object, as FireLens writes, with the line in its member `log`."""
    prefix: str | None = None
    """What the names of its container's streams begin with, up to the task's id; None where they don't have it."""
    since: int = 0
    """Before which it has no event, in milliseconds since the epoch."""

    def line(self, event: Mapping[str, Any]) -> LogLine:
        """Read an event of the stream."""
        message = event.get("message")
        text = message if isinstance(message, str) else ""
        return LogLine(self.container, _time(event.get("timestamp")), self._text(text).rstrip("\n"))

    def _text(self, message: str) -> str:
        if not self.json or not message.startswith("{"):
            return message
        try:
            record: Any = json.loads(message)
        except (ValueError, RecursionError):
            return message
        line = record.get("log") if isinstance(record, dict) else None
        return line if isinstance(line, str) else message


def log_sources(task: Task, definition: TaskDefinition, container: str | None = None) -> list[LogSource]:
    """Return the streams that the containers of a task log to, or one container alone."""
    defined: Any = definition.container_definitions
    listed = defined if isinstance(defined, (list, tuple)) else ()
    found = [_source(task, each) for each in listed if isinstance(each, ContainerDefinition)]
    return [_placed(each, task) for each in found if each is not None and container in (None, each.container)]


def _placed(source: LogSource, task: Task) -> LogSource:
    """Add what helps to find the stream among others."""
    before, task_id, _ = source.stream.partition(short(task.task_arn or "") or "\0")
    created = task.created_at
    since = round(created.timestamp() * 1000) - CLOCK_DIFFERENCE if isinstance(created, datetime) else 0
    return attrs.evolve(source, prefix=before if task_id and before else None, since=max(0, since))


def log_drivers(definition: TaskDefinition) -> str:
    """Name the log drivers of a definition, for a message."""
    defined: Any = definition.container_definitions
    listed = defined if isinstance(defined, (list, tuple)) else ()
    configs = [each.log_configuration for each in listed if isinstance(each, ContainerDefinition)]
    drivers = {str(each.log_driver) if isinstance(each, LogConfiguration) else "none" for each in configs}
    return ", ".join(sorted(drivers))


def _source(task: Task, container: ContainerDefinition) -> LogSource | None:
    config, name = container.log_configuration, container.name
    if not isinstance(config, LogConfiguration) or not isinstance(name, str):
        return None
    options = {key: str(value) for key, value in dict(config.options).items()}
    if config.log_driver == "awslogs":
        return _awslogs(task, name, options)
    return _firelens(task, name, options) if config.log_driver == "awsfirelens" else None


def _awslogs(task: Task, name: str, options: Mapping[str, str]) -> LogSource | None:
    group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
    stream = f"{prefix}/{name}/{short(task.task_arn or '')}" if prefix else _runtime_id(task, name)
    return LogSource(name, group, stream, options.get("awslogs-region")) if group and stream else None


def _runtime_id(task: Task, name: str) -> str | None:
    return next((each.runtime_id for each in containers_of(task) if each.name == name), None)


def _firelens(task: Task, name: str, options: Mapping[str, str]) -> LogSource | None:
    lowered = {key.lower(): value for key, value in options.items()}
    if lowered.get("name") not in PLUGINS:
        return None
    tag = f"{name}-firelens-{short(task.task_arn or '')}"
    group = _fill(lowered.get("log_group_name", ""), task, tag)
    stream = lowered.get("log_stream_name")
    named = _fill(stream, task, tag) if stream else f"{lowered.get('log_stream_prefix', '')}{tag}"
    return LogSource(name, group, named, lowered.get("region"), json="log_key" not in lowered) if group else None


def _fill(template: str, task: Task, tag: str) -> str:
    """Replace the variables of the plugin. [github.com/aws/amazon-cloudwatch-logs-for-fluent-bit, templating]"""
    values = {
        "$(ecs_task_id)": short(task.task_arn or ""),
        "$(ecs_task_arn)": task.task_arn or "",
        "$(ecs_cluster)": short(task.cluster_arn or ""),
        "$(tag)": tag,
    }
    for name, value in values.items():
        template = template.replace(name, value)
    return template


def _time(milliseconds: Any) -> datetime:
    """Return a time; the beginning of the epoch where the value is not a time."""
    number = milliseconds if isinstance(milliseconds, (int, float)) and 0 <= milliseconds < 2**53 else 0
    try:
        return datetime.fromtimestamp(number / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
