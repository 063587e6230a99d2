"""The records of the local ECS: clusters, task definitions, container instances and tasks, as mutable objects.

They hold state and counts, and no rules. A `TaskIndex` holds the tasks that a list operation selects, so that no
operation iterates over all tasks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import attrs

from aioecs.testing._operations.members import Json
from aioecs.testing._placement.strategy import StrategyItem

RUNNING = "RUNNING"
PROVISIONING = "PROVISIONING"
PENDING = "PENDING"
STOPPING = "STOPPING"
STOPPED = "STOPPED"


@attrs.frozen
class Need:
    """The resources that one task needs: CPU units, MiB, GPUs, network interfaces and host ports."""

    cpu: int = 0
    memory: int = 0
    gpus: int = 0
    enis: int = 0
    tcp: frozenset[int] = frozenset()
    udp: frozenset[int] = frozenset()


@attrs.frozen
class Port:
    """A port mapping of a container: with `host` 0 the agent chooses a port."""

    container: int
    host: int
    protocol: str


@attrs.frozen
class ContainerPlan:
    """The members of a container definition that the local ECS uses."""

    name: str
    image: str
    cpu: int
    memory: int | None
    memory_reservation: int | None
    gpus: int
    ports: tuple[Port, ...]


@attrs.define(eq=False)
class Definition:
    """A revision of a task definition; `wire` is its description in responses."""

    family: str
    revision: int
    arn: str
    network_mode: str
    containers: tuple[ContainerPlan, ...]
    cpu: int | None
    memory: int | None
    requires: tuple[tuple[str, str | None], ...]
    constraints: tuple[str, ...]
    wire: Json
    tags: dict[str, str]
    need: Need
    active: bool = True
    fails_to_start: str | None = None


@attrs.define(eq=False)
class Task:
    """A task, from its start to an hour after its end.

    id, arn: as ECS names it.  seq: the number of its start.  version: the number of its changes.
    cluster, instance, definition: where it runs, and of what definition; a task on Fargate has no instance, and one of
        a capacity provider gets it once capacity is found.  need, gpu_ids: the resources reserved on the instance.
    call: the number of the call that created it.  started_by, group, overrides, tags, enable_execute_command,
        launch_type, network: as in that call.  container_ids: one for each container.
    capacity_provider, platform_version, zone: None for a task without.  find_instance: finds an instance for a task of
        a capacity provider, or returns None.
    last_status, desired_status, health: as in DescribeTasks.  stop_code, stopped_reason, exit_code: how it ended.
    created_at, started_at, stopping_at, stopped_at: epoch seconds; None for what has not happened.
    """

    seq: int
    id: str
    arn: str
    cluster: Cluster
    instance: Instance | None
    definition: Definition
    created_at: float
    started_by: str | None
    group: str
    overrides: Json
    need: Need
    gpu_ids: tuple[str, ...]
    container_ids: tuple[str, ...]
    tags: dict[str, str]
    enable_execute_command: bool
    launch_type: str
    network: Json | None
    call: int
    capacity_provider: str | None = None
    platform_version: str | None = None
    zone: str | None = None
    find_instance: Callable[[], Instance | None] | None = None
    last_status: str = PENDING
    desired_status: str = RUNNING
    version: int = 1
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_code: int | None = None
    health: str = "UNKNOWN"

    @property
    def family(self) -> str:
        """The family of its task definition."""
        return self.definition.family


@attrs.define(eq=False)
class TaskIndex:
    """Tasks by desired status, each under the sequence number of its start."""

    live: dict[int, Task] = attrs.field(factory=dict[int, Task])
    stopped: dict[int, Task] = attrs.field(factory=dict[int, Task])

    def add(self, task: Task) -> None:
        """Add a task whose desired status is RUNNING."""
        self.live[task.seq] = task

    def stop(self, task: Task) -> None:
        """Move a task whose desired status has become STOPPED."""
        self.stopped[self.live.pop(task.seq).seq] = task

    def remove(self, task: Task) -> None:
        """Remove a stopped task."""
        del self.stopped[task.seq]

    def __bool__(self) -> bool:
        return bool(self.live or self.stopped)

    def page(self, desired: str, after: int, limit: int, keep: Callable[[Task], bool]) -> tuple[list[Task], bool]:
        """Return up to `limit` tasks started after the sequence number `after`, and whether there are more."""
        tasks = self.live if desired == RUNNING else self.stopped if desired == STOPPED else {}
        # Tasks are added in order of starting, so `live` is sorted already, and sorting it takes linear time.
        order = sorted(tasks)
        found: list[Task] = []
        for seq in order[bisect_right(order, after) :] if after else order:
            task = tasks[seq]
            if keep(task):
                if len(found) == limit:
                    return found, True
                found.append(task)
        return found, False


@attrs.define(eq=False)
class Instance:
    """A container instance: its registered resources and what its tasks use; `members` is added to its description."""

    seq: int
    id: str
    arn: str
    ec2_instance_id: str
    cpu: int
    memory: int
    gpu_ids: tuple[str, ...]
    enis: int | None
    attributes: dict[str, str | None]
    registered_at: float
    tags: dict[str, str]
    agent_connected: bool = True
    status: str = "ACTIVE"
    agent_version: str = "1.99.0"
    version: int = 1
    used_cpu: int = 0
    used_memory: int = 0
    used_enis: int = 0
    used_gpus: set[str] = attrs.field(factory=set[str])
    used_tcp: set[int] = attrs.field(factory=set[int])
    used_udp: set[int] = attrs.field(factory=set[int])
    running: int = 0
    pending: int = 0
    task_index: TaskIndex = attrs.field(factory=TaskIndex)
    members: Json = attrs.field(factory=dict[str, Any])
    provider: str | None = None
    custom: set[str] = attrs.field(factory=set[str])


@attrs.define(eq=False)
class Provider:
    """A capacity provider; `group` describes the Auto Scaling group of one that has instances.

    cpu, memory, enis: of each instance that it launches.  instances: the maximum number, None for no limit.
    """

    name: str
    arn: str
    tags: dict[str, str] = attrs.field(factory=dict[str, str])
    group: Json | None = None
    status: str = "ACTIVE"
    cpu: int = 4096
    memory: int = 16384
    enis: int | None = None
    instances: int | None = None


@attrs.define(eq=False)
class Cluster:
    """A cluster with its instances and tasks."""

    name: str
    arn: str
    tags: dict[str, str]
    instances: dict[str, Instance] = attrs.field(factory=dict[str, Instance])
    tasks: dict[str, Task] = attrs.field(factory=dict[str, Task])
    task_index: TaskIndex = attrs.field(factory=TaskIndex)
    by_started_by: dict[str, TaskIndex] = attrs.field(factory=dict[str, TaskIndex])
    by_family: dict[str, TaskIndex] = attrs.field(factory=dict[str, TaskIndex])
    running: int = 0
    pending: int = 0
    status: str = "ACTIVE"
    settings: dict[str, str] = attrs.field(factory=lambda: {"containerInsights": "disabled"})
    configuration: Json | None = None
    service_connect: Json | None = None
    providers: list[str] = attrs.field(factory=list[str])
    strategy: list[StrategyItem] = attrs.field(factory=list[StrategyItem])

    def indexes(self, task: Task) -> list[TaskIndex]:
        """Return every index that holds the task; those by family and startedBy are created when first needed."""
        found = [self.task_index, self.by_family.setdefault(task.family, TaskIndex())]
        if task.instance is not None:
            found.insert(1, task.instance.task_index)
        if task.started_by is not None:
            found.append(self.by_started_by.setdefault(task.started_by, TaskIndex()))
        return found
