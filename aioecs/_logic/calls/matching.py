"""Matches tasks to starts: by container instance, repeats counted, the oldest first.

ECS documents no order for the tasks of an answer, and a request may name the same instance twice. So tasks are matched
to starts by the last part of the instance's ARN, and among tasks of one instance the smallest (createdAt, ARN) comes
first: every machine keeps the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import attrs

from aioecs._logic.calls.token import stop_reason
from aioecs._model.arn import short
from aioecs._model.codec.plain import to_plain
from aioecs._model.shapes.overrides import TaskOverride
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import ECSError

ANYWHERE = ""
"""In place of an instance: ECS chooses where the task of a RunTask goes."""
REASON_LOST = "ECS returned only these tasks again for the same clientToken; the answer with its reasons was lost"
_NEVER = datetime.max.replace(tzinfo=UTC)


@attrs.define(eq=False)
class StartState:
    """What is known of one start of a call."""

    instance: str
    task: Task | None = None
    failure: Failure | None = None
    error: ECSError | None = None
    ours: bool = False
    """Started by a send of this very call, rather than found under its key."""
    stopped: bool = False
    left: bool = False
    """Its caller has withdrawn it, while other starts of the call are still wanted."""
    dropped: bool = False
    """It was withdrawn before the request was sent, so it isn't in the request."""

    @property
    def place(self) -> str:
        """The instance that ECS answered for it; empty if it named none."""
        what = self.task or self.failure
        return _instance_of(what) if what is not None else ""

    @property
    def known(self) -> bool:
        """Whether its outcome is known."""
        return self.task is not None or self.failure is not None or self.error is not None or self.dropped


def oldest_first(tasks: Iterable[Task]) -> list[Task]:
    """Order tasks by creation time and ARN: the same order on every machine."""
    return sorted(tasks, key=lambda task: (_created_at(task), task.task_arn or ""))


def _created_at(task: Task) -> datetime:
    """Return when it was created; a task without a readable time comes last."""
    created: object = task.created_at
    return created if isinstance(created, datetime) else _NEVER


def well_formed(tasks: object, failures: object) -> tuple[list[Task], list[Failure]]:
    """Return the parts of an answer that can be used: tasks that have an ARN, and failures that can be read.

    Anything else in the answer is ignored.
    """
    return (
        [
            task
            for task in _sequence(tasks)
            if isinstance(task, Task) and task.task_arn and isinstance(cast("object", task.task_arn), str)
        ],
        [each for each in _sequence(failures) if isinstance(each, Failure) and _is_readable(each)] if failures else [],
    )


