"""Decides how a task ended, from ECS's description of it and, where there is one, its task definition.

A task is judged by its *essential* containers: those whose end stops the task. DescribeTasks does not say which they
are; the task definition does. The rules:

- Only exit code 0 of every essential container is a success. A container without an exit code never is.
- When one essential container ends, ECS stops the others, which then show 137 or 143 without a reason. They don't
  count, as long as another essential container ended by itself.
- A task that was stopped from outside (by a user, its service, a Spot interruption, a lost host) did not end by
  itself: ECS was stopping it while its essential containers ran. That is no success, even with exit code 0.
- What the description leaves open is None: a task that has not stopped, one without containers, or containers that
  ended differently where it isn't known which are essential.

`stopped_reason` is prose and decides nothing; of a container's `reason` only the error name before the colon does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from aioecs._logic.tasks.task_progress import containers_of, is_over
from aioecs._model.shapes.container import Container
from aioecs._model.shapes.definition.container_definition import ContainerDefinition
from aioecs._model.shapes.definition.task_definition import TaskDefinition
from aioecs._model.shapes.enums import Connectivity, TaskStopCode
from aioecs._model.shapes.task import Task
from aioecs._model.task_result import ContainerResult, TaskEndCause, TaskResult
from aioecs.errors import InvalidRequest

FROM_OUTSIDE: Mapping[str, TaskEndCause] = {
    TaskStopCode.USER_INITIATED: TaskEndCause.STOPPED_BY_USER,
    TaskStopCode.SERVICE_SCHEDULER_INITIATED: TaskEndCause.STOPPED_BY_SERVICE,
    TaskStopCode.SPOT_INTERRUPTION: TaskEndCause.SPOT_INTERRUPTION,
    TaskStopCode.TERMINATION_NOTICE: TaskEndCause.HOST_TERMINATED,
    TaskStopCode.INFRASTRUCTURE_HEALTH: TaskEndCause.HOST_LOST,
}
"""Stop codes of tasks that did not end by themselves."""

STOP_CODES = frozenset(TaskStopCode)
SIGNALLED = (137, 143)  # 128 + SIGKILL, 128 + SIGTERM: how a container that ECS stops ends
# Names before the colon of a container's reason [AmazonECS/latest/developerguide/stopped-task-error-codes.html].
OUT_OF_MEMORY = ("OutOfMemoryError", "OutOfMemory")
TIMEOUTS = ("DockerTimeoutError", "ContainerRuntimeTimeoutError")
# GuardDuty adds a container to tasks on Fargate; it is in no task definition, and never essential.
INJECTED = "aws-guardduty-agent"


def task_result(task: Task, definition: TaskDefinition | None = None, container: str | None = None) -> TaskResult:
    """Judge how a task ended.

    `task` is as DescribeTasks, a wait or an event shows it. `definition` is its task definition, which says which
    containers are essential; without it a task of several containers that ended differently can't always be judged.
    `container` names the one container to judge by instead.

    Raises:
        InvalidRequest: `definition` is another one than the task's, or an argument is of the wrong type.
    """
    _check(task, definition, container)
    containers = _marked(task, _containers(task, definition))
    if (open_because := _not_judged_yet(task, containers, container)) is not None:
        cause = _cause_of_stop_code(task) if is_over(task) else None
        return TaskResult(task=task, succeeded=None, cause=cause, containers=containers, explanation=open_because)
    judged = _judged(containers, container)
    succeeded, explanation = _decide(task, judged, container)
    return TaskResult(
        task=task,
        succeeded=succeeded,
        exit_code=_exit_code(succeeded, judged, container),
        cause=_cause(task, judged) if succeeded is False else _cause_of_stop_code(task),
        containers=containers,
        explanation=explanation,
    )


def essential_containers(definition: TaskDefinition) -> frozenset[str]:
    """Return the names of the containers whose end stops the task."""
    defined: Any = definition.container_definitions
    listed = defined if isinstance(defined, (list, tuple)) else ()
    named = [each for each in listed if isinstance(each, ContainerDefinition) and isinstance(each.name, str)]
    return frozenset(each.name for each in named if each.name and each.essential is not False)


def _check(task: Any, definition: Any, container: Any) -> None:
    if not isinstance(task, Task):
        raise InvalidRequest("task", "a Task", f"a {type(task).__name__}")
    if not isinstance(definition, TaskDefinition | None):
        raise InvalidRequest("definition", "a TaskDefinition or None", f"a {type(definition).__name__}")
    if not isinstance(container, str | None):
        raise InvalidRequest("container", "a container's name or None", f"a {type(container).__name__}")
    theirs, mine = definition and definition.task_definition_arn, task.task_definition_arn
    if theirs and mine and theirs != mine:
        raise InvalidRequest("definition", f"the task's own, {mine}", theirs)


# --------------------------------------------------------------------------------------------------------- containers


def _containers(task: Task, definition: TaskDefinition | None) -> tuple[ContainerResult, ...]:
    """Return how each container ended, and which are essential as far as that is known."""
    ended = [_ended(each) for each in containers_of(task)]
    essential = essential_containers(definition) if definition is not None else frozenset[str]()
    if essential:
        ended += [ContainerResult(name=name) for name in sorted(essential - {each.name for each in ended})]
        return tuple(attrs.evolve(each, essential=each.name in essential) for each in ended)
    alone = sum(each.essential is None for each in ended) == 1  # a task has at least one essential container
    return tuple(attrs.evolve(each, essential=True) if alone and each.essential is None else each for each in ended)


def _ended(container: Container) -> ContainerResult:
    code, reason = container.exit_code, container.reason
    name = container.name if isinstance(container.name, str) else ""
    return ContainerResult(
        name=name,
        exit_code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        reason=reason if isinstance(reason, str) and reason else None,
        essential=False if name.startswith(INJECTED) else None,
    )


def _marked(task: Task, containers: tuple[ContainerResult, ...]) -> tuple[ContainerResult, ...]:
    """Mark those that ECS seems to have stopped because another had ended."""
    by_themselves = [each for each in containers if each.essential is not False and not _signalled(each)]
    if task.stop_code != TaskStopCode.ESSENTIAL_CONTAINER_EXITED or not by_themselves:
        return containers
    return tuple(attrs.evolve(each, stopped_by_ecs=_signalled(each)) for each in containers)


def _signalled(container: ContainerResult) -> bool:
    return container.exit_code in SIGNALLED and container.reason is None


def _judged(containers: tuple[ContainerResult, ...], container: str | None) -> list[ContainerResult]:
    """Return the containers that the task is judged by."""
    if container is not None:
        return [each for each in containers if each.name == container]
    return [each for each in containers if each.essential is not False]


# ----------------------------------------------------------------------------------------------------------- decision


def _not_judged_yet(task: Task, containers: tuple[ContainerResult, ...], container: str | None) -> str | None:
    """Return why the description is not enough to begin with; None if it is."""
    if not is_over(task):
        return f"it has not stopped: its last status is {task.last_status}"
    decided = _stop_code(task) in FROM_OUTSIDE or task.stop_code == TaskStopCode.TASK_FAILED_TO_START
    if not containers_of(task) and not decided:
        return "ECS's description of it has no containers, so their exit codes are not known"
    if container is not None and container not in [each.name for each in containers] and containers:
        return f"it has no container named {container}, only {', '.join(each.name for each in containers)}"
    return None


def _decide(task: Task, judged: list[ContainerResult], container: str | None) -> tuple[bool | None, str]:
    """Decide whether the task succeeded, and say why."""
    failing = [each for each in judged if each.exit_code != 0]
    if _stop_code(task) in FROM_OUTSIDE:
        if container is not None and judged and not failing and judged[0].essential is not True:
            return None, f"container {container} exited with code 0, before or after the task was {_stopped(task)}"
        return False, f"it did not end by itself: {_stopped(task)}{_codes(judged)}"
    if task.stop_code == TaskStopCode.TASK_FAILED_TO_START and (failing or container is None or not judged):
        return False, f"it failed to start{_first_reason(task, judged)}"
    if not failing:
        if (code := _stop_code(task)) and code not in STOP_CODES:
            return None, f"it stopped for a reason that aioecs doesn't know ({code}){_codes(judged)}"
        return True, f"exit code 0 of {', '.join(each.name for each in judged)}"
    return _of_failing(task, judged, failing, container)


def _of_failing(
    task: Task, judged: list[ContainerResult], failing: list[ContainerResult], container: str | None
) -> tuple[bool | None, str]:
    """Decide where not every judged container has exit code 0."""
    by_themselves = [each for each in failing if not _signalled(each)]
    if container is not None or len(failing) == len(judged):
        return False, _describe_end((by_themselves or failing)[0])
    if any(each.essential is None for each in judged):
        text = "which containers are essential is not known, and they ended differently"
        return None, f"{text}{_codes(judged)}: give the definition, or the container to judge by"
    if by_themselves:
        return False, _describe_end(by_themselves[0])
    if _stop_code(task) not in STOP_CODES:
        return None, f"why it stopped is not shown, and a container was killed{_codes(judged)}"
    return True, f"exit code 0 of {', '.join(each.name for each in judged if not each.exit_code)}; ECS stopped the rest"


def _exit_code(succeeded: bool | None, judged: list[ContainerResult], container: str | None) -> int | None:
    """Return the code of the container that decided."""
    if container is not None:
        return judged[0].exit_code if judged else None
    if succeeded is not False:
        return 0 if succeeded else None
    codes = [each.exit_code for each in judged if not _signalled(each)]
    if (own := next((code for code in codes if code), None)) is not None or None in codes:
        return own
    return next((each.exit_code for each in judged if each.exit_code), 0 if judged else None)


# -------------------------------------------------------------------------------------------------------------- cause


def _cause_of_stop_code(task: Task) -> TaskEndCause | str:
    """Return the cause by the stop code alone."""
    code = _stop_code(task)
    if code == TaskStopCode.TASK_FAILED_TO_START:
        return TaskEndCause.FAILED_TO_START
    if code == TaskStopCode.ESSENTIAL_CONTAINER_EXITED:
        return TaskEndCause.EXITED
    return FROM_OUTSIDE.get(code) or code or TaskEndCause.UNKNOWN


def _stop_code(task: Task) -> str:
    """Return the stop code; empty where there is none, or something that is no code."""
    return task.stop_code if isinstance(task.stop_code, str) else ""


def _cause(task: Task, judged: list[ContainerResult]) -> TaskEndCause | str:
    """Return why a task failed."""
    if _stop_code(task) in FROM_OUTSIDE:
        return _cause_of_stop_code(task)
    if any(each.exit_code != 0 and _error_name(each) in OUT_OF_MEMORY for each in judged):
        return TaskEndCause.OUT_OF_MEMORY
    without = [each for each in judged if each.exit_code is None]
    started = task.started_at is not None
    if any(_error_name(each) in TIMEOUTS for each in without) and not started:
        return TaskEndCause.START_TIMEOUT
    known = _cause_of_stop_code(task)
    if not without or known not in (TaskEndCause.EXITED, TaskEndCause.UNKNOWN):
        return TaskEndCause.EXITED if known is TaskEndCause.UNKNOWN else known
    if task.connectivity == Connectivity.DISCONNECTED:
        return TaskEndCause.HOST_LOST
    if any(each.reason for each in without):
        return TaskEndCause.RUNTIME_ERROR if started else TaskEndCause.FAILED_TO_START
    return TaskEndCause.EXITED if any(each.exit_code for each in judged) else TaskEndCause.UNKNOWN


def _error_name(container: ContainerResult) -> str:
    """Return the error name that a reason begins with, as in `OutOfMemoryError: Container killed …`."""
    return (container.reason or "").partition(":")[0].strip()


# -------------------------------------------------------------------------------------------------------------- texts


def _stopped(task: Task) -> str:
    """Describe what stopped it from outside."""
    reason = f" ({task.stopped_reason})" if task.stopped_reason else ""
    return f"{_cause_of_stop_code(task)}{reason}"


def _codes(containers: Sequence[ContainerResult]) -> str:
    listed = ", ".join(f"{each.name} {'none' if each.exit_code is None else each.exit_code}" for each in containers)
    return f" (exit codes: {listed})" if listed else ""


def _first_reason(task: Task, judged: Sequence[ContainerResult]) -> str:
    """Return ECS's own explanation: the first reason of a container, else that of the task."""
    named = next((f"container {each.name}: {each.reason}" for each in judged if each.reason), task.stopped_reason)
    return f": {named}" if named else ""


def _describe_end(container: ContainerResult) -> str:
    reason = f" ({container.reason})" if container.reason else ""
    code = "has no exit code" if container.exit_code is None else f"exited with code {container.exit_code}"
    return f"container {container.name} {code}{reason}"
