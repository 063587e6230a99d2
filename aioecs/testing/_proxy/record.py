"""What passed through the proxy: each request, what the upstream answered, and the tasks that exist by its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import attrs

from aioecs.testing._operations.members import Json
from aioecs.testing._serving.backend import Reply
from aioecs.testing._serving.request_body import json_object
from aioecs.testing._state.records import Task
from aioecs.testing._state.truth import History, TrueTask, Truth

KEPT_TASKS = 50_000
"""How many tasks are kept; the oldest are forgotten, with their calls."""
_STARTS = ("StartTask", "RunTask")


@attrs.define
class Record:
    """Records calls and tasks. `truth` reads them."""

    clock: Callable[[], float] = time.time
    kept_tasks: int = KEPT_TASKS
    history: History = attrs.field(factory=History)
    _last_start: dict[str, int] = attrs.field(factory=dict[str, int])
    """The number of the last start with each `startedBy`, in order of their first starts."""

    @property
    def truth(self) -> Truth:
        """What really happened, as far as it passed through the proxy."""
        return Truth(self.history)

    def arrived(self, operation: str, request: Json, fault: str | None) -> int:
        """Record a request; return its number, 0 for one that is only counted."""
        number = self.history.call_arrived(operation, request, self.clock(), fault)
        if operation in _STARTS and isinstance(token := request.get("startedBy"), str):
            self._last_start[token] = number
            if len(self._last_start) > self.kept_tasks:
                del self._last_start[next(iter(self._last_start))]
        return number

    def stopped_before(self, operation: str, request: Json, fault: str) -> None:
        """Record a request that a fault kept from the upstream."""
        self.history.call_ended(self.arrived(operation, request, fault))

    def answered(self, number: int, operation: str, reply: Reply) -> None:
        """Record what the upstream answered to a request that was passed on."""
        body = json_object(reply.body)
        error = None if reply.status < 300 else _error_code(body, reply)
        for wire in _tasks(body) if error is None else ():
            self._observe(wire, number, started=operation in _STARTS)
        tasks = tuple(str(wire["taskArn"]) for wire in _tasks(body)) if operation in _STARTS else ()
        failures = tuple((str(each.get("arn", "")), str(each.get("reason", ""))) for each in _objects(body, "failures"))
        self.history.amend_call(
            number, executed=True, answered=True, error=error, tasks=tasks, failures=failures if number else ()
        )
        self.history.throttled[operation] += error is not None and error.startswith("Throttling")
        self.history.call_ended(number)

    def unanswered(self, number: int, *, sent: bool) -> None:
        """Record that the upstream gave no answer; sent: the request may have reached it."""
        error = "UpstreamGaveNoAnswer" if sent else "UpstreamNotReached"
        self.history.amend_call(number, executed=sent, error=error)
        self.history.call_ended(number)

    def gone(self, arns: list[str]) -> None:
        """Record that the upstream knows these tasks no more: they have stopped, whenever that was."""
        for arn in arns:
            known = self.history.tasks.get(arn)
            if isinstance(known, TrueTask):
                self.history.tasks[arn] = attrs.evolve(known, last_status="STOPPED", desired_status="STOPPED")

    def _observe(self, wire: Json, number: int, *, started: bool) -> None:
        """Keep the present state of a task, if it is one of a request that was seen."""
        known = self.history.tasks.get(str(wire["taskArn"]))
        if isinstance(known, TrueTask):
            self._update(known, _task(wire, known.call, known))
            return
        call = number if started else self._last_start.get(str(wire.get("startedBy")), 0)
        if call:
            self.history.task_created(_task(wire, call))
            self._forget_the_oldest()

    def _update(self, known: TrueTask, seen: TrueTask) -> None:
        """Keep the present state of a task; its `startedBy` may be known only now, as a replay of RunTask has none."""
        if seen.started_by == known.started_by:
            self.history.tasks[known.arn] = seen
        else:
            self._forget_token(known)
            self.history.task_created(seen)

    def _forget_token(self, task: Task | TrueTask) -> None:
        same = self.history.by_token[task.started_by]
        same.remove(task.arn)
        if not same:
            del self.history.by_token[task.started_by]

    def _forget_the_oldest(self) -> None:
        while len(self.history.tasks) > self.kept_tasks:
            oldest = self.history.tasks.pop(next(iter(self.history.tasks)))
            self._forget_token(oldest)
            self.history.dropped += self.history.calls.pop(oldest.call, None) is not None


def _objects(body: Json, name: str) -> Iterator[Json]:
    found = body.get(name)
    for each in cast("list[object]", found) if isinstance(found, list) else ():
        if isinstance(each, dict):
            yield cast("Json", each)


def _tasks(body: Json) -> Iterator[Json]:
    """Return the tasks in an answer of StartTask, RunTask, DescribeTasks or StopTask."""
    one: Any = body.get("task")
    candidates = [*_objects(body, "tasks"), *([cast("Json", one)] if isinstance(one, dict) else ())]
    return (each for each in candidates if isinstance(each.get("taskArn"), str))


def _error_code(body: Json, reply: Reply) -> str:
    code = body.get("__type") or body.get("code")
    header = next((value for name, value in reply.headers or () if name.lower() == "x-amzn-errortype"), None)
    return str(code or header or f"HTTP {reply.status}").rpartition("#")[2].partition(":")[0][:100]


def _task(wire: Json, call: int, known: TrueTask | None = None) -> TrueTask:
    """Read a task; what a later answer leaves out is kept from what is known."""
    before: dict[str, Any] = {} if known is None else attrs.asdict(known, recurse=False)

    def text(name: str, member: str) -> Any:
        value = wire.get(name)
        return value if isinstance(value, str) else before.get(member)

    def moment(name: str, member: str) -> float | None:
        value = wire.get(name)
        return float(value) if isinstance(value, (int, float)) else before.get(member)

    tags = tuple((str(tag.get("key")), str(tag.get("value"))) for tag in _objects(wire, "tags"))
    return TrueTask(
        arn=str(wire["taskArn"]),
        call=call,
        container_instance_arn=text("containerInstanceArn", "container_instance_arn") or "",
        cluster_arn=text("clusterArn", "cluster_arn") or "",
        family=str(wire.get("taskDefinitionArn", "")).rpartition("/")[2].rpartition(":")[0] or before.get("family", ""),
        started_by=text("startedBy", "started_by"),
        last_status=text("lastStatus", "last_status") or "",
        desired_status=text("desiredStatus", "desired_status") or "",
        created_at=moment("createdAt", "created_at") or 0.0,
        started_at=moment("startedAt", "started_at"),
        stopped_at=moment("stoppedAt", "stopped_at"),
        stop_code=text("stopCode", "stop_code"),
        stopped_reason=text("stoppedReason", "stopped_reason"),
        tags=tags or before.get("tags", ()),
        group=text("group", "group") or "",
        launch_type=text("launchType", "launch_type") or "EC2",
        capacity_provider=text("capacityProviderName", "capacity_provider"),
    )
