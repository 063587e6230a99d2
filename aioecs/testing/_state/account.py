"""The account of the local ECS: its records, the clock, the random generator, and the steps that are due.

Only this module reads the clock. The steps of tasks are kept in a heap with the times at which they are due. `advance`
executes the steps that are due, each at its own time, before the account is read. So no timer is needed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from heapq import heappop, heappush
from typing import Literal

import attrs

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations.members import Json, text
from aioecs.testing._operations.rules import definition_missing
from aioecs.testing._placement.capacity import reserve
from aioecs.testing._placement.strategy import FARGATE
from aioecs.testing._state import task_lifecycle
from aioecs.testing._state.arns import Arns
from aioecs.testing._state.events import EventBus
from aioecs.testing._state.log_streams import LogStreams, Output, output_of
from aioecs.testing._state.records import (
    PENDING,
    PROVISIONING,
    RUNNING,
    Cluster,
    Definition,
    Instance,
    Need,
    Provider,
    Task,
)
from aioecs.testing._state.truth import History

Seconds = float | None | Mapping[str, float | None] | Callable[[Task], float | None]
"""Seconds: for all tasks, by family (others have the default), or a function of the task; None is never."""
ExitCode = int | Mapping[str, int] | Callable[[Task], int]
"""An exit code: for all tasks, by family (others have 0), or a function of the task."""

STOPPED_TASK_RETENTION = 3600.0  # [model] DescribeTasks: "stopped tasks appear … for at least one hour", in seconds


@attrs.frozen(kw_only=True)
class Behaviour:
    """How the local ECS behaves where Amazon ECS varies or is not documented. Times are in seconds.

    provisioning_seconds: how long a task on Fargate or of a capacity provider is PROVISIONING; without free capacity
        it stays so until an instance has some.
    pending_seconds, running_seconds, stopping_seconds: how long a task is PENDING, RUNNING (None: until it is stopped)
        and STOPPING.  exit_code: of a task that ends by itself.
    fargate_tasks: how many tasks Fargate has capacity for, None for no limit; more are `failures`.
    visibility_lag: how long a new task is not in ListTasks; describe_lag: how long it is MISSING in DescribeTasks.
    started_by_with_status: what ListTasks does with `startedBy` beside desiredStatus STOPPED: "allow" applies both,
        "reject" is an InvalidParameterException, "ignore" ignores desiredStatus.
    draining: whether StartTask on a DRAINING instance is refused ("refuse") or starts ("accept").
    output: what tasks write to their logs (see `Output`), if their containers have the log driver `awslogs`.
    disguise_throttle: answer throttles as InvalidParameterException "… Rate exceeded (… Error Code: Throttling…)".
    """

    provisioning_seconds: Seconds = 0.0
    pending_seconds: Seconds = 0.0
    running_seconds: Seconds = None
    stopping_seconds: Seconds = 0.0
    exit_code: ExitCode = 0
    visibility_lag: float = 0.0
    describe_lag: float | None = None
    started_by_with_status: Literal["allow", "reject", "ignore"] = attrs.field(
        default="allow", validator=attrs.validators.in_(("allow", "reject", "ignore"))
    )
    draining: Literal["refuse", "accept"] = attrs.field(
        default="refuse", validator=attrs.validators.in_(("refuse", "accept"))
    )
    disguise_throttle: bool = False
    output: Output | None = None
    fargate_tasks: int | None = None


@attrs.define
class Account:
    """The resources of an account in one Region; what is missing raises the error that ECS answers with."""

    arns: Arns
    clock: Callable[[], float]
    seed: int
    behaviour: Behaviour
    history: History = attrs.field(factory=History)
    clusters: dict[str, Cluster] = attrs.field(factory=dict[str, Cluster])
    definitions: dict[str, list[Definition]] = attrs.field(factory=dict[str, list[Definition]])
    providers: dict[str, Provider] = attrs.field(init=False)
    client_tokens: dict[tuple[str, str], ClientTokenUse] = attrs.field(factory=dict[tuple[str, str], "ClientTokenUse"])
    log_streams: LogStreams = attrs.field(factory=LogStreams)
    waiting: dict[str, Task] = attrs.field(factory=dict[str, Task])
    rng: random.Random = attrs.field(init=False)
    event_bus: EventBus = attrs.field(init=False)
    last_seq: int = 0
    _due: list[tuple[float, int, Callable[[Task, float], None], Task]] = attrs.field(init=False, factory=list)
    _steps: int = 0

    def __attrs_post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed}:world")
        self.event_bus = EventBus(self.arns)
        self.providers = {name: Provider(name, self.arns.provider(name)) for name in FARGATE}

    def new_id(self) -> str:
        """Generate an id of 32 hexadecimal digits."""
        return f"{self.rng.getrandbits(128):032x}"

    def next_seq(self) -> int:
        """Return the next sequence number of an instance or task."""
        self.last_seq += 1
        return self.last_seq

    def cluster(self, request: Json) -> Cluster:
        """Find the cluster that a request names, or the default one.

        Raises:
            AwsError: ClusterNotFoundException.
        """
        found = self.clusters.get(self.arns.cluster_name(text(request, "cluster")))
        if found is None or found.status != "ACTIVE":
            raise AwsError("ClusterNotFoundException", "Cluster not found.")
        return found

    def provider(self, identifier: str) -> Provider:
        """Find a capacity provider by name or ARN.

        Raises:
            AwsError: InvalidParameterException, if there is none.
        """
        found = self.providers.get(identifier.rpartition("/")[2])
        if found is None or (":" in identifier and found.arn != identifier) or found.status != "ACTIVE":
            raise invalid(f"The specified capacity provider '{identifier}' was not found.")
        return found

    def instance(self, cluster: Cluster, identifier: str) -> Instance | None:
        """Find a container instance by id or ARN; None if there is none."""
        return cluster.instances.get(self.arns.id_of("container-instance", identifier, cluster.name))

    def task(self, cluster: Cluster, identifier: str) -> Task | None:
        """Find a task by id or ARN; None if there is none."""
        return cluster.tasks.get(self.arns.id_of("task", identifier, cluster.name))

    def definition(self, identifier: str | None, *, active: bool = True) -> Definition:
        """Find a task definition; without a revision, the latest active one.

        Raises:
            AwsError: ClientException, if it is unknown, or if it is inactive and `active` is True.
        """
        family, revision = self.arns.definition_name(identifier)
        revisions = self.definitions.get(family, [])
        if revision is None:
            latest = next((each for each in reversed(revisions) if each.active), None)
            if latest is None:
                raise definition_missing()
            return latest
        if not 1 <= revision <= len(revisions):
            raise definition_missing()
        found = revisions[revision - 1]
        if active and not found.active:
            raise definition_missing(inactive=True)
        return found

    def advance(self) -> float:
        """Execute the steps that are due, and return the time."""
        now = self.clock()
        self._run_due_steps(now)
        if self.waiting:
            for task in list(self.waiting.values()):
                self._provision(task, now)
            self._run_due_steps(now)
        return now

    def _run_due_steps(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            at, _, step, task = heappop(self._due)
            step(task, at)

    @property
    def next_due(self) -> float | None:
        """When the next step is due, in epoch seconds; None if there is none."""
        return self._due[0][0] if self._due else None

    def start(self, task: Task) -> None:
        """Start the lifecycle of a task, whose resources are reserved already."""
        task_lifecycle.add(task)
        self.history.task_created(task)
        self.event_bus.changed(task, task.created_at)
        if task.last_status == PROVISIONING:
            self._schedule_after(self.behaviour.provisioning_seconds, task, task.created_at, self._provision)
        else:
            self._schedule_after(self.behaviour.pending_seconds, task, task.created_at, self._run)

    def _schedule_after(self, given: Seconds, task: Task, at: float, step: Callable[[Task, float], None]) -> None:
        seconds = _seconds(given, task, 0.0)
        if seconds is not None:
            self._schedule(at + seconds, step, task)

    def _provision(self, task: Task, at: float) -> None:
        """Give a task its infrastructure; without free capacity at its capacity provider it waits."""
        self.waiting.pop(task.id, None)
        if task.desired_status != RUNNING:
            return
        if task.find_instance is not None:
            instance = task.find_instance()
            if instance is None:
                self.waiting[task.id] = task
                return
            task_lifecycle.assign_instance(task, instance)
        task_lifecycle.set_pending(task)
        self.event_bus.changed(task, at)
        self._schedule_after(self.behaviour.pending_seconds, task, at, self._run)

    def stop(self, task: Task, at: float, code: str, reason: str) -> None:
        """Stop a task; has no effect on one that is stopping already."""
        if not task_lifecycle.begin_stopping(task, at, code, reason):
            return
        self.event_bus.changed(task, at)
        stopping = _seconds(self.behaviour.stopping_seconds, task, 0.0) if task.started_at is not None else 0.0
        if stopping == 0:
            self._end(task, at, task_lifecycle.KILLED)
        elif stopping is not None:
            self._schedule(at + stopping, lambda task, at: self._end(task, at, task_lifecycle.KILLED), task)

    def end(self, task: Task, at: float, code: str, reason: str, exit_code: int | None) -> None:
        """End a task whose essential container exited."""
        if task_lifecycle.begin_stopping(task, at, code, reason):
            self.event_bus.changed(task, at)
            self._end(task, at, exit_code)

    def _run(self, task: Task, at: float) -> None:
        if task.desired_status == RUNNING and task.definition.fails_to_start is not None:
            self.end(task, at, "TaskFailedToStart", task.definition.fails_to_start, None)
        elif task_lifecycle.set_running(task, at):
            self.event_bus.changed(task, at)
            running = _seconds(self.behaviour.running_seconds, task, None)
            for seconds, line in output_of(self.behaviour.output, task):
                self._schedule(at + seconds, partial(self.log_streams.write_output, line), task)
            if running is not None:
                self._schedule(at + running, self._exit, task)

    def _exit(self, task: Task, at: float) -> None:
        code = self.behaviour.exit_code
        exit_code = code(task) if callable(code) else code.get(task.family, 0) if isinstance(code, Mapping) else code
        self.end(task, at, "EssentialContainerExited", "Essential container in task exited", exit_code)

    def _end(self, task: Task, at: float, exit_code: int | None) -> None:
        task_lifecycle.set_stopped(task, at, exit_code)
        self.event_bus.changed(task, at)
        self._schedule(at + STOPPED_TASK_RETENTION, _remove, task)

    def _schedule(self, at: float, step: Callable[[Task, float], None], task: Task) -> None:
        self._steps += 1
        heappush(self._due, (at, self._steps, step, task))


def _remove(task: Task, _: float) -> None:
    task_lifecycle.remove(task)


def _seconds(given: Seconds, task: Task, otherwise: float | None) -> float | None:
    if callable(given):
        return given(task)
    if isinstance(given, Mapping):
        return given.get(task.family, otherwise)
    return given


@attrs.frozen
class ClientTokenUse:
    """The first RunTask with a client token: its time, a digest of its parameters, and its tasks."""

    at: float
    digest: str
    tasks: tuple[Task, ...]


def make_task(
    account: Account,
    cluster: Cluster,
    instance: Instance | None,
    definition: Definition,
    need: Need,
    launch: Launch,
    find_instance: Callable[[], Instance | None] | None = None,
) -> Task:
    """Create and start a task, on an instance with enough resources or without an instance so far."""
    task_id = account.new_id()
    task = Task(
        seq=account.next_seq(),
        id=task_id,
        arn=account.arns.task(cluster.name, task_id),
        cluster=cluster,
        instance=instance,
        definition=definition,
        created_at=launch.at,
        started_by=launch.started_by,
        group=launch.group,
        overrides=launch.overrides,
        need=need,
        gpu_ids=reserve(instance, need) if instance is not None else (),
        container_ids=tuple(_uuid(account.new_id()) for _ in definition.containers),
        tags=dict(launch.tags),
        enable_execute_command=launch.enable_execute_command,
        launch_type=launch.launch_type,
        network=launch.network,
        call=launch.call,
        capacity_provider=launch.capacity_provider,
        platform_version=launch.platform_version,
        find_instance=find_instance,
        last_status=PENDING if instance is not None else PROVISIONING,
    )
    if instance is not None:
        instance.version += 1
    if launch.network is not None and launch.platform_version is not None:
        task.zone = f"{account.arns.region}{'abc'[task.seq % len(launch.network['subnets']) % 3]}"
    account.start(task)
    return task


@attrs.frozen(kw_only=True)
class Launch:
    """The members that all tasks of one StartTask or RunTask share."""

    at: float
    call: int
    started_by: str | None
    group: str
    overrides: Json
    tags: dict[str, str]
    enable_execute_command: bool
    launch_type: str
    network: Json | None
    capacity_provider: str | None = None
    platform_version: str | None = None


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def unknown_task() -> AwsError:
    """Return the error for an unknown task. [reported]"""
    return invalid("The referenced task was not found.")
