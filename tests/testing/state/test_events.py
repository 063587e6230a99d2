"""events: EventBridge's events about the tasks of the local ECS."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing import AwsError, Behaviour, Engine

Json = dict[str, Any]


class Clock:
    """A clock that the test sets."""

    now = 1_000_000_000.25

    def __call__(self) -> float:
        return self.now


def engine_with_events(definition: str = "demo", **behaviour: Any) -> tuple[Engine, Clock, list[Json]]:
    """Return an engine with an instance, its clock, and the list of its events."""
    clock, events = Clock(), list[Json]()
    engine = Engine(clock=clock, behaviour=Behaviour(**behaviour))
    engine.add_cluster()
    engine.add_instances(1)
    engine.add_task_definition("demo")
    engine.add_task_definition("broken", fails_to_start="CannotPullContainerError")
    engine.listen(events.append)
    start(engine, definition)
    return engine, clock, events


def start(engine: Engine, definition: str = "demo") -> str:
    request = {"taskDefinition": definition, "containerInstances": engine.instance_arns(), "startedBy": "job"}
    (task,) = engine.call("StartTask", request)["tasks"]
    arn: str = task["taskArn"]
    engine.advance()
    return arn


def steps(events: list[Json]) -> list[tuple[str, int]]:
    return [(event["detail"]["lastStatus"], event["detail"]["version"]) for event in events]


def test_each_version_has_an_event() -> None:
    """From PENDING to STOPPED, with the time of each step, even if it is executed later."""
    engine, clock, events = engine_with_events(pending_seconds=2.0, running_seconds=3.0, exit_code=7)
    assert engine.advance() == clock.now + 2
    clock.now += 10
    due = engine.advance()
    assert due is not None
    assert due > clock.now + 3000  # only the removal of the task
    assert steps(events) == [("PENDING", 1), ("RUNNING", 2), ("STOPPING", 3), ("STOPPED", 4)]
    assert [event["detail"]["updatedAt"][17:] for event in events] == ["40.250Z", "42.250Z", "45.250Z", "45.250Z"]
    assert events[-1]["detail"]["containers"][0]["exitCode"] == 7


def test_an_event_has_eventbridge_s_form() -> None:
    """The envelope, the task as in DescribeTasks but with ISO times, and its own id."""
    engine, _, events = engine_with_events()
    first, second = events
    (task,) = engine.call("DescribeTasks", {"tasks": [first["resources"][0]]})["tasks"]
    assert {name: value for name, value in second.items() if name not in ("detail", "id")} == {
        "version": "0",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": "123456789012",
        "time": "2001-09-09T01:46:40Z",
        "region": "us-east-1",
        "resources": [task["taskArn"]],
    }
    assert first["id"] != second["id"]
    assert second["detail"]["startedAt"] == "2001-09-09T01:46:40.250Z"
    plain = {name: value for name, value in second["detail"].items() if not name.endswith("At")}
    assert plain == {name: value for name, value in task.items() if not name.endswith("At")}


@pytest.mark.parametrize("how", ["StopTask", "end_task", "broken"])
def test_every_way_to_end(how: str) -> None:
    """A task that is stopped, ends by itself, or never starts: each has all its events, once."""
    engine, clock, events = engine_with_events(
        "broken" if how == "broken" else "demo", pending_seconds=1.0, stopping_seconds=1.0
    )
    arn = events[0]["resources"][0]
    if how == "StopTask":
        engine.call("StopTask", {"task": arn})
        engine.call("StopTask", {"task": arn})
    elif how == "end_task":
        engine.end_task(arn)
    clock.now += 10
    engine.advance()
    assert steps(events) == [("PENDING", 1), ("STOPPING", 2), ("STOPPED", 3)]


def test_without_a_change_there_is_no_event() -> None:
    """A refused start, and a read."""
    engine, _, events = engine_with_events()
    before = len(events)
    with pytest.raises(AwsError):
        engine.call("StartTask", {"taskDefinition": "nobody", "containerInstances": engine.instance_arns()})
    engine.call("ListTasks")
    assert len(events) == before


def test_listeners_can_be_added_and_removed() -> None:
    """Each gets all events until it is removed; removing it twice is no error."""
    engine, _, events = engine_with_events()
    more: list[Json] = []
    stop = engine.listen(more.append)
    start(engine)
    stop()
    stop()
    start(engine)
    assert (len(events), len(more)) == (6, 2)
