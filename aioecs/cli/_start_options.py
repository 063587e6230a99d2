"""The options of `aioecs start`, and the requests that they make. Pure: nothing is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import attrs

from aioecs import (
    Binpack,
    ContainerOverride,
    DistinctInstance,
    InvalidRequest,
    KeyValuePair,
    MemberOf,
    Random,
    Spread,
    StartTaskRequest,
    Tag,
    TaskOverride,
)
from aioecs._model import limits
from aioecs._model.placement import Constraint, Placement
from aioecs.cli._access import Access
from aioecs.cli._options import Packed, Policy, UsageError, refused

LOCAL_CLUSTER = "default"
LOCAL_TASK_DEFINITION = "demo"
LOCAL_CONTAINER = "main"

_LOCALLY = {"--wait": "the tasks of the local ECS never end"}
_OPTIONS = {
    "MemberOf": "--member-of",
    "Spread": "--spread",
    "container_instances": "--instances",
    "overrides": "--env, --command, --cpu, --memory",
    "tags": "--tag",
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
    local: bool = False
    environment: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    container: str | None = None
    command: tuple[str, ...] = attrs.field(default=(), repr=False)
    cpu: int | None = None
    memory: int | None = None
    started_by: str | None = None
    group: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
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
        return not self.instances and not self.all_instances

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
    check(template(options, options.container or LOCAL_CONTAINER), options.instances)
    return options


def _contradictions(options: StartOptions) -> Iterator[str]:
    yield from _placement_contradictions(options)
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
    if not options.task_definition:
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
        option = "--instances" if options.instances else "--all-instances"
        yield f"{given[0]} and {option} exclude each other: the starts go round over the instances that are named"


def template(options: StartOptions, container: str | None) -> StartTaskRequest:
    """Make the request that all starts share, without its instances."""
    tags = [Tag(key=key, value=value) for key, value in options.tags]
    return StartTaskRequest(
        cluster=options.cluster,
        task_definition=options.task_definition or "",
        overrides=_overrides(options, container),
        started_by=options.started_by,
        group=options.group,
        tags=tags or None,
    )


def _overrides(options: StartOptions, container: str | None) -> TaskOverride | None:
    environment = [KeyValuePair(name=name, value=value) for name, value in options.environment]
    override = ContainerOverride(name=container, environment=environment or None, command=options.command or None)
    if not options.overrides_container and options.cpu is None and options.memory is None:
        return None
    return TaskOverride(
        container_overrides=[override] if options.overrides_container else None,
        cpu=None if options.cpu is None else str(options.cpu),
        memory=None if options.memory is None else str(options.memory),
    )


def check(request: StartTaskRequest, instances: Sequence[str]) -> None:
    """Check the request against ECS's documented limits, as if for these instances.

    Raises:
        UsageError: one is broken; it names the option.
    """
    try:
        limits.check(request.replace(container_instances=instances or ("any",)), any_number=True)
    except InvalidRequest as error:
        raise refused(error, _OPTIONS) from error


def requests(request: StartTaskRequest, instances: Sequence[str], count: int) -> Iterator[StartTaskRequest]:
    """Spread `count` starts over the instances in turn, ten to a request, made as they are drawn.

    The starts are equal but for the instance, so a request may carry as many as one call may.
    """
    turns = islice(cycle(instances), count)
    while some := tuple(islice(turns, limits.INSTANCES_PER_CALL)):
        yield request.replace(container_instances=some)
