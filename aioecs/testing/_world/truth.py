"""The truth: which calls arrived, what each of them did, and what became of every task, whatever the caller was told.

It remembers every task for as long as it lives, those that ECS itself has forgotten among them, and every call that
started or stopped one. Of the others, refused ones above all, it keeps the last ten thousand, with long texts cut.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, cast

import attrs

from aioecs.testing._operations.members import Json
from aioecs.testing._world.state import RUNNING, Task

CALLS_WITHOUT_EFFECT = 10_000  # how many calls that neither started nor stopped anything are kept one by one
_TEXT = 300  # characters of a request's text that are kept; startedBy, ARNs and client tokens are shorter
_ITEMS = 11  # names of instances that are kept; a good request has ten
_OPERATIONS = 500  # operations that are counted by name

LOGGED = frozenset({"StartTask", "RunTask", "StopTask"})
"""The operations whose calls are kept one by one; the others are counted."""


@attrs.frozen
class Call:
    """A StartTask, RunTask or StopTask that arrived.

    number: counts the logged calls, from 1.  at: when it arrived, epoch seconds.
    token: its `startedBy`.  client_token: its `clientToken` (RunTask).
    instances: as the request named them.  count: how many tasks a RunTask asked for.
    stopped: the task that a StopTask named.
    tasks: ARNs of the tasks that it created.  failures: (arn, reason) of each entry.
    error: the code that it was answered with.  fault: the kind of fault that hit it.
    executed: whether the operation ran.  answered: whether its own answer was handed to the connection, whole; False
        is certain, True does not prove that the caller got it.
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
    """A task as it is now.

    arn, cluster_arn, container_instance_arn: what it is and where; "" for a task without an instance, as on Fargate.
    launch_type, capacity_provider: how it was placed.  family: of its task definition.
    call: the number of the call that created it.  started_by, group, tags: as that call gave them.
    last_status, desired_status: as DescribeTasks tells them.  stop_code, stopped_reason: why it stopped, if it did.
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
        """Whether it runs or is to run."""
        return self.desired_status == RUNNING


@attrs.frozen
class Duplicate:
    """More tasks of one `token` than any single call with it `asked` for.

    container_instance_arn: the instance that StartTask calls named; "" for tasks of RunTask, which are counted
        together, wherever they are.
    """

    token: str
    container_instance_arn: str
    asked: int
    tasks: tuple[str, ...]


def _nothing() -> None:
    """Be up to date already."""


@attrs.define
class Ledger:
    """Where the engine writes down what happens; `Truth` reads it. A logged call is the members of a `Call`."""

    calls: dict[int, dict[str, Any]] = attrs.field(factory=dict[int, dict[str, Any]])
    tasks: dict[str, Task] = attrs.field(factory=dict[str, Task])
    by_token: dict[str | None, list[str]] = attrs.field(factory=dict[str | None, list[str]])
    requests: Counter[str] = attrs.field(factory=Counter[str])
    throttled: Counter[str] = attrs.field(factory=Counter[str])
    refresh: Callable[[], None] = _nothing
    arrivals: int = 0
    dropped: int = 0
    _without_effect: deque[int] = attrs.field(factory=deque[int])

    def arrived(self, operation: str, request: Json, at: float, fault: str | None) -> int:
        """Write down a call that arrived; return its number, 0 for operations that are counted only."""
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

    def ended(self, number: int) -> None:
        """Let a logged call go that had no effect, once there are too many of them."""
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
        """Name the operation of a logged call."""
        return str(self.calls[number]["operation"]) if number in self.calls else ""

    def created(self, task: Task) -> None:
        """Write down a task."""
        self.tasks[task.arn] = task
        self.by_token.setdefault(task.started_by, []).append(task.arn)

    def settled(self, number: int, **facts: Any) -> None:
        """Amend a logged call by what has become known of it."""
        if number in self.calls:
            self.calls[number].update(facts)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 1


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= _TEXT else f"{value[:_TEXT]}…"


def _texts(value: object) -> tuple[str, ...]:
    """Keep the strings of a list, as many as a good request has and one more."""
    found = [_text(each) for each in cast("list[object]", value)[:_ITEMS]] if isinstance(value, list) else []
    return tuple(each for each in found if each is not None)


class Truth:
    """What really happened. Reading it changes nothing and takes no token from a bucket."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def requests(self) -> Counter[str]:
        """How many requests arrived, by operation, whatever became of them."""
        return self._ledger.requests

    @property
    def throttled(self) -> Counter[str]:
        """How many of them were throttled, by an empty bucket or a "throttle" fault."""
        return self._ledger.throttled

    @property
    def dropped(self) -> int:
        """How many logged calls without effect are no longer in `calls`: only the last ten thousand are."""
        return self._ledger.dropped

    def calls(self, operation: str | None = None) -> list[Call]:
        """List the logged calls in order of arrival, of one operation or all."""
        return [Call(**call) for call in self._ledger.calls.values() if operation in (None, call["operation"])]

    def sends(self, token: str) -> list[Call]:
        """List the starts that arrived with this `startedBy`: more than one is a call sent again."""
        return [Call(**call) for call in self._ledger.calls.values() if call.get("token") == token]

    def tasks(self) -> list[TrueTask]:
        """List all tasks that ever were, in order of starting."""
        return [_snapshot(task) for task in self._all().values()]

    def running(self) -> list[TrueTask]:
        """List the tasks that run or are to run."""
        return [task for task in self.tasks() if task.live]

    def task(self, arn: str) -> TrueTask | None:
        """Give one task."""
        found = self._all().get(arn)
        return _snapshot(found) if found is not None else None

    def started_by(self, token: str) -> list[TrueTask]:
        """List the tasks that were started with this `startedBy`."""
        tasks = self._all()
        return [_snapshot(tasks[arn]) for arn in self._ledger.by_token.get(token, ())]

    def tasks_by_token(self) -> dict[str | None, list[str]]:
        """Give the ARNs of all tasks that ever were by `startedBy`; None for those without."""
        return {token: list(arns) for token, arns in self._ledger.by_token.items()}

    def duplicates(self, *, live_only: bool = False) -> list[Duplicate]:
        """Find tasks that nobody asked for: more than one StartTask with a token named an instance, or than one RunTask
        with it counted.

        It takes every `startedBy` for the identity of one logical call, which may have been sent several times; it says
        nothing of tasks without one. `live_only` looks at the tasks that still run.
        """
        asked = self._asked()
        made: dict[tuple[str, str | None], list[Task]] = {}
        for task in self._all().values():
            if task.started_by is not None and (task.desired_status == RUNNING or not live_only):
                made.setdefault((task.started_by, self._named(task)), []).append(task)
        return [
            Duplicate(key[0], _arn(tasks[0], key[1]), asked.get(key, 0), tuple(task.arn for task in tasks))
            for key, tasks in made.items()
            if len(tasks) > asked.get(key, 0)
        ]

    def as_json(self) -> Json:
        """Give all of it as JSON: `tasks`, `calls`, `dropped`, `requests`, `throttled`, `duplicates`."""
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
            f"Truth(calls={self._ledger.arrivals}, tasks={len(self._ledger.tasks)}, requests={self.requests.total()})"
        )

    def _all(self) -> dict[str, Task]:
        self._ledger.refresh()
        return self._ledger.tasks

    def _asked(self) -> dict[tuple[str, str | None], int]:
        """Count, per token and instance id, the entries of the StartTask that had most; under None, RunTask's count."""
        asked: dict[tuple[str, str | None], int] = {}
        for call in self.calls():
            named = Counter[str | None](each.rsplit("/", 1)[-1] for each in call.instances)
            if call.operation == "RunTask":
                named = Counter({None: call.count})
            for instance, count in named.items():
                if call.token is not None:
                    asked[call.token, instance] = max(asked.get((call.token, instance), 0), count)
        return asked

    def _named(self, task: Task) -> str | None:
        """Name the instance that was asked for: RunTask names none."""
        by_run = self._ledger.operation(task.call) == "RunTask"
        return None if by_run or task.instance is None else task.instance.id


def _arn(task: Task, named: str | None) -> str:
    return task.instance.arn if named is not None and task.instance is not None else ""


def _snapshot(task: Task) -> TrueTask:
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
