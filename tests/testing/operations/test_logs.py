"""logs: pages of GetLogEvents and FilterLogEvents, as CloudWatch Logs gives them."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing import AwsError, Engine

LOG = {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-stream-prefix": "p"}}


@pytest.fixture
def engine() -> Engine:
    """Return an engine with one task that has written ten lines, a second apart."""
    clock = iter(range(1000, 10_000))
    engine = Engine(clock=lambda: float(next(clock)))
    engine.add_cluster()
    engine.add_instances()
    engine.add_task_definition("demo", containers=[{"name": "main", "memory": 4, "logConfiguration": LOG}])
    arn = start(engine)
    for number in range(10):
        engine.write_log(arn, str(number))
    return engine


def start(engine: Engine) -> str:
    request = {"taskDefinition": "demo", "containerInstances": engine.instance_arns()}
    arn: str = engine.call("StartTask", request)["tasks"][0]["taskArn"]
    return arn


def streams(engine: Engine) -> list[str]:
    return [f"p/main/{task.arn.rpartition('/')[2]}" for task in engine.truth.tasks()]


def page(engine: Engine, **members: Any) -> tuple[str, Any]:
    request = {"logGroupName": "g", "logStreamName": streams(engine)[0], **members}
    answer = engine.call("GetLogEvents", request)
    return "".join(each["message"] for each in answer["events"]), answer


def test_forward(engine: Engine) -> None:
    """To the end, where the token stays the same; what is written then comes after it."""
    text, answer = page(engine, startFromHead=True, limit=4)
    assert text == "0123"
    text, answer = page(engine, nextToken=answer["nextForwardToken"], limit=8)
    assert text == "456789"
    token = answer["nextForwardToken"]
    text, answer = page(engine, nextToken=token)
    assert (text, answer["nextForwardToken"]) == ("", token)
    engine.write_log(engine.truth.tasks()[0].arn, "x")
    assert page(engine, nextToken=token)[0] == "x"


def test_backward(engine: Engine) -> None:
    """Without startFromHead it is the last lines, and the token before them."""
    text, answer = page(engine, limit=3)
    assert text == "789"
    assert page(engine, nextToken=answer["nextBackwardToken"], limit=3)[0] == "456"


def test_between_times(engine: Engine) -> None:
    """The start is within, the end is not."""
    first = page(engine, startFromHead=True)[1]["events"][2]["timestamp"]
    assert page(engine, startTime=first, startFromHead=True)[0] == "23456789"
    assert page(engine, startTime=first, endTime=first + 1, startFromHead=True)[0] == "2"


def test_several_streams(engine: Engine) -> None:
    """In the order of the times, each event with its stream and id; pages end without a token."""
    engine.write_log(start(engine), "other")
    request = {"logGroupName": "g", "logStreamNames": streams(engine), "limit": 6}
    first = engine.call("FilterLogEvents", request)
    second = engine.call("FilterLogEvents", {**request, "nextToken": first["nextToken"]})
    events = first["events"] + second["events"]
    assert "".join(each["message"] for each in events) == "0123456789other"
    assert len({each["eventId"] for each in events}) == 11
    assert "nextToken" not in second
    everything = engine.call("FilterLogEvents", {"logGroupName": "g"})["events"]
    assert [each["logStreamName"] for each in everything] == [each["logStreamName"] for each in events]


def test_streams_of_a_prefix(engine: Engine) -> None:
    """Those that there are; none is no error, while a stream that is named must exist."""
    request = {"logGroupName": "g", "logStreamNamePrefix": "p/main/", "limit": 6}
    first = engine.call("FilterLogEvents", request)
    second = engine.call("FilterLogEvents", {**request, "nextToken": first["nextToken"]})
    assert "".join(each["message"] for each in first["events"] + second["events"]) == "0123456789"
    assert engine.call("FilterLogEvents", {"logGroupName": "g", "logStreamNamePrefix": "q"})["events"] == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"logStreamNames": ["none"]}, "ResourceNotFoundException"),
        ({"logStreamNames": ["p"] * 101}, "InvalidParameterException"),
        ({"logStreamNames": ["p"], "logStreamNamePrefix": "p"}, "InvalidParameterException"),
    ],
)
def test_what_filter_log_events_refuses(engine: Engine, members: dict[str, Any], code: str) -> None:
    """By the service's codes."""
    with pytest.raises(AwsError) as refused:
        engine.call("FilterLogEvents", {"logGroupName": "g", **members})
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"logStreamName": "none"}, "ResourceNotFoundException"),
        ({"logStreamName": None}, "InvalidParameterException"),
        ({"nextToken": "x"}, "InvalidParameterException"),
        ({"limit": 0}, "InvalidParameterException"),
    ],
)
def test_what_is_refused(engine: Engine, members: dict[str, Any], code: str) -> None:
    """By the service's codes."""
    with pytest.raises(AwsError) as caught:
        page(engine, **members)
    assert caught.value.code == code
