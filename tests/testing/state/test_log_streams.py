"""log_streams: what tasks of the local ECS write, and where."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing import AwsError, Behaviour, Engine

GROUP = {"awslogs-group": "g"}


def engine_with(options: dict[str, str], **behaviour: Any) -> tuple[Engine, list[float]]:
    """Return an engine on a clock that is set by hand, and that clock."""
    clock = [1000.0]
    engine = Engine(clock=lambda: clock[0], behaviour=Behaviour(**behaviour))
    engine.add_cluster()
    engine.add_instances()
    log = {"logDriver": "awslogs", "options": options}
    containers = [{"name": "main", "memory": 4, "logConfiguration": log}, {"name": "quiet", "memory": 4}]
    engine.add_task_definition("demo", containers=containers)
    return engine, clock


def start(engine: Engine) -> str:
    request = {"taskDefinition": "demo", "containerInstances": engine.instance_arns()}
    arn: str = engine.call("StartTask", request)["tasks"][0]["taskArn"]
    return arn


def test_scripted_output() -> None:
    """Each line at its time after the start, and none after the end."""
    output = [(1.0, "one"), (2.0, "two"), (9.0, "never")]
    engine, clock = engine_with({**GROUP, "awslogs-stream-prefix": "p"}, running_seconds=5.0, output=output)
    arn = start(engine)
    request = {"logGroupName": "g", "logStreamName": f"p/main/{arn.rpartition('/')[2]}", "startFromHead": True}
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        engine.call("GetLogEvents", request)
    clock[0] += 1.5
    assert [each["message"] for each in engine.call("GetLogEvents", request)["events"]] == ["one"]
    clock[0] += 30
    events = engine.call("GetLogEvents", request)["events"]
    assert [(each["timestamp"], each["message"]) for each in events] == [(1001000, "one"), (1002000, "two")]


def test_output_of_each_task() -> None:
    """Asked for the task; without a prefix the stream has the container's runtime id."""
    engine, clock = engine_with(GROUP, output=lambda task: [(0.0, task.family)])
    arn = start(engine)
    clock[0] += 1
    (task,) = engine.call("DescribeTasks", {"tasks": [arn]})["tasks"]
    stream = task["containers"][0]["runtimeId"]
    (event,) = engine.call("GetLogEvents", {"logGroupName": "g", "logStreamName": stream})["events"]
    assert event["message"] == "demo"


def test_a_container_whose_log_goes_elsewhere() -> None:
    """It can't be written to here."""
    engine, _ = engine_with({"other": "x"})
    arn = start(engine)
    for container in ("main", "quiet", "none"):
        with pytest.raises(AwsError, match="awslogs"):
            engine.write_log(arn, "text", container=container)
