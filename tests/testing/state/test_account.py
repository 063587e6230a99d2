"""account: the clock, finding resources, and the steps that are due."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing import Behaviour, Engine, LocalTask
from aioecs.testing._state.account import ExitCode, Seconds

Json = dict[str, Any]


class Lab:
    """An engine with one instance and a clock that the test sets."""

    def __init__(self, **behaviour: Any) -> None:
        self.now = 1000.0
        self.engine = Engine(clock=lambda: self.now, behaviour=Behaviour(**behaviour))
        self.engine.add_cluster()
        self.engine.add_instances()
        self.engine.add_task_definition("demo")
        self.engine.add_task_definition("bad", fails_to_start="no image")

    def start(self, family: str = "demo") -> str:
        """Start a task and return its ARN."""
        request = {"taskDefinition": family, "containerInstances": self.engine.instance_arns()}
        arn: str = self.engine.call("StartTask", request)["tasks"][0]["taskArn"]
        return arn

    def status_at(self, arn: str, at: float) -> str:
        """Return the status of a task at 1000 plus `at` seconds; "gone" if it is MISSING."""
        self.now = 1000.0 + at
        tasks = self.engine.call("DescribeTasks", {"tasks": [arn]})["tasks"]
        return str(tasks[0]["lastStatus"]) if tasks else "gone"


def length_of_family(task: LocalTask) -> float:
    """Return a second per letter of the family's name."""
    return float(len(task.family))


def one_second(_: LocalTask) -> float:
    """Return one second."""
    return 1.0


def number(task: LocalTask) -> int:
    """Return the sequence number of a task."""
    return task.seq


@pytest.mark.parametrize(
    ("pending", "running", "statuses"),
    [
        (0.0, None, {0: "RUNNING", 99999: "RUNNING"}),
        (2.0, None, {0: "PENDING", 1.9: "PENDING", 2: "RUNNING"}),
        (2.0, 3.0, {1.9: "PENDING", 2: "RUNNING", 4.9: "RUNNING", 5: "STOPPED", 3604.9: "STOPPED", 3605: "gone"}),
        (2.0, 3.0, {10: "STOPPED"}),
        (0.0, 0.0, {0: "STOPPED"}),
        (None, 3.0, {99999: "PENDING"}),
        ({"demo": 2.0}, {"demo": 3.0}, {1: "PENDING", 2: "RUNNING", 5: "STOPPED"}),
        ({"other": 2.0}, {"other": 3.0}, {0: "RUNNING", 99: "RUNNING"}),
        (length_of_family, one_second, {3.9: "PENDING", 4: "RUNNING", 5: "STOPPED"}),
    ],
)
def test_a_task_follows_the_clock(pending: Seconds, running: Seconds, statuses: dict[float, str]) -> None:
    """Its status depends on the time only, not on when it is read; an hour after its end it is removed."""
    lab = Lab(pending_seconds=pending, running_seconds=running)
    arn = lab.start()
    assert {at: lab.status_at(arn, at) for at in statuses} == statuses


def test_each_step_has_the_time_it_was_due() -> None:
    """Not the time of the request that executed it."""
    lab = Lab(pending_seconds=2.0, running_seconds=3.0)
    arn = lab.start()
    lab.now = 2000.0
    task = lab.engine.call("DescribeTasks", {"tasks": [arn]})["tasks"][0]
    assert (task["createdAt"], task["startedAt"], task["stoppedAt"]) == (1000.0, 1002.0, 1005.0)
    assert (task["stopCode"], task["containers"][0]["exitCode"], task["version"]) == ("EssentialContainerExited", 0, 4)


@pytest.mark.parametrize(("given", "code"), [(3, 3), ({"demo": 4}, 4), ({"other": 4}, 0), (number, 2)])
def test_a_task_ends_with_the_exit_code_it_was_given(given: ExitCode, code: int) -> None:
    """For all tasks, by family, or from a function."""
    lab = Lab(running_seconds=1.0, exit_code=given)
    arn = lab.start()
    lab.now += 1
    assert lab.engine.call("DescribeTasks", {"tasks": [arn]})["tasks"][0]["containers"][0]["exitCode"] == code


