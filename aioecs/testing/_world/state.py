"""What the local ECS knows: clusters, task definitions, container instances and tasks, as plain mutable records.

They hold state and counts, and no rules. `Shelf` keeps tasks where the lists look for them, so that no operation walks
over all tasks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import attrs

from aioecs.testing._operations.members import Json
from aioecs.testing._placement.strategy import Share

RUNNING = "RUNNING"
PROVISIONING = "PROVISIONING"
PENDING = "PENDING"
STOPPING = "STOPPING"
STOPPED = "STOPPED"


@attrs.frozen
class Need:
    """What one task takes of its instance: CPU units, MiB, GPUs, network interfaces and host ports."""

    cpu: int = 0
    memory: int = 0
    gpus: int = 0
    enis: int = 0
    tcp: frozenset[int] = frozenset()
    udp: frozenset[int] = frozenset()


@attrs.frozen
class Port:
    """A port mapping of a container: `host` 0 is chosen at random by the agent."""

    container: int
    host: int
    protocol: str


@attrs.frozen
class ContainerPlan:
    """A container of a task definition, as far as the local ECS looks at it."""

    name: str
    image: str
    cpu: int
    memory: int | None
    memory_reservation: int | None
    gpus: int
    ports: tuple[Port, ...]


@attrs.define(eq=False)
class Definition:
    """A revision of a task definition; `wire` is how it is described."""

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

    seq: counts the starts.  id, arn: its names.  version: counts its changes.
    cluster, instance, definition: what it runs in, on and of; a task on Fargate has no instance, and one of a capacity
        provider gets it when that has found one.  need: what it takes of the instance, with gpu_ids.
    call: the number of the call that created it.  started_by, group, overrides, tags, enable_execute_command,
        launch_type, network: as that call gave them.  container_ids: one a container.
    capacity_provider, platform_version, zone: of a task that has them.  find_host: looks for the instance of a task
        that waits for one, and takes what it needs there.
    last_status, desired_status: as DescribeTasks tells them.  stop_code, stopped_reason, exit_code: how it ended.
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
    find_host: Callable[[], Instance | None] | None = None
    last_status: str = PENDING
    desired_status: str = RUNNING
    version: int = 1
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_code: int | None = None

    @property
    def family(self) -> str:
        """The family of its task definition."""
        return self.definition.family


@attrs.define(eq=False)
class Shelf:
    """Tasks by their desired status, each under the sequence number of its start."""

    live: dict[int, Task] = attrs.field(factory=dict[int, Task])
    stopped: dict[int, Task] = attrs.field(factory=dict[int, Task])

    def add(self, task: Task) -> None:
        """Put a task that is to run."""
        self.live[task.seq] = task

    def stop(self, task: Task) -> None:
        """Move a task whose desired status has become STOPPED."""
        self.stopped[self.live.pop(task.seq).seq] = task

    def forget(self, task: Task) -> None:
        """Drop a stopped task."""
        del self.stopped[task.seq]

    def __bool__(self) -> bool:
        return bool(self.live or self.stopped)

    def page(self, desired: str, after: int, limit: int, keep: Callable[[Task], bool]) -> tuple[list[Task], bool]:
        """Give up to `limit` tasks started after the sequence number `after`, and whether there are more."""
        held = self.live if desired == RUNNING else self.stopped if desired == STOPPED else {}
        # A shelf is filled in order of starting, so sorting is a linear walk; `stopped` alone may need more.
        order = sorted(held)
        found: list[Task] = []
        for seq in order[bisect_right(order, after) :] if after else order:
            task = held[seq]
            if keep(task):
                if len(found) == limit:
                    return found, True
                found.append(task)
        return found, False


@attrs.define(eq=False)
class Instance:
    """A container instance: what it registered and what its tasks use of it; `members` is added to its description."""

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
    shelf: Shelf = attrs.field(factory=Shelf)
    members: Json = attrs.field(factory=dict[str, Any])
    provider: str | None = None
    custom: set[str] = attrs.field(factory=set[str])


@attrs.define(eq=False)
class Provider:
    """A capacity provider; `group` describes the Auto Scaling group of one that has instances.

    cpu, memory, enis: of each instance that it launches.  instances: how many it may have, None for no limit.
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
    shelf: Shelf = attrs.field(factory=Shelf)
    by_started_by: dict[str, Shelf] = attrs.field(factory=dict[str, Shelf])
    by_family: dict[str, Shelf] = attrs.field(factory=dict[str, Shelf])
    running: int = 0
    pending: int = 0
    status: str = "ACTIVE"
    settings: dict[str, str] = attrs.field(factory=lambda: {"containerInsights": "disabled"})
    configuration: Json | None = None
    service_connect: Json | None = None
    providers: list[str] = attrs.field(factory=list[str])
    strategy: list[Share] = attrs.field(factory=list[Share])

    def shelves(self, task: Task) -> list[Shelf]:
        """Name every shelf that the task stands on; those by value are made when first asked for."""
        found = [self.shelf, self.by_family.setdefault(task.family, Shelf())]
        if task.instance is not None:
            found.insert(1, task.instance.shelf)
        if task.started_by is not None:
            found.append(self.by_started_by.setdefault(task.started_by, Shelf()))
        return found
