"""What a check works with: starts tasks within the limit, finds and stops them, and notes what was seen."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import attrs

from aioecs.conformance._calls import Answer, Blocked, NoAnswer, send
from aioecs.conformance._report import Finding, judged
from aioecs.conformance._setup import Setup

T = TypeVar("T")

MOST_TASKS = 60
"""Tasks that a run starts at most."""
REASON = "aioecs:conformance"
"""The reason given for stopping them."""
_STOPPED_WITHIN = 120.0  # seconds that a task is given to stop; docker gives a container 30 after SIGTERM


@attrs.define
class Context:
    """One run of the checks on one cluster.

    connect: opens another client of the same ECS, given arguments of `create_client`.
    pass_time: lets an amount of seconds pass for ECS, however it does.
    """

    ecs: Any
    setup: Setup
    connect: Callable[..., Any]
    pass_time: Callable[[float], Awaitable[object]] = anyio.sleep
    run: str = attrs.field(factory=lambda: secrets.token_hex(4))
    requests: int = 0
    findings: list[Finding] = attrs.field(factory=list[Finding])
    tasks: dict[str, float] = attrs.field(factory=dict[str, float])
    """The ARNs of all tasks, and when each was found, on the monotonic clock."""
    stopped: set[str] = attrs.field(factory=set[str])
    """Those that have been asked to stop."""
    open_tokens: set[str] = attrs.field(factory=set[str])
    """The `startedBy` of starts without an answer, whose tasks may not be known."""
    aged: float = 0.0
    """How long it has waited for tokens and tasks to grow old, in seconds of ECS."""
    draining: str | None = None
    """A container instance that was set to DRAINING, and has yet to be set back to ACTIVE."""
    replayed: tuple[str, list[str]] | None = None
    """A clientToken whose tasks have stopped, and the tasks."""
    reserved: int = 0
    """Tasks that requests in flight may start."""
    _tokens: int = 0
    _in_flight: set[asyncio.Task[Answer]] = attrs.field(factory=set[asyncio.Task[Answer]])

    def add_finding(self, name: str, holds: bool, seen: str) -> None:
        """Note what was seen of a fact, and whether it is as expected."""
        self.findings.append(judged(name, holds, seen))

    def new_token(self) -> str:
        """Return a new `startedBy`."""
        self._tokens += 1
        return f"aioecs-check-{self.run}-{self._tokens}"

    async def call(self, operation: str, **members: Any) -> Answer:
        """Send a request to the cluster, without effect on tasks.

        Raises:
            NoAnswer: the connection broke.
        """
        self.requests += 1
        return await send(self.ecs, operation, **{"cluster": self.setup.cluster, **members})

    async def start(self, instances: list[str], token: str | None = None, **members: Any) -> Answer:
        """Send a StartTask.

        Raises:
            Blocked: it could start more tasks than the run may.
            NoAnswer: the connection broke; its token is kept for cleaning up.
        """
        members = {"containerInstances": instances, "startedBy": token or self.new_token(), **members}
        return await self._start(len(instances), "start_task", members)

    async def run_task(self, count: int, client_token: str, **members: Any) -> Answer:
        """Send a RunTask on container instances; it raises as `start` does."""
        members = {"count": count, "clientToken": client_token, "launchType": "EC2", **members}
        return await self._start(count, "run_task", {"startedBy": f"aioecs-check-{self.run}", **members})

    async def _start(self, count: int, operation: str, members: dict[str, Any]) -> Answer:
        """Send a start in a task of its own: a cancel of the check must not lose its answer."""
        self.reserve(count)
        ecs = members.pop("ecs", self.ecs)
        members = {"cluster": self.setup.cluster, "taskDefinition": self.setup.task_definition, **members}
        sending = asyncio.create_task(self._send_start(ecs, count, operation, members))
        self._in_flight.add(sending)
        sending.add_done_callback(self._in_flight.discard)
        return await asyncio.shield(sending)

    def reserve(self, count: int) -> None:
        """Count tasks that a request may start.

        Raises:
            Blocked: they are more than the run may start.
        """
        if len(self.tasks) + self.reserved + count > MOST_TASKS:
            raise Blocked(f"a run starts at most {MOST_TASKS} tasks")
        self.reserved += count

    async def _send_start(self, ecs: Any, count: int, operation: str, members: dict[str, Any]) -> Answer:
        token = str(members["startedBy"])
        self.open_tokens.add(token)
        self.requests += 1
        try:
            answer = await send(ecs, operation, **members)
        except Blocked:  # it is not permitted, so nothing was started
            self.open_tokens.discard(token)
            raise
        finally:
            self.reserved -= count
        self.add_tasks(answer.arns)
        if answer.status < 500:
            self.open_tokens.discard(token)
        return answer

    def add_tasks(self, arns: list[str]) -> None:
        """Keep tasks, to stop them later."""
        for arn in arns:
            self.tasks.setdefault(arn, time.monotonic())

    async def started(self, instances: list[str], token: str | None = None) -> list[str]:
        """Start tasks that must start, and return their ARNs.

        Raises:
            Blocked: ECS refused some.
        """
        answer = await self.start(instances, token)
        if answer.error is not None or len(answer.arns) != len(instances):
            raise Blocked(f"StartTask: {answer}")
        return answer.arns

    async def age(self, seconds: float) -> None:
        """Wait until the long waits of this run, all together, have taken so many seconds."""
        await self.pass_time(max(0.0, seconds - self.aged))
        self.aged = max(self.aged, seconds)

    async def settled(self) -> None:
        """Wait for the answers of starts that a cancelled check has left."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def list_tasks(self, **members: Any) -> list[str]:
        """Return the first page of a ListTasks.

        Raises:
            Blocked: ECS answered with an error.
        """
        answer = await self.call("list_tasks", **members)
        if answer.error is not None:
            raise Blocked(f"ListTasks: {answer}")
        return [str(arn) for arn in answer.body["taskArns"]]

    async def find(self, token: str, *, count: int = 1) -> list[str]:
        """List the tasks of a token until there are so many, or time for consistency has passed."""

        async def listed() -> list[str] | None:
            found = await self.list_tasks(startedBy=token)
            return found if len(found) >= count else None

        found = await self.poll(listed, self.setup.consistency) or []
        self.add_tasks(found)
        if found:
            self.open_tokens.discard(token)
        return found

    async def poll(self, read: Callable[[], Awaitable[T | None]], seconds: float) -> T | None:
        """Read again and again until there is something, and return it; None if the time has passed."""
        with anyio.move_on_after(seconds):
            while True:
                if (found := await read()) is not None:
                    return found
                await anyio.sleep(self.setup.poll)
        return None

    async def describe(self, arn: str) -> dict[str, Any] | None:
        """Return a task as DescribeTasks shows it; None while it is MISSING."""
        answer = await self.call("describe_tasks", tasks=[arn])
        return next(iter(answer.body.get("tasks", ())), None)

    async def stop(self, arns: list[str], reason: str = REASON) -> list[Answer]:
        """Ask tasks to stop, and return the answers."""
        answers: list[Answer] = []
        for arn in arns:
            answers.append(await self.call("stop_task", task=arn, reason=reason))
            if answers[-1].error is None:
                self.stopped.add(arn)
        return answers

    async def stop_all(self) -> None:
        """Ask the tasks to stop that have not been asked yet; those that are gone count as stopped."""
        for arn in [arn for arn in self.tasks if arn not in self.stopped]:
            try:
                answer = await self.call("stop_task", task=arn, reason=REASON)
            except (Blocked, NoAnswer):
                continue
            if answer.error in (None, "InvalidParameterException"):
                self.stopped.add(arn)

    async def until_stopped(self, arn: str) -> dict[str, Any]:
        """Wait until a task has stopped, and return it.

        Raises:
            Blocked: it did not stop in time.
        """

        async def stopped() -> dict[str, Any] | None:
            task = await self.describe(arn)
            return task if task is not None and task.get("lastStatus") == "STOPPED" else None

        if (task := await self.poll(stopped, _STOPPED_WITHIN)) is None:
            raise Blocked(f"a task did not stop within {_STOPPED_WITHIN:.0f} s")
        return task