@pytest.mark.parametrize(
    ("stopping", "statuses"),
    [
        (0.0, {0: "STOPPED"}),
        (5.0, {0: "STOPPING", 4.9: "STOPPING", 5: "STOPPED"}),
        (None, {99999: "STOPPING"}),
    ],
)
def test_stopping_a_task_takes_the_given_time(stopping: Seconds, statuses: dict[float, str]) -> None:
    """Its resources are free once it has stopped, and it never reaches its normal end."""
    lab = Lab(stopping_seconds=stopping, running_seconds=1.0)
    arn = lab.start()
    assert lab.status_at(arn, 0) == "RUNNING"
    lab.engine.call("StopTask", {"task": arn})
    for at, status in statuses.items():
        assert lab.status_at(arn, at) == status
        free = lab.engine.call("DescribeContainerInstances", {"containerInstances": lab.engine.instance_arns()})
        used = 4096 - free["containerInstances"][0]["remainingResources"][0]["integerValue"]
        assert used == (0 if status == "STOPPED" else 10)


def test_stopping_twice_is_stopping_once() -> None:
    """The first reason is kept; an unknown task is an InvalidParameterException."""
    lab = Lab(stopping_seconds=5.0, running_seconds=1.0)
    arn = lab.start()
    assert lab.status_at(arn, 0) == "RUNNING"
    for reason in ("first", "second"):
        task = lab.engine.call("StopTask", {"task": arn, "reason": reason})["task"]
        assert (task["lastStatus"], task["stoppedReason"], task["version"]) == ("STOPPING", "first", 3)
    answer = lab.engine.answer("StopTask", {"task": "f" * 32})
    assert (answer.error, answer.body["message"]) == ("InvalidParameterException", "The referenced task was not found.")


def test_a_pending_task_stops_at_once_and_never_runs() -> None:
    """There is no container to wait for."""
    lab = Lab(pending_seconds=2.0, stopping_seconds=60.0)
    arn = lab.start()
    lab.engine.call("StopTask", {"task": arn})
    assert [lab.status_at(arn, at) for at in (0, 2, 99)] == ["STOPPED"] * 3


def test_a_task_that_can_not_start_ends_instead() -> None:
    """Unless it was stopped before."""
    lab = Lab(pending_seconds=2.0)
    failed, stopped = lab.start("bad"), lab.start("bad")
    lab.engine.call("StopTask", {"task": stopped})
    assert (lab.status_at(failed, 1), lab.status_at(failed, 2)) == ("PENDING", "STOPPED")
    codes = [lab.engine.truth.task(arn) for arn in (failed, stopped)]
    assert [task.stop_code if task else None for task in codes] == ["TaskFailedToStart", "UserInitiated"]


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("demo", None),
        ("demo:1", None),
        ("demo:2", "ClientException"),
        ("demo:0", "ClientException"),
        ("no", "ClientException"),
    ],
)
def test_a_definition_is_found_by_family_or_revision(identifier: str, code: str | None) -> None:
    """Revisions count from 1."""
    lab = Lab()
    answer = lab.engine.answer("DescribeTaskDefinition", {"taskDefinition": identifier})
    assert answer.error == code


def test_a_family_means_its_latest_active_revision() -> None:
    """An inactive revision starts nothing, but can be described by name."""
    lab = Lab()
    second = lab.engine.add_task_definition("demo")
    assert lab.engine.call("DescribeTaskDefinition", {"taskDefinition": "demo"})["taskDefinition"]["revision"] == 2
    lab.engine.deregister_task_definition(second)
    assert lab.engine.call("DescribeTaskDefinition", {"taskDefinition": "demo"})["taskDefinition"]["revision"] == 1
    assert (
        lab.engine.call("DescribeTaskDefinition", {"taskDefinition": second})["taskDefinition"]["status"] == "INACTIVE"
    )
    request = {"taskDefinition": second, "containerInstances": lab.engine.instance_arns()}
    answer = lab.engine.answer("StartTask", request)
    assert (answer.error, answer.body["message"]) == ("ClientException", "TaskDefinition is inactive")
    lab.engine.deregister_task_definition("demo:1")
    assert lab.engine.answer("StartTask", {**request, "taskDefinition": "demo"}).error == "ClientException"


def test_an_unknown_cluster_is_not_found() -> None:
    """With its own error code."""
    answer = Lab().engine.answer("ListTasks", {"cluster": "nowhere"})
    assert (answer.status, answer.body) == (
        400,
        {"__type": "ClusterNotFoundException", "message": "Cluster not found."},
    )


def test_the_same_seed_gives_the_same_ids() -> None:
    """Another seed gives others."""
    arns = []
    for seed in (1, 1, 2):
        engine = Engine(seed=seed, clock=lambda: 0.0)
        engine.add_cluster()
        arns.append(engine.add_instances(2))
    assert arns[0] == arns[1] != arns[2]


@pytest.mark.parametrize("member", ["started_by_with_status", "draining"])
def test_an_unknown_value_of_a_behaviour_is_refused(member: str) -> None:
    """The message names the option."""
    with pytest.raises(ValueError, match=member):
        Behaviour(**{member: "perhaps"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
