"""What really happened: the calls that arrived, their effects, and the state of every task, whatever was answered.

It keeps every task, also those that ECS no longer describes, and every call that started or stopped one. Of the calls
without effect it keeps the last ten thousand. Long texts are truncated.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, cast

import attrs

from aioecs.testing._operations.members import Json
from aioecs.testing._state.records import RUNNING, Task

CALLS_WITHOUT_EFFECT = 10_000  # how many calls that neither started nor stopped a task are kept
_TEXT = 300  # characters of a request's text that are kept; startedBy, ARNs and client tokens are shorter
_ITEMS = 11  # names of instances that are kept; a valid request has at most ten
_OPERATIONS = 500  # operations that are counted by name

LOGGED = frozenset({"StartTask", "RunTask", "StopTask"})
"""The operations whose calls are kept; calls of the others are only counted."""


@attrs.frozen
class Call:
    """A StartTask, RunTask or StopTask that arrived.

    number: counts the recorded calls, from 1.  at: when it arrived, epoch seconds.
    token: its `startedBy`.  client_token: its `clientToken` (RunTask).
    instances: as the request named them.  count: the `count` of a RunTask.
    stopped: the task that a StopTask named.
    tasks: ARNs of the tasks that it created.  failures: (arn, reason) of each entry.
    error: the code of its error.  fault: the kind of fault that hit it.
    executed: whether the operation ran.  answered: whether its whole answer was written to the connection; False is
        certain, True doesn't prove that the caller received it.
    """

    number: int
    operation: str
    at: float
    token: str | None = None
    client_token: str | None = None
    instances: tuple[str, ...] = ()
    count: int = 0
    stopped: str | None = None
    tasks: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    error: str | None = None
    fault: str | None = None
    executed: bool = False
    answered: bool = False


@attrs.frozen
class TrueTask:
    """A task in its present state.

    arn, cluster_arn, container_instance_arn: the last is "" for a task without an instance, as on Fargate.
    launch_type, capacity_provider: how it was placed.  family: of its task definition.
    call: the number of the call that created it.  started_by, group, tags: as in that call.
    last_status, desired_status: as in DescribeTasks.  stop_code, stopped_reason: why it stopped, if it did.
    created_at, started_at, stopped_at: epoch seconds; None for what has not happened.
    """

    arn: str
    call: int
    container_instance_arn: str
    cluster_arn: str
    family: str
    started_by: str | None
    last_status: str
    desired_status: str
    created_at: float
    started_at: float | None
    stopped_at: float | None
    stop_code: str | None
    stopped_reason: str | None
    tags: tuple[tuple[str, str], ...]
    group: str
    launch_type: str = "EC2"
    capacity_provider: str | None = None

    @property
    def live(self) -> bool:
        """Whether its desired status is RUNNING."""
        return self.desired_status == RUNNING


@attrs.frozen
class Duplicate:
    """More tasks with one `token` than any single call with it requested (`asked`).

    container_instance_arn: the instance that StartTask calls named; "" for tasks of RunTask, which are counted
        together.
    """

    token: str
    container_instance_arn: str
    asked: int
    tasks: tuple[str, ...]


def _no_refresh() -> None:
    """Do nothing: the tasks are up to date."""


@attrs.define
class History:
    """The calls and tasks that the engine records, which `Truth` reads. A recorded call is a dict of `Call` members."""

    calls: dict[int, dict[str, Any]] = attrs.field(factory=dict[int, dict[str, Any]])
    tasks: dict[str, Task | TrueTask] = attrs.field(factory=dict[str, "Task | TrueTask"])
    by_token: dict[str | None, list[str]] = attrs.field(factory=dict[str | None, list[str]])
    requests: Counter[str] = attrs.field(factory=Counter[str])
    throttled: Counter[str] = attrs.field(factory=Counter[str])
    refresh: Callable[[], None] = _no_refresh
    arrivals: int = 0
    dropped: int = 0
    _without_effect: deque[int] = attrs.field(factory=deque[int])

    def call_arrived(self, operation: str, request: Json, at: float, fault: str | None) -> int:
        """Record a call that arrived; return its number, 0 for operations that are only counted."""
        known = operation in self.requests or len(self.requests) < _OPERATIONS
        self.requests[operation[:_TEXT] if known else "…"] += 1
        if operation not in LOGGED:
            return 0
        self.arrivals += 1
        number = self.arrivals
        call: dict[str, Any] = {"number": number, "operation": operation, "at": at, "fault": fault}
        if operation == "StopTask":
            call["stopped"] = _text(request.get("task"))
        else:
            call["token"] = _text(request.get("startedBy"))
            call["client_token"] = _text(request.get("clientToken"))
            call["instances"] = _texts(request.get("containerInstances"))
            call["count"] = _count(request.get("count")) if operation == "RunTask" else 0
        self.calls[number] = call
        return number

    def call_ended(self, number: int) -> None:
        """Note that a call is over; if it had no effect, the oldest such call may be dropped."""
        call = self.calls.get(number)
        if (
            call is None
            or call.get("tasks")
            or (call.get("stopped") and call.get("executed") and not call.get("error"))
        ):
            return
        self._without_effect.append(number)
        if len(self._without_effect) > CALLS_WITHOUT_EFFECT:
            self.dropped += self.calls.pop(self._without_effect.popleft(), None) is not None

    def operation(self, number: int) -> str:
        """Return the operation of a recorded call."""
        return str(self.calls[number]["operation"]) if number in self.calls else ""

    def task_created(self, task: Task | TrueTask) -> None:
        """Record a task."""
        self.tasks[task.arn] = task
        self.by_token.setdefault(task.started_by, []).append(task.arn)

    def amend_call(self, number: int, **facts: Any) -> None:
        """Add members to a recorded call."""
        if number in self.calls:
            self.calls[number].update(facts)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 1


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= _TEXT else f"{value[:_TEXT]}…"


def _texts(value: object) -> tuple[str, ...]:
    """Return the strings of a list, at most one more than a valid request has."""
    found = [_text(each) for each in cast("list[object]", value)[:_ITEMS]] if isinstance(value, list) else []
    return tuple(each for each in found if each is not None)


class Truth:
    """What really happened. Reading it has no effect and takes no token from a bucket."""

    def __init__(self, history: History) -> None:
        self._history = history

    @property
    def requests(self) -> Counter[str]:
        """How many requests arrived, by operation, whatever their outcome."""
        return self._history.requests

    @property
    def throttled(self) -> Counter[str]:
        """How many of them were throttled, by an empty bucket or a "throttle" fault."""
        return self._history.throttled

    @property
    def dropped(self) -> int:
        """How many calls are no longer in `calls`.

        Of the calls without effect the last ten thousand are kept. A fault proxy also drops those of its oldest tasks.
        """
        return self._history.dropped

    def calls(self, operation: str | None = None) -> list[Call]:
        """List the recorded calls in order of arrival, of one operation or all."""
        return [Call(**call) for call in self._history.calls.values() if operation in (None, call["operation"])]

    def sends(self, token: str) -> list[Call]:
        """List the starts that arrived with this `startedBy`: more than one means that a call was sent again."""
        return [Call(**call) for call in self._history.calls.values() if call.get("token") == token]

    def tasks(self) -> list[TrueTask]:
        """List all tasks that ever were, in order of starting."""
        return [_snapshot(task) for task in self._all().values()]

    def running(self) -> list[TrueTask]:
        """List the tasks whose desired status is RUNNING."""
        return [task for task in self.tasks() if task.live]

    def task(self, arn: str) -> TrueTask | None:
        """Return one task, or None."""
        found = self._all().get(arn)
        return _snapshot(found) if found is not None else None

    def started_by(self, token: str) -> list[TrueTask]:
        """List the tasks that were started with this `startedBy`."""
        tasks = self._all()
        return [_snapshot(tasks[arn]) for arn in self._history.by_token.get(token, ())]

    def tasks_by_token(self) -> dict[str | None, list[str]]:
        """Return the ARNs of all tasks that ever were by `startedBy`; None for those without."""
        return {token: list(arns) for token, arns in self._history.by_token.items()}

    def duplicates(self, *, live_only: bool = False) -> list[Duplicate]:
        """Find duplicate tasks: more of a token than one StartTask named on an instance, or than one RunTask's `count`.

        Each `startedBy` is taken for the identity of one logical call, which may have been sent several times. Tasks
        without one are ignored. `live_only` counts only the tasks that still run.
        """
        requested = self._requested()
        made: dict[tuple[str, str | None], list[Task | TrueTask]] = {}
        for task in self._all().values():
            if task.started_by is not None and (task.desired_status == RUNNING or not live_only):
                made.setdefault((task.started_by, self._named(task)), []).append(task)
        return [
            Duplicate(key[0], _arn(tasks[0], key[1]), requested.get(key, 0), tuple(task.arn for task in tasks))
            for key, tasks in made.items()
            if len(tasks) > requested.get(key, 0)
        ]

    def as_json(self) -> Json:
        """Return everything as JSON: `tasks`, `calls`, `dropped`, `requests`, `throttled`, `duplicates`."""
        return {
            "tasks": [attrs.asdict(task) for task in self.tasks()],
            "calls": [attrs.asdict(call) for call in self.calls()],
            "dropped": self.dropped,
            "requests": dict(self.requests),
            "throttled": dict(self.throttled),
            "duplicates": [attrs.asdict(duplicate) for duplicate in self.duplicates()],
        }

    def __repr__(self) -> str:
        return (
            f"Truth(calls={self._history.arrivals}, tasks={len(self._history.tasks)}, requests={self.requests.total()})"
        )

    def _all(self) -> dict[str, Task | TrueTask]:
        self._history.refresh()
        return self._history.tasks

    def _requested(self) -> dict[tuple[str, str | None], int]:
        """Return the most tasks that one call requested, by token and instance id (None for RunTask)."""
        requested: dict[tuple[str, str | None], int] = {}
        for call in self.calls():
            named = Counter[str | None](each.rsplit("/", 1)[-1] for each in call.instances)
            if call.operation == "RunTask":
                named = Counter({None: call.count})
            for instance, count in named.items():
                if call.token is not None:
                    requested[call.token, instance] = max(requested.get((call.token, instance), 0), count)
        return requested

    def _named(self, task: Task | TrueTask) -> str | None:
        """Return the instance id that the call named; RunTask names none."""
        by_run = self._history.operation(task.call) == "RunTask"
        return None if by_run else _instance_arn(task).rsplit("/", 1)[-1] or None


def _arn(task: Task | TrueTask, named: str | None) -> str:
    return "" if named is None else _instance_arn(task)


def _instance_arn(task: Task | TrueTask) -> str:
    if isinstance(task, TrueTask):
        return task.container_instance_arn
    return "" if task.instance is None else task.instance.arn


def _snapshot(task: Task | TrueTask) -> TrueTask:
    if isinstance(task, TrueTask):
        return task
    return TrueTask(
        arn=task.arn,
        call=task.call,
        container_instance_arn=task.instance.arn if task.instance is not None else "",
        cluster_arn=task.cluster.arn,
        family=task.family,
        started_by=task.started_by,
        last_status=task.last_status,
        desired_status=task.desired_status,
        created_at=task.created_at,
        started_at=task.started_at,
        stopped_at=task.stopped_at,
        stop_code=task.stop_code,
        stopped_reason=task.stopped_reason,
        tags=tuple(task.tags.items()),
        group=task.group,
        launch_type=task.launch_type,
        capacity_provider=task.capacity_provider,
    )