def _sequence(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else ()


def _is_readable(failure: Failure) -> bool:
    return all(_is_text(value) or value is None for value in (failure.arn, failure.reason, failure.detail))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def assign_answer(start_states: list[StartState], tasks: Iterable[Task], failures: Iterable[Failure]) -> None:
    """Assign the tasks and failures of an answer to the starts; none is dropped while a start is open.

    A task or failure that names no instance of an open start goes to the first open start: ECS answered this call.
    """
    tasks, failures = list(tasks), list(failures)
    if not failures and _assign_distinct(start_states, tasks):
        return
    by_arn = _by_arn(start_states)
    answered: list[Task | Failure] = [*(task for task in _distinct(tasks) if task.task_arn not in by_arn), *failures]
    at: dict[str, list[StartState]] = {}
    for state in start_states:
        at.setdefault(short(state.instance), []).append(state)
    unmatched = [what for what in answered if not _assign_first(what, at.get(short(_instance_of(what)), ()))]
    for what in unmatched:
        _assign_first(what, start_states)


def assign_run_answer(
    start_states: list[StartState], tasks: Iterable[Task], failures: Sequence[Failure], *, again: bool
) -> tuple[Failure, ...]:
    """Assign the answer to a RunTask to its starts; return the failures of those that ECS could not place.

    ECS may return several failures for one task, or one for several. `again` says that ECS may have answered this
    `clientToken` before: it then returns the same tasks, and the reasons for the others may be lost.
    """
    by_arn = _by_arn(start_states)
    for task in _distinct(tasks):
        if task.task_arn in by_arn:
            by_arn[task.task_arn].task = task
        else:
            _assign_first(task, start_states)
    if not failures and again and any(state.task is not None for state in start_states):
        failures = (Failure(detail=REASON_LOST),)
    left = [state for state in start_states if not state.known]
    for at, state in enumerate(left if failures else ()):
        state.failure = failures[min(at, len(failures) - 1)]
    return tuple(failures) if left else ()


def exclude_before(start_states: Iterable[StartState], moment: datetime) -> None:
    """Mark tasks created before this moment as started by an earlier call with the same `clientToken`."""
    for state in start_states:
        if state.task is not None:
            state.ours = state.ours and state.task.created_at is not None and state.task.created_at >= moment


def _assign_distinct(start_states: list[StartState], tasks: list[Task]) -> bool:
    """Assign the tasks if only one assignment is possible: one for each open start, all on different instances."""
    if len(start_states) == len(tasks) == 1:
        return _assign_single(start_states[0], tasks[0])
    arns = {task.task_arn for task in tasks}
    if not len(start_states) == len(tasks) == len(arns):
        return False
    for state in start_states:  # `state.known`, inlined: this runs for every start
        if state.task is not None or state.failure is not None or state.error is not None or state.dropped:
            return False
    instances = [state.instance for state in start_states]
    # Mostly both are full ARNs, and needn't be shortened.
    if _assign_by_name(start_states, instances, tasks, [_instance_of(task) for task in tasks]):
        return True
    return _assign_by_name(start_states, map(short, instances), tasks, [short(_instance_of(task)) for task in tasks])


def _assign_single(state: StartState, task: Task) -> bool:
    """Assign the task to the only start, if it is on its instance."""
    if state.known or not (state.instance == (place := _instance_of(task)) or _same_instance(state.instance, place)):
        return False
    state.task, state.ours = task, True
    return True


def _assign_by_name(
    start_states: list[StartState], instances: Iterable[str], tasks: list[Task], places: Sequence[str | None]
) -> bool:
    """Assign tasks by the names of their instances, if both sides have the same names and none twice."""
    at: dict[str | None, StartState] = dict(zip(instances, start_states, strict=True))
    by_place = dict(zip(places, tasks, strict=True))
    if len(at) < len(start_states) or at.keys() != by_place.keys():
        return False
    for place, task in by_place.items():
        state = at[place]
        state.task, state.ours = task, True
    return True


def _assign_first(what: Task | Failure, start_states: Iterable[StartState]) -> bool:
    """Assign it to the first open start; return whether there was one."""
    state = next((state for state in start_states if not state.known), None)
    if state is None:
        return False
    if isinstance(what, Task):
        state.task, state.ours = what, True
    else:
        state.failure = what
    return True


def adopt(start_states: list[StartState], found: Iterable[Task], *, ours: bool) -> list[Task]:
    """Assign the found tasks to the starts of their instance; return the surplus ones.

    A task that a start has already competes with the found ones: the oldest are kept, so that two calls with one token
    end with the same single task on every machine. Doing it again with the same tasks changes nothing.
    """
    by_arn = _by_arn(start_states)
    surplus: list[Task] = []
    anywhere = any(state.instance == ANYWHERE for state in start_states)
    by_instance: dict[str, list[Task]] = {}
    for task in _distinct(found):
        if task.task_arn in by_arn:
            by_arn[task.task_arn].task = task  # as it is now
        else:
            by_instance.setdefault(ANYWHERE if anywhere else short(_instance_of(task)), []).append(task)
    for instance, tasks in by_instance.items():
        mine = [state for state in start_states if _same_instance(state.instance, instance)]
        if mine:  # else they are on no instance of the request
            surplus += _keep_oldest([state for state in mine if not state.stopped and not state.dropped], tasks, ours)
    return surplus


def _keep_oldest(start_states: list[StartState], found: list[Task], ours: bool) -> list[Task]:
    """Keep the oldest among the tasks of one instance's starts and the found ones; return the others."""
    holders = {id(state.task): state for state in start_states if state.task is not None}
    order = oldest_first([*found, *(state.task for state in start_states if state.task is not None)])
    kept = order[: len(start_states)]
    stay = [holders[id(task)] for task in kept if id(task) in holders]
    # A start that ECS refused gets a task last: another start may still be open.
    free = sorted((state for state in start_states if state not in stay), key=_refused)
    for state, task in zip(free, [task for task in kept if id(task) not in holders], strict=False):
        state.task, state.ours, state.failure, state.error = task, ours, None, None
    return order[len(start_states) :]


def _refused(state: StartState) -> bool:
    return state.failure is not None or state.error is not None


def _by_arn(start_states: list[StartState]) -> dict[str | None, StartState]:
    return {state.task.task_arn: state for state in start_states if state.task is not None and state.task.task_arn}


def _distinct(tasks: Iterable[Task]) -> list[Task]:
    return oldest_first({task.task_arn or id(task): task for task in tasks}.values())


def _instance_of(what: Task | Failure) -> str:
    named: object = what.container_instance_arn if isinstance(what, Task) else what.arn
    return named if isinstance(named, str) else ""


def _same_instance(instance: str, other: str) -> bool:
    return short(instance) == short(other)


def withdrawn(task: Task, token: str) -> bool:
    """Return whether aioecs itself stopped the task for this token: such a task is not adopted."""
    return task.stop_code == "UserInitiated" and task.stopped_reason == stop_reason(token)


def on_its_instances(request: StartTaskRequest | RunTaskRequest, found: Iterable[Task]) -> list[Task]:
    """Return the tasks on an instance of the request; all of them for a RunTask, which names none."""
    if isinstance(request, RunTaskRequest):
        return list(found)
    instances = {short(instance) for instance in request.container_instances}
    return [task for task in found if short(task.container_instance_arn or "") in instances]


def mismatches(request: StartTaskRequest | RunTaskRequest, found: Iterable[Task]) -> list[Task]:
    """Return the tasks that the request can't have started: another definition, instance, group or overrides."""
    found = list(found)
    near = on_its_instances(request, found)
    return [task for task in found if task not in near or not _could_start(request, task)]


def _could_start(request: StartTaskRequest | RunTaskRequest, task: Task) -> bool:
    """Return whether the request can have started the task, judged by its members in ECS."""
    if request.group is not None and task.group is not None and request.group != task.group:
        return False
    return _of_definition(request, task) and same_overrides(request.overrides, task.overrides)


def same_overrides(requested: TaskOverride | None, shown: TaskOverride | None) -> bool:
    """Return whether overrides are equal in effect: ECS shows empty members, and containers that override nothing."""
    return shown is None or _in_effect(requested) == _in_effect(shown)


def _in_effect(overrides: TaskOverride | None) -> Any:
    plain = to_plain(overrides) if overrides is not None else {}
    containers = {each.get("name"): _overrides(each) for each in plain.pop("containerOverrides", None) or ()}
    return _overrides(plain), {name: members for name, members in containers.items() if members.keys() - {"name"}}


def _overrides(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that aren't empty; the order of name-value pairs doesn't count."""
    members = {name: value for name, value in plain.items() if value not in (None, [], {}, "")}
    for name in ("environment", "environmentFiles", "resourceRequirements"):
        if name in members:
            members[name] = sorted(map(repr, (sorted(pair.items()) for pair in members[name])))
    return members


def _of_definition(request: StartTaskRequest | RunTaskRequest, task: Task) -> bool:
    requested, has = short(request.task_definition), short(task.task_definition_arn or "")
    return has == requested if ":" in requested else has.partition(":")[0] == requested
