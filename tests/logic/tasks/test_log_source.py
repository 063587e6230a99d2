"""log_source: where a container's log is, and what its events say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aioecs._logic.tasks.log_source import LogSource, log_drivers, log_sources
from aioecs._model import Container, ContainerDefinition, Task, TaskDefinition
from aioecs._model.shapes.definition.container_settings import LogConfiguration

TASK = Task(
    task_arn="arn:aws:ecs:eu-west-1:123456789012:task/render/abc",
    cluster_arn="arn:aws:ecs:eu-west-1:123456789012:cluster/render",
    containers=[Container(name="main", runtime_id="docker-id")],
)


def sources(driver: str | None, options: dict[str, str], container: str | None = None) -> list[LogSource]:
    """Return the sources of a definition with one container."""
    config = LogConfiguration(log_driver=driver, options=options) if driver is not None else None
    definition = TaskDefinition(container_definitions=[ContainerDefinition(name="main", log_configuration=config)])
    return log_sources(TASK, definition, container)


@pytest.mark.parametrize(
    ("driver", "options", "group", "stream", "json"),
    [
        ("awslogs", {"awslogs-group": "g", "awslogs-stream-prefix": "p"}, "g", "p/main/abc", False),
        ("awslogs", {"awslogs-group": "g"}, "g", "docker-id", False),
        ("awslogs", {}, None, None, False),
        (
            "awsfirelens",
            {"Name": "cloudwatch", "log_group_name": "g", "log_stream_prefix": "p-"},
            "g",
            "p-main-firelens-abc",
            True,
        ),
        ("awsfirelens", {"Name": "cloudwatch_logs", "log_group_name": "g", "log_stream_name": "s"}, "g", "s", True),
        (
            "awsfirelens",
            {"Name": "cloudwatch", "log_group_name": "$(ecs_cluster)", "log_stream_name": "x/$(ecs_task_id)"},
            "render",
            "x/abc",
            True,
        ),
        (
            "awsfirelens",
            {"Name": "cloudwatch", "log_group_name": "g", "log_stream_name": "s", "log_key": "log"},
            "g",
            "s",
            False,
        ),
        ("awsfirelens", {"Name": "firehose"}, None, None, False),
        ("awsfirelens", {"Name": "cloudwatch"}, None, None, False),
        ("splunk", {}, None, None, False),
        (None, {}, None, None, False),
    ],
)
def test_where_it_is(driver: str | None, options: dict[str, str], group: Any, stream: Any, json: bool) -> None:
    """By the log driver and its options; others have no stream in CloudWatch Logs."""
    found = sources(driver, options)
    assert [(each.group, each.stream, each.json) for each in found] == ([(group, stream, json)] if group else [])


def test_one_container_alone() -> None:
    """By its name; the Region is the option's."""
    options = {"awslogs-group": "g", "awslogs-stream-prefix": "p", "awslogs-region": "us-west-2"}
    assert [each.region for each in sources("awslogs", options, "main")] == ["us-west-2"]
    assert sources("awslogs", options, "other") == []


def test_the_drivers_are_named() -> None:
    """For the message where none is in CloudWatch Logs."""
    config = LogConfiguration(log_driver="splunk")
    containers = [ContainerDefinition(name="a", log_configuration=config), ContainerDefinition(name="b")]
    assert log_drivers(TaskDefinition(container_definitions=containers)) == "none, splunk"


@pytest.mark.parametrize(
    ("json", "message", "text"),
    [
        (False, "plain", "plain"),
        (False, '{"log": "x"}', '{"log": "x"}'),
        (True, '{"log": "from firelens\\n", "source": "stdout"}', "from firelens"),
        (True, '{"other": 1}', '{"other": 1}'),
        (True, "{broken", "{broken"),
        (True, "plain\n", "plain"),
        (False, None, ""),
    ],
)
def test_the_text_of_an_event(json: bool, message: Any, text: str) -> None:
    """What the container wrote, however it is packed."""
    line = LogSource("main", "g", "s", json=json).line({"timestamp": 1_700_000_000_123, "message": message})
    assert (line.container, line.text) == ("main", text)
    assert line.time == datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)
    assert "plain" not in repr(line)


@pytest.mark.parametrize("timestamp", [None, "x", -1, 2**60, 2**52])
def test_a_time_that_is_none(timestamp: Any) -> None:
    """It is the beginning of the epoch, and no error."""
    assert LogSource("main", "g", "s").line({"timestamp": timestamp}).time == datetime.fromtimestamp(0, UTC)
