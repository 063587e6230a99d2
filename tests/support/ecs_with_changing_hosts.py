"""A model of ECS in virtual time whose hosts join, leave, drain, fill and empty."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

import attrs

import aioecs
from aioecs import Failure, StartTaskRequest, Task
from aioecs._model.attempt import Answered, Attempt
from aioecs._model.codec.shape import Shape
from aioecs._transport.transport import Operation, SentMarker
from aioecs.types import Attribute, ContainerDefinition, ContainerInstance, Resource

PREFIX = "arn:aws:ecs:us-east-1:123456789012:"


@attrs.define(eq=False)
class ModelHost:
    """A container instance as it truly is."""

    arn: str
    cpu: int
    memory: int
    free_cpu: int
    free_memory: int
    status: str = "ACTIVE"
    agent: bool = True
    tasks: int = 0

    def takes(self, cpu: int, memory: int) -> str | None:
        """Return why it takes no such task now, as ECS says it."""
        if self.status != "ACTIVE":
            return "INACTIVE"
        if not self.agent:
            return "AGENT"
        if self.free_cpu < cpu:
            return "RESOURCE:CPU"
        return "RESOURCE:MEMORY" if self.free_memory < memory else None

    def use(self, cpu: int, memory: int, tasks: int) -> None:
        """Take so much off, or give it back."""
        self.free_cpu -= cpu
        self.free_memory -= memory
        self.tasks += tasks


class ModelECS:
    """A transport to an ECS of hosts with CPU and memory; a task of family `c-m` takes `c` CPU and `m` memory."""

    kind, endpoint_url, region, partition = "model", "http://model", "us-east-1", "aws"

    def __init__(self, *, lasts: Callable[[], float], latency: Callable[[], float] = lambda: 0.0) -> None:
        self.hosts: dict[str, ModelHost] = {}
        self.started: dict[str, Task] = {}
        self._running: dict[str, None] = {}
        self._started_by: defaultdict[str | None, list[str]] = defaultdict(list)
        self.requests: Counter[str] = Counter()
        self.refusals = 0
        self.rate_limit_key = self
        self.busy_until = 0.0
        self._lasts, self._latency = lasts, latency
        self._numbers = itertools.count()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop whose clock it has."""
        return asyncio.get_running_loop()

    def join(self, cpu: int, memory: int) -> ModelHost:
        """Let a host join the cluster."""
        arn = f"{PREFIX}container-instance/default/{next(self._numbers):032x}"
        host = self.hosts[arn] = ModelHost(arn, cpu, memory, cpu, memory)
        return host

    def occupy(self, host: ModelHost, cpu: int, memory: int, seconds: float) -> bool:
        """Let a task run there for a while, if it fits."""
        if host.takes(cpu, memory) is not None:
            return False
        host.use(cpu, memory, 1)
        self.loop.call_later(seconds, host.use, -cpu, -memory, -1)
        return True

    def has_capacity(self, cpu: int, memory: int) -> bool:
        """Return whether a refresh now would show capacity for such a task."""
        return any(host.takes(cpu, memory) is None for host in self.hosts.values())

    async def attempt(self, operation: Operation[Any], request: Shape, sent_marker: SentMarker) -> Attempt[Any]:
        """Answer; a StartTask has a latency in each direction."""
        sent_marker.body_started = True
        self.requests[operation.name] += 1
        if operation.name != "StartTask":
            return Answered(getattr(self, operation.method)(request))
        await asyncio.sleep(self._latency())
        answer = self.start_task(cast("StartTaskRequest", request))
        await asyncio.sleep(self._latency())
        return Answered(answer)

    def start_task(self, request: StartTaskRequest) -> aioecs.StartTaskResponse:
        """Start what fits."""
        tasks: list[Task] = []
        failures: list[Failure] = []
        cpu, memory = sizes_of(request)
        for instance in request.container_instances:
            host = self.hosts.get(instance)
            why = host.takes(cpu, memory) if host is not None else "MISSING"
            if host is None or why is not None:
                self.refusals += 1
                failures.append(Failure(arn=instance, reason=why))
                continue
            seconds = self._lasts()
            self.occupy(host, cpu, memory, seconds)
            task = Task(
                task_arn=f"{PREFIX}task/default/{next(self._numbers):032x}",
                container_instance_arn=instance,
                task_definition_arn=f"{PREFIX}task-definition/{request.task_definition}:1",
                started_by=request.started_by,
                created_at=datetime(2026, 1, 1, tzinfo=UTC),
                desired_status="RUNNING",
            )
            self.started[task.task_arn or ""] = task
            self._started_by[task.started_by].append(task.task_arn or "")
            self._running[task.task_arn or ""] = None
            self.loop.call_later(seconds, self._running.pop, task.task_arn or "")
            tasks.append(task)
        return aioecs.StartTaskResponse(tasks=tasks, failures=failures)

    def list_tasks(self, request: aioecs.ListTasksRequest) -> aioecs.ListTasksResponse:
        """List tasks of one status, by `started_by` and instance, a hundred a page."""
        stopped = request.desired_status == "STOPPED"
        every = self.started if stopped else self._running
        arns = [
            arn
            for arn in (every if request.started_by is None else self._started_by[request.started_by])
            if (arn not in self._running) is stopped
            and request.container_instance in (None, self.started[arn].container_instance_arn)
        ]
        at = int(request.next_token or 0)
        token = str(at + 100) if len(arns) > at + 100 else None
        return aioecs.ListTasksResponse(task_arns=arns[at : at + 100], next_token=token)

    def describe_tasks(self, request: aioecs.DescribeTasksRequest) -> aioecs.DescribeTasksResponse:
        """Describe them."""
        return aioecs.DescribeTasksResponse(tasks=[self.started[arn] for arn in request.tasks])

    def describe_task_definition(self, request: Any) -> aioecs.DescribeTaskDefinitionResponse:
        """Read the sizes off the name."""
        cpu, memory = map(int, request.task_definition.split("-"))
        container = ContainerDefinition(name="main", cpu=cpu, memory=memory)
        return aioecs.DescribeTaskDefinitionResponse(
            task_definition=aioecs.types.TaskDefinition(container_definitions=[container])
        )

    def list_container_instances(self, request: Any) -> aioecs.ListContainerInstancesResponse:
        """List what is ACTIVE, a hundred a page."""
        at = int(request.next_token or 0)
        arns = [host.arn for host in self.hosts.values() if host.status == "ACTIVE"]
        token = str(at + 100) if len(arns) > at + 100 else None
        return aioecs.ListContainerInstancesResponse(container_instance_arns=arns[at : at + 100], next_token=token)

    def describe_container_instances(self, request: Any) -> aioecs.DescribeContainerInstancesResponse:
        """Show them as they are."""
        shown = [self.hosts[arn] for arn in request.container_instances if arn in self.hosts]
        return aioecs.DescribeContainerInstancesResponse(container_instances=[shown_as(host) for host in shown])


LINUX = (Attribute(name="ecs.os-type", value="linux"),)


def shown_as(host: ModelHost) -> ContainerInstance:
    """Describe a host."""
    return ContainerInstance(
        container_instance_arn=host.arn,
        status=host.status,
        agent_connected=host.agent,
        running_tasks_count=host.tasks,
        remaining_resources=[amount("CPU", host.free_cpu), amount("MEMORY", host.free_memory)],
        registered_resources=[amount("CPU", host.cpu), amount("MEMORY", host.memory)],
        attributes=LINUX,
    )


@cache
def amount(name: str, value: int) -> Resource:
    """Make an amount; each is made once."""
    return Resource(name=name, type="INTEGER", integer_value=value)


def sizes_of(request: StartTaskRequest) -> tuple[int, int]:
    """Read what a task takes off the name of its definition, and its overrides."""
    cpu, memory = map(int, request.task_definition.split("-"))
    over = request.overrides
    if over is None:
        return cpu, memory
    return int(over.cpu or cpu), int(over.memory or memory)
