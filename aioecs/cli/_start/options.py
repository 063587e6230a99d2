"""The options of `aioecs start`, and the requests that they make. Pure: nothing is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any, cast

import attrs

from aioecs import (
    Binpack,
    DistinctInstance,
    InvalidRequest,
    MemberOf,
    NetworkConfiguration,
    Random,
    Spread,
    StartTaskRequest,
    Tag,
    TaskOverride,
    TaskVolumeConfiguration,
)
from aioecs._model import limits
from aioecs._model.placement import Constraint, Placement
from aioecs.cli._access import Access
from aioecs.cli._options import Packed, Policy, UsageError, refused
from aioecs.cli._start.jobs import Job, override_container, read_jobs, with_container

LOCAL_CLUSTER = "default"
LOCAL_TASK_DEFINITION = "demo"
LOCAL_CONTAINER = "main"

_LOCALLY = {"--wait": "the tasks of the local ECS never end"}
_OPTIONS = {
    "MemberOf": "--member-of",
    "Spread": "--spread",
    "container_instances": "--instances",
    "network_configuration": "--network-configuration",
    "volume_configurations": "--volume",
    "overrides": "--env, --command, --cpu, --memory, --task-role, --overrides",
    "tags": "--tags",
}


@attrs.frozen(kw_only=True)
class StartOptions:
    """What to start, where and how. Values of environment variables are in no repr."""

    count: int = 1
    cluster: str | None = None
    task_definition: str | None = None
    instances: tuple[str, ...] = ()
    all_instances: bool = False
    spread: str | None = None
    binpack: Packed | None = None
    random: bool = False
    distinct_instance: bool = False
    member_of: tuple[str, ...] = ()
    wait_for_capacity: float | None = None
    wait: bool = False
    timeout: float | None = None
    """How long to wait, in seconds."""
    local: bool = False
    environment: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    container: str | None = None
    command: tuple[str, ...] = attrs.field(default=(), repr=False)
    cpu: int | None = None
    memory: int | None = None
    started_by: str | None = None
    group: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    base: StartTaskRequest | None = attrs.field(default=None, repr=False)
    """A request of the user's, which the options change."""
    overrides: TaskOverride | None = attrs.field(default=None, repr=False)
    network: NetworkConfiguration | None = None
    task_role: str | None = None
    enable_execute_command: bool = False
    volumes: tuple[TaskVolumeConfiguration, ...] = ()
    propagate_tags: str | None = None
    idempotency_key: str | None = None
    jobs: tuple[Job, ...] | None = None
    """Unlike tasks, instead of `count` equal ones."""
    dry_run: bool = False
    on_cancel: Policy = Policy.STOP
    concurrency: int = 50
    access: Access = attrs.field(factory=Access)

    @property
    def overrides_container(self) -> bool:
        """Whether a container is to be overridden, so that its name is needed."""
        return bool(self.environment or self.command)

    @property
    def uses_placement(self) -> bool:
        """Whether aioecs picks the instances."""
        own = self.jobs is not None and any(not job.is_placed for job in self.jobs)
        return not self.instances and not self.all_instances and not own

    @property
    def names_instances(self) -> bool:
        """Whether the starts go to instances of the command line in turn."""
        return bool(self.instances) or self.all_instances

    @property
    def total(self) -> int:
        """How many tasks are to be started."""
        if self.jobs is None:
            return self.count
        return sum(len(job.request.container_instances) or 1 for job in self.jobs)

    @property
    def placement(self) -> Placement:
        """Which instances are preferred."""
        if self.random:
            return Random()
        if self.binpack is not None:
            return Binpack(self.binpack.value)
        return Spread() if self.spread is None else Spread(self.spread)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Which instances are candidates."""
        distinct = (DistinctInstance(),) if self.distinct_instance else ()
        return (*distinct, *(MemberOf(expression) for expression in self.member_of))


def validated(options: StartOptions) -> StartOptions:
    """Check the options, and fill in the defaults of `--local`.

    Raises:
        UsageError: options that contradict each other or are missing, or a documented limit is broken.
    """
    for wrong in _contradictions(options):
        raise UsageError(wrong)
    if options.local:
        options = attrs.evolve(
            options,
            cluster=options.cluster or LOCAL_CLUSTER,
            task_definition=options.task_definition or LOCAL_TASK_DEFINITION,
            container=options.container or LOCAL_CONTAINER,
        )
    try:
        _ = options.placement, options.constraints
    except InvalidRequest as error:
        raise refused(error, _OPTIONS) from error
    check(with_container(template(options), LOCAL_CONTAINER), options.instances, complete=options.jobs is None)
    return options


def with_jobs(options: StartOptions, lines: Iterable[str]) -> StartOptions:
    """Return the options with the jobs of these lines.

    Raises:
        UsageError: there is none, a line is no job, or the jobs go together neither with each other nor the options.
    """
    jobs = tuple(read_jobs(lines, template(options), options.container))
    if not jobs:
        raise UsageError("--jobs: there is no job")
    placed = sum(job.is_placed for job in jobs)
    if 0 < placed < len(jobs):
        raise UsageError("--jobs: containerInstances: name them in all jobs, or in none")
    if not placed and (options.instances or options.all_instances):
        raise UsageError("--jobs: the jobs name their instances: leave out --instances and --all-instances")
    options = attrs.evolve(options, jobs=jobs)
    for wrong in _placement_contradictions(options):
        raise UsageError(wrong)
    return options


def _contradictions(options: StartOptions) -> Iterator[str]:
    yield from _placement_contradictions(options)
    yield from _key_contradictions(options)
    if options.jobs is not None and options.count != 1:
        yield "--count and --jobs exclude each other: each job is one task"
    if options.dry_run and options.local:
        yield "--dry-run and --local exclude each other: the tasks of a local ECS are records only, so just start them"
    if options.dry_run and options.wait:
        yield "--dry-run and --wait exclude each other: nothing is started"
    if options.timeout is not None and not options.wait:
        yield "--timeout needs --wait: without it nothing is waited for"
    if options.local:
        access = options.access
        excluded = {
            "--wait": options.wait,
            "--instances": options.instances,
            "--endpoint-url": access.endpoint_url,
            "--profile": access.profile,
            "--ca-bundle": access.ca_bundle,
            "--no-verify-ssl": not access.verify_ssl,
        }
        for option, given in excluded.items():
            if given:
                yield f"{option} and --local exclude each other: {_LOCALLY.get(option, 'the local ECS brings its own')}"
        return
    if options.instances and options.all_instances:
        yield "--instances and --all-instances exclude each other"
    if not options.cluster:
        yield "--cluster is missing: where to start; or --local, to try it without an account"
    if not options.task_definition and options.jobs is None:
        yield "--task-definition is missing"


def _placement_contradictions(options: StartOptions) -> Iterator[str]:
    preferences = {"--spread": options.spread, "--binpack": options.binpack, "--random": options.random or None}
    given = [option for option, value in preferences.items() if value is not None]
    if len(given) > 1:
        yield f"{given[0]} and {given[1]} exclude each other"
    if options.distinct_instance:
        given.append("--distinct-instance")
    if options.member_of:
        given.append("--member-of")
    if options.wait_for_capacity is not None and not options.wait_for_capacity >= 0:  # no number is neither
        yield f"--wait-for-capacity: a number of seconds, 0 or more, not {options.wait_for_capacity}"
    if given and not options.uses_placement:
        option = "--instances" if options.instances else "--all-instances" if options.all_instances else "--jobs"
        yield f"{given[0]} and {option} exclude each other: the starts go to the named instances in turn"


def _key_contradictions(options: StartOptions) -> Iterator[str]:
    if options.idempotency_key is None:
        return
    if not options.idempotency_key.strip():
        yield "--idempotency-key is empty"
    if options.started_by is not None:
        yield "--idempotency-key and --started-by exclude each other: the mark is derived from the key"
    if options.all_instances:
        yield "--idempotency-key and --all-instances exclude each other: another run may find other instances"


def template(options: StartOptions) -> StartTaskRequest:
    """Make the request that all starts share, without its instances.

    The override of a container that `--container` doesn't name has no name yet; see `with_container`.
    """
    changes: dict[str, Any] = {
        "cluster": options.cluster,
        "task_definition": options.task_definition,
        "started_by": options.started_by,
        "group": options.group,
        "tags": [Tag(key=key, value=value) for key, value in options.tags],
        "network_configuration": options.network,
        "enable_execute_command": options.enable_execute_command or None,
        "propagate_tags": options.propagate_tags,
        "volume_configurations": options.volumes,
    }
    request = options.base or StartTaskRequest(task_definition="")
    request = _with_overrides(request.replace(**{name: value for name, value in changes.items() if value}), options)
    if not options.overrides_container:
        return request
    return override_container(request, options.container, options.environment, options.command)


def _with_overrides(request: StartTaskRequest, options: StartOptions) -> StartTaskRequest:
    """Return the request with the members of `--overrides`, then those that have an option."""
    given = options.overrides or TaskOverride()
    changes: dict[str, Any] = {name: getattr(given, name) for name in attrs.fields_dict(cast("Any", TaskOverride))}
    changes |= {
        name: value
        for name, value in (("cpu", options.cpu), ("memory", options.memory), ("task_role_arn", options.task_role))
        if value is not None
    }
    changes = {name: str(value) if isinstance(value, int) else value for name, value in changes.items() if value}
    return request.replace(overrides=(request.overrides or TaskOverride()).replace(**changes)) if changes else request


def check(request: StartTaskRequest, instances: Sequence[str], *, complete: bool = True) -> None:
    """Check the request against ECS's documented limits, as if for these instances.

    One that is not complete may lack its task definition.

    Raises:
        UsageError: one is broken; it names the option.
    """
    try:
        if not complete and not request.task_definition:
            request = request.replace(task_definition="any")
        limits.check(request.replace(container_instances=instances or ("any",)), any_number=True)
    except InvalidRequest as error:
        raise refused(error, _OPTIONS) from error


def requests(request: StartTaskRequest, instances: Sequence[str], count: int) -> Iterator[StartTaskRequest]:
    """Spread `count` starts over the instances in turn, ten to a request, made as they are drawn.

    The starts are equal but for the instance, so a request may carry as many as one call may.
    """
    round_robin = islice(cycle(instances), count)
    while some := tuple(islice(round_robin, limits.INSTANCES_PER_CALL)):
        yield request.replace(container_instances=some)
