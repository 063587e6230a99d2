"""truth: what really happened."""

from __future__ import annotations

import json
from typing import Any

import attrs

from aioecs.testing import Behaviour, Engine
from aioecs.testing._state.truth import History, Truth


def engine(**behaviour: Any) -> Engine:
    """Return an engine with two instances and a fixed time."""
    made = Engine(clock=lambda: 1000.0, behaviour=Behaviour(**behaviour))
    made.add_cluster()
    made.add_instances(2)
    made.add_task_definition("demo")
    return made


def start(made: Engine, token: str | None, *instances: str) -> list[str]:
    """Start tasks and return their ARNs."""
    request: dict[str, Any] = {"taskDefinition": "demo", "containerInstances": list(instances)}
    if token is not None:
        request["startedBy"] = token
    return [task["taskArn"] for task in made.call("StartTask", request)["tasks"]]


def test_every_start_and_stop_is_recorded() -> None:
    """With its request, its effect and its answer; reads are only counted."""
    made = engine()
    one, two = made.instance_arns()
    tasks = start(made, "token", one, two, "f" * 32)
    made.call("StopTask", {"task": tasks[0].rsplit("/", 1)[-1], "reason": "why"})
    made.answer("StartTask", {"taskDefinition": "gone", "containerInstances": [one]})
    made.call("RunTask", {"taskDefinition": "demo", "clientToken": "c", "startedBy": "run"})
    made.call("ListTasks")
    started, stopped, refused, ran = made.truth.calls()
    assert (started.number, started.operation, started.at, started.token) == (1, "StartTask", 1000.0, "token")
    assert started.instances == (one, two, "f" * 32)
    assert set(started.tasks) == set(tasks)
    assert started.failures == ((made.instance_arns()[0].rsplit("/", 1)[0] + "/" + "f" * 32, "MISSING"),)
    assert (started.executed, started.answered, started.error, started.fault) == (True, True, None, None)
    assert (stopped.operation, stopped.stopped, stopped.tasks) == ("StopTask", tasks[0], ())
    assert (refused.error, refused.tasks, refused.executed) == ("ClientException", (), True)
    assert (ran.client_token, len(ran.tasks), ran.instances) == ("c", 1, ())
    assert made.truth.calls("StopTask") == [stopped]
    assert made.truth.sends("token") == [started]
    assert made.truth.requests == {"StartTask": 2, "StopTask": 1, "RunTask": 1, "ListTasks": 1}


def test_a_malformed_request_is_recorded_as_far_as_it_is_valid() -> None:
    """Whatever it contains."""
    made = engine()
    made.answer("StartTask", {"startedBy": 3, "containerInstances": "x"})
    made.answer("StartTask", {"containerInstances": ["a", 3]})
    first, second = made.truth.calls()
    assert (first.token, first.instances, first.error) == (None, (), "SerializationException")
    assert second.instances == ("a",)


def test_tasks_are_kept_forever() -> None:
    """Even after ECS has removed them; each names the call that created it."""
    now = [1000.0]
    made = Engine(clock=lambda: now[0])
    made.add_cluster()
    made.add_instances(1)
    made.add_task_definition("demo")
    (arn,) = start(made, "token", *made.instance_arns())
    task = made.truth.task(arn)
    assert task is not None
    assert (task.live, task.call, task.started_by, task.last_status, task.started_at) == (
        True,
        1,
        "token",
        "RUNNING",
        1000.0,
    )
    assert made.truth.running() == made.truth.tasks() == made.truth.started_by("token") == [task]
    made.call("StopTask", {"task": arn})
    now[0] += 9999.0
    assert made.call("DescribeTasks", {"tasks": [arn]})["tasks"] == []
    assert made.truth.running() == []
    (again,) = made.truth.tasks()
    assert (again.live, again.stopped_at, again.stop_code) == (False, 1000.0, "UserInitiated")
    assert made.truth.task("other") is None
    assert made.truth.started_by("other") == []
    assert made.truth.tasks_by_token() == {"token": [arn]}


