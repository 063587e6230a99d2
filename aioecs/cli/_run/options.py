"""The options of `aioecs run`, and the requests that they make. Pure: nothing is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import attrs

from aioecs import (
    CapacityProviderStrategyItem,
    InvalidRequest,
    PlacementConstraint,
    PlacementStrategy,
    RunTaskRequest,
    StartTaskRequest,
)
from aioecs._model import limits
from aioecs.cli._options import UsageError, refused
from aioecs.cli._run.local_tasks import SUBNET
from aioecs.cli._start import options as start_options
from aioecs.cli._start.cli_input import with_input
from aioecs.cli._start.jobs import with_container
from aioecs.cli._start.options import LOCAL_CONTAINER, StartOptions
from aioecs.types import AwsVpcConfiguration, NetworkConfiguration

_FIELDS = {each.name for each in attrs.fields(cast("Any", RunTaskRequest))}


@attrs.frozen(kw_only=True)
class RunOptions:
    """What to run, how, and what to show of it."""

    task: StartOptions
    """The task, and where aioecs starts it."""
    launch_type: str | None = None
    """Lets ECS place the task, on this kind of infrastructure."""
    capacity_providers: tuple[CapacityProviderStrategyItem, ...] = ()
    """Let ECS place the task, on these."""
    platform_version: str | None = None
    client_token: str | None = None
    """The token of a RunTask in the input."""
    timeout: float | None = None
    """How long each task may take from its start on, in seconds."""
    max_running: int | None = None
    """How many jobs run at the same time, at most."""
    follow: bool | None = None
    """Whether the log is shown; None leaves it to the kind of output."""

    @property
    def uses_run_task(self) -> bool:
        """Whether ECS places the task: RunTask in place of StartTask."""
        return bool(self.launch_type or self.capacity_providers or self.platform_version)

    @property
    def fargate(self) -> bool:
        """Whether the task runs on AWS Fargate."""
        names = {each.capacity_provider for each in self.capacity_providers}
        return self.launch_type == "FARGATE" or bool(names & {"FARGATE", "FARGATE_SPOT"})

    @property
    def places(self) -> bool:
        """Whether aioecs picks the instance."""
        return not self.uses_run_task and self.task.uses_placement


def capacity_providers(args: list[str]) -> tuple[CapacityProviderStrategyItem, ...]:
    """Read `NAME` or `NAME=WEIGHT`.

    Raises:
        UsageError: a weight is no whole number.
    """
    read: list[CapacityProviderStrategyItem] = []
    for arg in args:
        name, _, weight = arg.partition("=")
        if not name or (weight and not weight.isdecimal()):
            raise UsageError(f"--capacity-provider {arg}: expected NAME or NAME=WEIGHT")
        read.append(CapacityProviderStrategyItem(capacity_provider=name, weight=int(weight or 1)))
    return tuple(read)


def with_given_input(options: RunOptions, plain: Any, option: str) -> RunOptions:
    """Return the options with what the AWS CLI's input for start-task or run-task adds to them.

    Raises:
        UsageError: it is no such input; the message names the member.
    """
    if not isinstance(plain, Mapping):
        raise UsageError(f"{option}: expected an object")
    members = dict(cast("Mapping[str, Any]", plain))
    launch_type, version = members.pop("launchType", None), members.pop("platformVersion", None)
    providers = _strategy_items(members.pop("capacityProviderStrategy", None), option)
    if not (options.launch_type or options.capacity_providers):
        options = attrs.evolve(options, launch_type=launch_type, capacity_providers=providers)
    options = attrs.evolve(options, platform_version=options.platform_version or version)
    if options.uses_run_task:
        options = attrs.evolve(options, client_token=members.pop("clientToken", None))
    return attrs.evolve(options, task=with_input(options.task, members, option))


def _strategy_items(plain: Any, option: str) -> tuple[CapacityProviderStrategyItem, ...]:
    if plain is None:
        return ()
    if not isinstance(plain, list):
        raise UsageError(f"{option}: capacityProviderStrategy: expected a list of objects")
    try:
        return tuple(CapacityProviderStrategyItem.from_dict(each) for each in plain)
    except (InvalidRequest, TypeError, ValueError):
        raise UsageError(f"{option}: capacityProviderStrategy: a member is of the wrong kind") from None


def validated(options: RunOptions) -> RunOptions:
    """Check the options, and fill in the defaults of `--local`.

    Raises:
        UsageError: options that contradict each other or are missing, or a documented limit is broken.
    """
    for wrong in _contradictions(options):
        raise UsageError(wrong)
    task = start_options.validated(options.task)
    if task.local and options.fargate and task.network is None:
        local = NetworkConfiguration(awsvpc_configuration=AwsVpcConfiguration(subnets=[SUBNET]))
        task = attrs.evolve(task, network=local)
    options = attrs.evolve(options, task=task)
    if task.jobs is None:
        _check(options, start_options.template(task))
    return options


def with_jobs(options: RunOptions, lines: Iterable[str]) -> RunOptions:
    """Return the options with the jobs of these lines.

    Raises:
        UsageError: as `validated` and the jobs of `aioecs start` raise it.
    """
    options = attrs.evolve(options, task=start_options.with_jobs(options.task, lines))
    for wrong in _contradictions(options):
        raise UsageError(wrong)
    for job in (options.task.jobs or ())[:1]:  # what is RunTask's own is the same in all
        _check(options, job.request)
    return options


def _contradictions(options: RunOptions) -> Iterator[str]:
    task = options.task
    if options.launch_type and options.capacity_providers:
        yield "--capacity-provider excludes --fargate and --launch-type; Fargate's own are FARGATE and FARGATE_SPOT"
    jobs = task.jobs or ()
    if options.uses_run_task and task.instances:
        yield "--instances can't be used where ECS places the task: leave out --fargate and the like"
    if options.uses_run_task and not all(job.is_placed for job in jobs):
        yield "--jobs: ECS places the task: leave containerInstances out, or --fargate and the like"
    if options.fargate and (task.spread or task.binpack or task.random or task.distinct_instance or task.member_of):
        yield "Fargate has no instances: leave out --spread, --binpack, --random, --distinct-instance and --member-of"
    if task.wait_for_capacity is not None and not options.places:
        yield "--wait-for-capacity is for tasks that aioecs places: leave out --instances, --fargate and the like"
    if task.count != 1:
        yield f"a run is one task, not {task.count}; give --jobs a line for each"
    if any(len(job.request.container_instances) > 1 for job in jobs):
        yield "--jobs: a run is one task: name one instance in a line"
    if task.jobs is None:
        if len(task.instances) > 1:
            yield "a run is one task: name one instance, or give --jobs a line for each"
        if options.max_running is not None:
            yield "--max-running is for --jobs"
    elif options.follow:
        yield "--follow and --jobs exclude each other: aioecs logs shows the log of one of the tasks"


def run_task_request(options: RunOptions, request: StartTaskRequest) -> RunTaskRequest:
    """Return the RunTask in place of a StartTask: the same task, placed by ECS."""
    task = options.task
    same = {each.name: getattr(request, each.name) for each in attrs.fields(cast("Any", type(request)))}
    constraints = [PlacementConstraint(type="memberOf", expression=each) for each in task.member_of]
    if task.distinct_instance:
        constraints.append(PlacementConstraint(type="distinctInstance"))
    return RunTaskRequest(
        **{name: held for name, held in same.items() if name in _FIELDS},
        launch_type=options.launch_type,
        capacity_provider_strategy=options.capacity_providers or None,
        platform_version=options.platform_version,
        client_token=options.client_token,
        placement_constraints=constraints or None,
        placement_strategy=_strategy(task) or None,
    )


def _strategy(task: StartOptions) -> list[PlacementStrategy]:
    if task.random:
        return [PlacementStrategy(type="random")]
    if task.binpack is not None:
        return [PlacementStrategy(type="binpack", field=task.binpack.value)]
    if task.spread is None:
        return []
    named = task.spread in ("instanceId", "host") or task.spread.startswith("attribute:")
    return [PlacementStrategy(type="spread", field=task.spread if named else f"attribute:{task.spread}")]


def _check(options: RunOptions, request: StartTaskRequest) -> None:
    """Check what RunTask gets in place of this; a StartTask has been checked before."""
    if not options.uses_run_task:
        return
    try:
        limits.check(run_task_request(options, with_container(request, LOCAL_CONTAINER)))
    except InvalidRequest as error:
        raise refused(error, {"network_configuration": "--subnets, --network-configuration"}) from error
