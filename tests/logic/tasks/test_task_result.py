"""task_result: whether a task succeeded, judged by its essential containers, and why it ended."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

from aioecs._logic.tasks.task_result import essential_containers, task_result
from aioecs._model.shapes.container import Container
from aioecs._model.shapes.definition.container_definition import ContainerDefinition
from aioecs._model.shapes.definition.task_definition import TaskDefinition
from aioecs._model.shapes.task import Task
from aioecs._model.task_result import ContainerResult, TaskEndCause, TaskResult
from aioecs.errors import InvalidRequest

THEN = datetime(2026, 11, 25, tzinfo=UTC)
ARN = "arn:aws:ecs:eu-west-1:123456789012:task/render/86f7"
DEFINITION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/frame:42"

EXITED, USER, SERVICE = "EssentialContainerExited", "UserInitiated", "ServiceSchedulerInitiated"
NOT_STARTED, SPOT, NOTICE, HEALTH = "TaskFailedToStart", "SpotInterruption", "TerminationNotice", "InfrastructureHealth"
OOM = "OutOfMemoryError: Container killed due to memory usage"
PULL = "CannotPullContainerError: pull image manifest has been retried 5 time(s): not found"
SLOW = "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"
Cause = TaskEndCause


def c(name: str, code: Any = None, reason: str | None = None) -> Container:
    return Container(name=name, exit_code=code, reason=reason, last_status="STOPPED")


def ended(stop_code: Any, *containers: Any, **more: Any) -> Task:
    """Return a stopped task that ran, unless said otherwise."""
    members: dict[str, Any] = {"started_at": THEN, "last_status": "STOPPED", **more}
    return Task(task_arn=ARN, task_definition_arn=DEFINITION, stop_code=stop_code, containers=containers, **members)


def of(**essential: bool | None) -> TaskDefinition:
    """Return a definition of containers by name, each with what it says of being essential."""
    defined = [ContainerDefinition(name=name, essential=flag) for name, flag in essential.items()]
    return TaskDefinition(task_definition_arn=DEFINITION, container_definitions=defined)


def never(stop_code: Any, *containers: Any, **more: Any) -> Task:
    return ended(stop_code, *containers, started_at=None, **more)


BOTH = of(main=True, side=None)  # absent is essential
SIDECAR = of(main=True, side=False)
INIT = of(init=False, app=True)

# What, the task, its definition, the container asked for; whether it succeeded, exit code, cause.
Row = tuple[str, Task, TaskDefinition | None, str | None, bool | None, int | None, Any]
TABLE: list[Row] = [
    # One container: it is essential, whoever says so.
    ("done", ended(EXITED, c("main", 0)), None, None, True, 0, Cause.EXITED),
    ("failed", ended(EXITED, c("main", 3)), None, None, False, 3, Cause.EXITED),
    ("failed with the definition", ended(EXITED, c("main", 3)), of(main=True), None, False, 3, Cause.EXITED),
    ("killed by a signal", ended(EXITED, c("main", 137)), None, None, False, 137, Cause.EXITED),
    ("terminated by a signal", ended(EXITED, c("main", 143)), None, None, False, 143, Cause.EXITED),
    ("crashed", ended(EXITED, c("main", 139)), None, None, False, 139, Cause.EXITED),
    ("a Windows status", ended(EXITED, c("main", -1073741510)), None, None, False, -1073741510, Cause.EXITED),
    ("out of memory", ended(EXITED, c("main", 137, OOM)), None, None, False, 137, Cause.OUT_OF_MEMORY),
    ("out of memory, no code", ended(EXITED, c("main", None, OOM)), None, None, False, None, Cause.OUT_OF_MEMORY),
    ("memory in prose only", ended(EXITED, c("main", 1, "ran out of memory")), None, None, False, 1, Cause.EXITED),
    ("no exit code", ended(EXITED, c("main")), None, None, False, None, Cause.UNKNOWN),
    ("no exit code, agent gone", ended(None, c("main"), connectivity="DISCONNECTED"), None, None, False, None,
     Cause.HOST_LOST),
    ("lost by Docker", ended(EXITED, c("main", None, "DockerStateError: no such container")), None, None, False, None,
     Cause.RUNTIME_ERROR),
    ("not stopped in time", ended(EXITED, c("main", None, SLOW)), None, None, False, None, Cause.RUNTIME_ERROR),
    ("deleted", ended(EXITED, c("main", 0), last_status="DELETED"), None, None, True, 0, Cause.EXITED),
    ("no stop code, 0", ended(None, c("main", 0)), None, None, True, 0, Cause.UNKNOWN),
    ("no stop code, 2", ended("", c("main", 2)), None, None, False, 2, Cause.EXITED),
    ("an unknown stop code, 0", ended("Hibernated", c("main", 0)), None, None, None, None, "Hibernated"),
    ("an unknown stop code, 5", ended("Hibernated", c("main", 5)), None, None, False, 5, "Hibernated"),
    # Never ran.
    ("image not found", never(NOT_STARTED, c("main", None, PULL)), None, None, False, None, Cause.FAILED_TO_START),
    ("no network interface", never(NOT_STARTED, c("main"), stopped_reason="Timeout waiting for network interface"),
     None, None, False, None, Cause.FAILED_TO_START),
    ("never had containers", never(NOT_STARTED), None, None, False, None, Cause.FAILED_TO_START),
    ("never had containers, defined", never(NOT_STARTED), BOTH, None, False, None, Cause.FAILED_TO_START),
    ("the container asked for never was", never(NOT_STARTED), None, "main", False, None, Cause.FAILED_TO_START),
    ("start timed out", never(NOT_STARTED, c("main", None, SLOW)), None, None, False, None, Cause.START_TIMEOUT),
    ("start timed out on containerd", never(NOT_STARTED, c("main", None, "ContainerRuntimeTimeoutError: x")), None,
     None, False, None, Cause.START_TIMEOUT),
    ("start timed out beside 0", never(EXITED, c("main", None, SLOW), c("side", 0)), BOTH, None, False, None,
     Cause.START_TIMEOUT),
    ("start timed out beside a killed one", never(EXITED, c("main", None, SLOW), c("side", 137)), BOTH, None, False,
     None, Cause.START_TIMEOUT),
    ("one of two not pulled", never(NOT_STARTED, c("main"), c("side", None, PULL)), BOTH, None, False, None,
     Cause.FAILED_TO_START),
    ("failed to start beside 0", never(NOT_STARTED, c("main", None, PULL), c("side", 0)), None, None, False, None,
     Cause.FAILED_TO_START),
    ("memory too small to start", never(NOT_STARTED, c("main", 137, OOM)), None, None, False, 137, Cause.OUT_OF_MEMORY),
    ("no such command", never(EXITED, c("main", 127, "CannotStartContainerError: exec")), None, None, False, 127,
     Cause.EXITED),
    ("cannot start", never(EXITED, c("main", None, "CannotStartContainerError: exec")), None, None, False, None,
     Cause.FAILED_TO_START),
    ("not started, all 0", never(NOT_STARTED, c("main", 0), c("side", 0)), BOTH, None, False, 0, Cause.FAILED_TO_START),
    # Several containers.
    ("all 0", ended(EXITED, c("main", 0), c("side", 0)), None, None, True, 0, Cause.EXITED),
    ("all 0, defined", ended(EXITED, c("main", 0), c("side", 0)), BOTH, None, True, 0, Cause.EXITED),
    ("none 0, not defined", ended(EXITED, c("main", 3), c("side", 143)), None, None, False, 3, Cause.EXITED),
    ("none with a code", ended(EXITED, c("main"), c("side")), None, None, False, None, Cause.UNKNOWN),
    ("failed beside 0", ended(EXITED, c("main", 3), c("side", 0)), BOTH, None, False, 3, Cause.EXITED),
    ("sidecar failed, essential", ended(EXITED, c("main", 0), c("side", 1)), BOTH, None, False, 1, Cause.EXITED),
    ("sidecar failed, not essential", ended(EXITED, c("main", 0), c("side", 1)), SIDECAR, None, True, 0, Cause.EXITED),
    ("sidecar killed", ended(EXITED, c("main", 0), c("side", 137)), SIDECAR, None, True, 0, Cause.EXITED),
    ("essential sidecar killed", ended(EXITED, c("main", 0), c("side", 137)), BOTH, None, True, 0, Cause.EXITED),
    ("essential sidecar terminated", ended(EXITED, c("main", 0), c("side", 143)), BOTH, None, True, 0, Cause.EXITED),
    ("main failed, sidecar killed", ended(EXITED, c("side", 137), c("main", 4)), BOTH, None, False, 4, Cause.EXITED),
    ("sidecar out of memory", ended(EXITED, c("main", 143), c("side", 137, OOM)), BOTH, None, False, 137,
     Cause.OUT_OF_MEMORY),
    ("sidecar out of memory, main 0", ended(EXITED, c("main", 0), c("side", 137, OOM)), BOTH, None, False, 137,
     Cause.OUT_OF_MEMORY),
    ("unessential out of memory", ended(EXITED, c("main", 0), c("side", 137, OOM)), SIDECAR, None, True, 0,
     Cause.EXITED),
    ("both killed", ended(EXITED, c("main", 137), c("side", 143)), BOTH, None, False, 137, Cause.EXITED),
    ("sidecar without a code", ended(EXITED, c("main", 0), c("side")), BOTH, None, False, None, Cause.UNKNOWN),
    ("unessential without a code", ended(EXITED, c("main", 0), c("side")), SIDECAR, None, True, 0, Cause.EXITED),
    ("main without a code, sidecar 0", ended(EXITED, c("main"), c("side", 0)), SIDECAR, None, False, None,
     Cause.UNKNOWN),
    ("main without a code, sidecar 1", ended(EXITED, c("main"), c("side", 1)), BOTH, None, False, 1, Cause.EXITED),
    ("init 0, app killed", ended(EXITED, c("init", 0), c("app", 137)), INIT, None, False, 137, Cause.EXITED),
    ("init failed, app 0", ended(EXITED, c("init", 1), c("app", 0)), INIT, None, True, 0, Cause.EXITED),
    ("an essential one not shown", ended(EXITED, c("side", 0)), BOTH, None, False, None, Cause.UNKNOWN),
    ("GuardDuty's agent", ended(EXITED, c("main", 0), c("aws-guardduty-agent-x1", 137)), None, None, True, 0,
     Cause.EXITED),
    ("GuardDuty's agent, defined", ended(EXITED, c("main", 0), c("aws-guardduty-agent-x1")), of(main=True), None, True,
     0, Cause.EXITED),
    ("no stop code, sidecar killed", ended(None, c("main", 0), c("side", 137)), BOTH, None, None, None, Cause.UNKNOWN),
    # Not known without the definition.
    ("sidecar killed, not defined", ended(EXITED, c("main", 0), c("side", 137)), None, None, None, None, Cause.EXITED),
    ("sidecar failed, not defined", ended(EXITED, c("main", 0), c("side", 1)), None, None, None, None, Cause.EXITED),
    ("a definition that names none", ended(EXITED, c("main", 0), c("side", 1)), of(), None, None, None, Cause.EXITED),
    # Stopped from outside.
    ("stopped by a user", ended(USER, c("main", 143)), None, None, False, 143, Cause.STOPPED_BY_USER),
    ("stopped by a user, gracefully", ended(USER, c("main", 0)), None, None, False, 0, Cause.STOPPED_BY_USER),
    ("stopped before it ran", never(USER, c("main")), None, None, False, None, Cause.STOPPED_BY_USER),
    ("withdrawn", never(USER, c("main"), stopped_reason="aioecs:withdrawn:x"), None, None, False, None,
     Cause.STOPPED_BY_USER),
    ("deployment", ended(SERVICE, c("main", 0), c("side", 143)), BOTH, None, False, 143, Cause.STOPPED_BY_SERVICE),
    ("Spot", ended(SPOT, c("main", 143)), None, None, False, 143, Cause.SPOT_INTERRUPTION),
    ("Spot without containers", ended(SPOT), None, None, False, None, Cause.SPOT_INTERRUPTION),
    ("host terminated", ended(NOTICE, c("main")), None, None, False, None, Cause.HOST_TERMINATED),
    ("host lost", ended(HEALTH, c("main")), None, None, False, None, Cause.HOST_LOST),
    ("host lost beside 0", ended(HEALTH, c("main"), c("side", 0)), BOTH, None, False, None, Cause.HOST_LOST),
    ("out of memory while stopped", ended(USER, c("main", 137, OOM)), None, None, False, 137, Cause.STOPPED_BY_USER),
    # One container asked for.
    ("main alone", ended(EXITED, c("main", 0), c("side", 1)), None, "main", True, 0, Cause.EXITED),
    ("main alone, failed", ended(EXITED, c("main", 2), c("side", 0)), None, "main", False, 2, Cause.EXITED),
    ("main alone, no code", ended(EXITED, c("main", None, SLOW), c("side", 0)), None, "main", False, None,
     Cause.RUNTIME_ERROR),
    ("main alone, killed", ended(EXITED, c("main", 137), c("side", 0)), None, "main", False, 137, Cause.EXITED),
    ("an unessential one", ended(EXITED, c("main", 1), c("side", 0)), SIDECAR, "side", True, 0, Cause.EXITED),
    ("0 and stopped, maybe before", ended(USER, c("main", 0), c("side", 143)), None, "main", None, 0,
     Cause.STOPPED_BY_USER),
    ("0 and stopped, essential", ended(USER, c("main", 0), c("side", 143)), BOTH, "main", False, 0,
     Cause.STOPPED_BY_USER),
    ("no such container", ended(EXITED, c("main", 0)), None, "mian", None, None, Cause.EXITED),
    # Not known at all.
    ("running", Task(task_arn=ARN, last_status="RUNNING"), None, None, None, None, None),
    ("stopping", Task(task_arn=ARN, last_status="STOPPING", desired_status="STOPPED", stop_code=EXITED), None, None,
     None, None, None),
    ("deprovisioning", Task(last_status="DEPROVISIONING", stop_code=EXITED, containers=[c("main", 0)]), None, None,
     None, None, None),
    ("a status of a newer ECS", Task(last_status="PAUSED"), None, None, None, None, None),
    ("nothing known", Task(), None, None, None, None, None),
    ("a replayed RunTask's", Task(task_arn=ARN, last_status="STOPPED", desired_status="STOPPED"), None, None, None,
     None, Cause.UNKNOWN),
    ("a replayed RunTask's, defined", Task(task_arn=ARN, last_status="STOPPED"), BOTH, "main", None, None,
     Cause.UNKNOWN),
    ("exited without containers", ended(EXITED), None, None, None, None, Cause.EXITED),
    # Of the wrong kind.
    ("a code that is a string", ended(EXITED, c("main", "0")), None, None, False, None, Cause.UNKNOWN),
    ("a code that is a boolean", ended(EXITED, c("main", False)), None, None, False, None, Cause.UNKNOWN),
    ("containers that are none", ended(EXITED, "main", None), None, None, None, None, Cause.EXITED),
    ("a stop code that is a list", ended([EXITED], c("main", 0)), None, None, True, 0, Cause.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=[row[0].replace(" ", "-") for row in TABLE])
def test_how_a_task_ended(row: Row) -> None:
    """Each shape of an ended task has one result."""
    _, task, definition, container, succeeded, exit_code, cause = row
    result = task_result(task, definition, container)
    assert (result.succeeded, result.exit_code, result.cause) == (succeeded, exit_code, cause)
    assert result.task is task
    assert result.explanation


def test_the_table_is_long_enough() -> None:
    """At least 60 different shapes of tasks that have ended, each said once."""
    over = [row for row in TABLE if row[1].last_status in ("STOPPED", "DELETED")]
    assert len({repr((row[1].to_dict(), *row[2:4])) for row in over}) >= 60
    assert len({row[0] for row in TABLE}) == len(TABLE)


def test_containers_are_described() -> None:
    """Each with its code and reason, what is known of it, and whether ECS stopped it."""
    task = ended(EXITED, c("main", 0), c("side", 137), c("log", 1, "why"))
    result = task_result(task, of(main=True, side=True, log=False, late=True))
    assert result.containers == (
        ContainerResult(name="main", exit_code=0, essential=True),
        ContainerResult(name="side", exit_code=137, essential=True, stopped_by_ecs=True),
        ContainerResult(name="log", exit_code=1, reason="why", essential=False),
        ContainerResult(name="late", essential=True),
    )


UNDEFINED = (
    "which containers are essential is not known, and they ended differently (exit codes: main 0, side 1): "
    "give the definition, or the container to judge by"
)


@pytest.mark.parametrize(
    ("task", "definition", "container", "said"),
    [
        (ended(EXITED, c("main", 3, "bad luck")), None, None, "container main exited with code 3 (bad luck)"),
        (ended(EXITED, c("main")), None, None, "container main has no exit code"),
        (never(NOT_STARTED, c("main", None, PULL)), None, None, f"it failed to start: container main: {PULL}"),
        (ended(USER, c("main", 0), stopped_reason="by Eve"), None, None,
         "it did not end by itself: stopped by a user (by Eve) (exit codes: main 0)"),
        (ended(EXITED, c("main", 0), c("side", 1)), None, None,
         UNDEFINED),
        (ended(EXITED, c("main", 0)), None, "mian", "it has no container named mian, only main"),
        (Task(last_status="RUNNING"), None, None, "it has not stopped: its last status is RUNNING"),
    ],
)  # fmt: skip
def test_what_is_said(task: Task, definition: TaskDefinition | None, container: str | None, said: str) -> None:
    """One sentence says why."""
    assert task_result(task, definition, container).explanation == said


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ((None,), "task"),
        ((ARN,), "task"),
        ((ended(EXITED), DEFINITION), "definition"),
        ((ended(EXITED), BOTH.replace(task_definition_arn=DEFINITION[:-1])), "definition"),
        ((ended(EXITED), None, 1), "container"),
    ],
)
def test_what_is_refused(arguments: tuple[Any, ...], path: str) -> None:
    """A definition of another revision would judge wrongly; what is of the wrong kind is named."""
    with pytest.raises(InvalidRequest) as caught:
        task_result(*arguments)
    assert caught.value.path == path


def test_essential_unless_it_says_otherwise() -> None:
    """Absent means essential."""
    assert essential_containers(of(main=None, side=False, app=True)) == {"main", "app"}


CODES = st.none() | st.sampled_from([0, 1, 137, 143])
ANY = st.builds(c, st.just("x"), CODES, st.none() | st.sampled_from([OOM, SLOW, PULL, "prose"]))
STOPS = st.none() | st.sampled_from([EXITED, USER, SERVICE, NOT_STARTED, SPOT, NOTICE, HEALTH, "Newer"])


@given(STOPS, st.lists(ANY, max_size=3), st.lists(st.booleans(), min_size=3, max_size=3), st.booleans())
def test_success_is_exit_code_0(stop: str | None, drawn: list[Container], flags: list[bool], defined: bool) -> None:
    """However a task ended: a success has an essential container with 0, and none that failed by itself."""
    containers = [each.replace(name=f"c{at}") for at, each in enumerate(drawn)]
    definition = of(**{each.name or "": flag for each, flag in zip(containers, flags, strict=False)})
    task = ended(stop, *containers)
    result = task_result(task, definition if defined else None)
    counted = [each for each in result.containers if each.essential is not False]
    if result.succeeded:
        assert any(each.exit_code == 0 for each in counted)
        assert all(each.exit_code == 0 or each.stopped_by_ecs for each in counted)
        assert stop in (EXITED, None)
    assert isinstance(result, TaskResult)
    assert (result.succeeded is True) <= (result.exit_code == 0)


@given(STOPS, st.lists(ANY, min_size=2, max_size=3))
def test_the_definition_only_adds_what_is_known(stop: str | None, drawn: list[Container]) -> None:
    """What is decided without a definition is decided alike under every one that the task may have."""
    containers = [each.replace(name=f"c{at}") for at, each in enumerate(drawn)]
    task = ended(stop, *containers)
    without = task_result(task)
    for flags in itertools.product([True, False], repeat=len(containers)):
        if without.succeeded is None or not any(flags):
            continue
        definition = of(**{each.name or "": flag for each, flag in zip(containers, flags, strict=True)})
        assert task_result(task, definition).succeeded is without.succeeded


def test_a_result_is_a_value() -> None:
    """It is frozen, and equal where it says the same."""
    result = task_result(ended(EXITED, c("main", 0)))
    assert result == task_result(ended(EXITED, c("main", 0)))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(result, "succeeded", False)  # noqa: B010 type checkers refuse the plain form