def test_a_task_that_no_call_requested_is_a_duplicate() -> None:
    """Per token and instance: more tasks than the call that requested most."""
    made = engine()
    one, two = made.instance_arns()
    start(made, "twice", one, one)
    start(made, None, one)
    start(made, None, one)
    assert made.truth.duplicates() == []
    first = start(made, "again", one, two)
    second = start(made, "again", one.rsplit("/", 1)[-1])
    (duplicate,) = made.truth.duplicates()
    assert (duplicate.token, duplicate.container_instance_arn, duplicate.asked) == ("again", one, 1)
    assert set(duplicate.tasks) == {second[0], *(arn for arn in first if arn in duplicate.tasks)}
    assert len(duplicate.tasks) == 2
    made.call("StopTask", {"task": second[0]})
    assert made.truth.duplicates(live_only=True) == []
    assert len(made.truth.duplicates()) == 1


def test_a_retry_for_the_others_is_no_duplicate() -> None:
    """The tasks that one call requested may start in two calls."""
    made = Engine(clock=lambda: 0.0)
    made.add_cluster()
    made.add_instances(1, cpu=10)
    made.add_task_definition("demo")
    (one,) = made.instance_arns()
    (first,) = start(made, "token", one, one)
    made.call("StopTask", {"task": first})
    start(made, "token", one)
    assert made.truth.duplicates() == []


def test_run_task_requests_its_count() -> None:
    """Its request names no instance."""
    made = engine()
    made.call("RunTask", {"taskDefinition": "demo", "count": 4, "startedBy": "run"})
    assert made.truth.duplicates() == []
    made.call("RunTask", {"taskDefinition": "demo", "count": 1, "startedBy": "run"})
    assert len(made.truth.duplicates()) == 1


def test_the_truth_as_json() -> None:
    """All of it, for another process; its repr has the counts."""
    made = engine(running_seconds=0.0)
    one, _ = made.instance_arns()
    start(made, "token", one)
    start(made, "token", one)
    written = json.loads(json.dumps(made.truth.as_json()))
    assert set(written) == {"tasks", "calls", "dropped", "requests", "throttled", "duplicates"}
    assert written["calls"] == [{**attrs.asdict(call), "instances": [one], "tasks": list(call.tasks), "failures": []}
                             for call in made.truth.calls()]  # fmt: skip
    assert [task["last_status"] for task in written["tasks"]] == ["STOPPED", "STOPPED"]
    assert (written["requests"], len(written["duplicates"])) == ({"StartTask": 2}, 1)
    assert repr(made.truth) == "Truth(calls=2, tasks=2, requests=2)"


def test_run_tasks_of_one_token_are_counted_together() -> None:
    """On any instance: two calls with count 1 that placed a task each are one task too many."""
    made = engine()
    for _ in range(2):
        made.call("RunTask", {"taskDefinition": "demo", "startedBy": "run"})
    (duplicate,) = made.truth.duplicates()
    assert len({task.container_instance_arn for task in made.truth.tasks()}) == 2
    assert (duplicate.container_instance_arn, duplicate.asked, len(duplicate.tasks)) == ("", 1, 2)


def test_refused_calls_are_kept_in_part() -> None:
    """Long texts are truncated; the last ten thousand are kept, and all that started something."""
    made = engine()
    one, _ = made.instance_arns()
    start(made, "kept", one)
    huge = {"startedBy": "x" * 400_000, "containerInstances": ["y" * 1000] * 400, "clientToken": "z" * 400_000}
    for number in range(10_020):
        made.answer("StartTask" if number % 2 else "RunTask", huge)
        made.answer("Odd" * 1000 + str(number), {})
    made.call("StopTask", {"task": made.truth.tasks()[0].arn})
    written = made.truth.as_json()
    assert (written["dropped"], made.truth.dropped, len(written["calls"])) == (20, 20, 10_002)
    assert [call["operation"] for call in (written["calls"][0], written["calls"][-1])] == ["StartTask", "StopTask"]
    assert written["calls"][1]["number"] == 22
    assert max(len(json.dumps(call)) for call in written["calls"]) < 5000
    assert len(written["requests"]) < 510
    assert sum(written["requests"].values()) == 20_042
    assert made.truth.sends("x" * 300 + "…")


def test_an_empty_history_has_nothing() -> None:
    """And needs no engine."""
    truth = Truth(History())
    assert (truth.tasks(), truth.calls(), truth.duplicates(), truth.throttled.total()) == ([], [], [], 0)
