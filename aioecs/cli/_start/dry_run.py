"""Shows where `aioecs start` would start tasks, and in which calls: a trial on a local copy of the cluster.

The copy has the cluster's instances with their free CPU, memory and GPUs, their attributes and agents, as many tasks on
each as there are, and the task definitions. Only reads are sent to ECS. What the copy doesn't have: ports and network
interfaces that are taken, and capacity that changes until the real run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
from rich.text import Text

from aioecs import (
    Client,
    DescribeContainerInstancesRequest,
    DescribeTaskDefinitionRequest,
    ListContainerInstancesRequest,
    Outcome,
    StartResult,
    StartTaskRequest,
)
from aioecs._model.arn import short
from aioecs._model.limits import INSTANCES_PER_CALL
from aioecs.cli import _lookup
from aioecs.cli._display.columns import Column, lines
from aioecs.cli._display.status import DONE, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.cli._start.options import StartOptions
from aioecs.cli._start.requests import RequestNames, drawn_requests, open_definitions
from aioecs.types import ContainerInstance, TaskDefinition

if TYPE_CHECKING:
    from aioecs.testing import LocalECS

CLUSTER = "default"
_PRESENT = "present"
_SMALLEST = 4  # MiB, the least that a container may have
SHOWN = 1000  # calls of a table; JSON has all


@attrs.frozen(kw_only=True)
class PlannedStart:
    """Where one task would go."""

    job: str | None
    task_definition: str
    container_instance: str | None
    call: int | None
    """Which call it would share, from 1 on; None if it would be refused."""
    reason: str | None = None

    def as_line(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(attrs.asdict(self))


async def dry_run(options: StartOptions, streams: Streams, client: Client, *, as_json: bool = False) -> int:
    """Start on the copy, show the plan, and return the exit status: 1 if some would be refused.

    Raises:
        UsageError: something is missing, as for the real run.
        ECSError: something could not be read.
    """
    containers = {each: await _lookup.find_container(client, each) for each in open_definitions(options)}
    await _lookup.check_spread_attribute(client, options)
    instances = await _lookup.find_instances(client, options) if options.names_instances else ()
    names = RequestNames()
    drawn = drawn_requests(attrs.evolve(options, idempotency_key=None), instances, containers, names)
    requests = [drawn] if isinstance(drawn, StartTaskRequest) else list(drawn)
    async with _copied(client, options, requests) as (copy, arns, definitions):
        translated = _translated(requests, arns, definitions, names)
        starts = await _start_on_the_copy(copy, options, translated)
    plan = _planned(starts, names, arns, definitions)
    if as_json:
        streams.show([each.as_line() for each in plan])
    else:
        for line in summary(plan, streams.columns):
            streams.show([line])
    return DONE if all(each.call is not None for each in plan) else PARTLY


@asynccontextmanager
async def _copied(
    client: Client, options: StartOptions, requests: Iterable[StartTaskRequest]
) -> AsyncGenerator[tuple[LocalECS, dict[str, str], dict[str, str]]]:
    """Copy the cluster; give the copy, its instances by the ids of the originals, and its task definitions likewise."""
    from aioecs.testing import LocalECS

    hosts = await _hosts(client, options.cluster)
    async with LocalECS(cluster=CLUSTER, instances=0) as copy:
        copy.engine.add_task_definition(_PRESENT, cpu=0, memory=_SMALLEST)
        arns = {short(each.container_instance_arn or ""): _add_host(copy, each) for each in hosts}
        definitions: dict[str, str] = {}
        for name in dict.fromkeys(request.task_definition for request in requests):
            request = DescribeTaskDefinitionRequest(task_definition=name)
            definition = (await client.describe_task_definition(request)).task_definition
            definitions[name] = _add_definition(copy, definition or TaskDefinition(), len(definitions))
        yield copy, arns, definitions


async def _hosts(client: Client, cluster: str | None) -> Sequence[ContainerInstance]:
    listed = await client.list_container_instances(ListContainerInstancesRequest(cluster=cluster))
    if not listed.container_instance_arns:
        return ()
    request = DescribeContainerInstancesRequest(cluster=cluster, container_instances=listed.container_instance_arns)
    return (await client.describe_container_instances(request)).container_instances


def _add_host(copy: LocalECS, host: ContainerInstance) -> str:
    free = {each.name: each for each in host.remaining_resources}
    amounts = {name: (free[name].integer_value or 0) if name in free else 0 for name in ("CPU", "MEMORY")}
    gpus = free["GPU"].string_set_value if "GPU" in free else ()
    present = (host.running_tasks_count or 0) + (host.pending_tasks_count or 0)
    [arn] = copy.engine.add_instances(
        1,
        cluster=CLUSTER,
        cpu=amounts["CPU"],
        memory=amounts["MEMORY"] + present * _SMALLEST,
        gpus=len(gpus or ()),
        attributes={each.name or "": each.value for each in host.attributes},
    )
    for at in range(0, present, INSTANCES_PER_CALL):  # a spread counts them
        hosts = [arn] * min(INSTANCES_PER_CALL, present - at)
        request = {"cluster": CLUSTER, "taskDefinition": _PRESENT, "containerInstances": hosts}
        copy.engine.call("StartTask", request)
    if host.status == "DRAINING":
        copy.engine.drain(arn)
    copy.engine.set_agent(arn, connected=bool(host.agent_connected))
    return arn


def _add_definition(copy: LocalECS, definition: TaskDefinition, number: int) -> str:
    """Register a copy under a family of its own, without what ECS adds to a registered definition.

    Raises:
        UsageError: the local ECS refuses it.
    """
    from aioecs.testing import AwsError

    plain = definition.to_dict()
    read_only = ("taskDefinitionArn", "revision", "status", "registeredAt", "registeredBy", "compatibilities")
    kept = {name: value for name, value in plain.items() if name not in (*read_only, "deregisteredAt")}
    try:
        answer = copy.engine.call("RegisterTaskDefinition", kept | {"family": f"copy-{number}"})
    except AwsError as error:
        raise UsageError(f"--dry-run: no copy of task definition {definition.family}: {error}") from error
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def _translated(
    requests: Iterable[StartTaskRequest],
    arns: Mapping[str, str],
    definitions: Mapping[str, str],
    names: RequestNames,
) -> list[StartTaskRequest]:
    """Return the requests for the copy, under the names that they had."""
    translated: list[StartTaskRequest] = []
    for request in requests:
        hosts = tuple(arns.get(short(each), each) for each in request.container_instances)
        copied = request.replace(
            cluster=CLUSTER, task_definition=definitions[request.task_definition], container_instances=hosts
        )
        name = names.name_of(request)
        translated.append(copied if name is None else names.add(copied, name))
    return translated


async def _start_on_the_copy(
    copy: LocalECS, options: StartOptions, requests: Sequence[StartTaskRequest]
) -> list[StartResult]:
    async with Client(**copy.client_kwargs(), max_in_flight=options.concurrency) as client, client.batch() as batch:
        if options.uses_placement:
            results = batch.place_tasks(
                requests if options.jobs is not None else requests[0],
                count=options.count if options.jobs is None else 1,
                placement=options.placement,
                constraints=options.constraints,
            )
        else:
            results = batch.start_tasks(requests)
        return [start async for start in results]


def _planned(
    starts: Sequence[StartResult], names: RequestNames, arns: Mapping[str, str], definitions: Mapping[str, str]
) -> list[PlannedStart]:
    """Return the plan, with the cluster's own instances and definitions."""
    hosts = {short(arn): host for host, arn in arns.items()}
    originals = {arn: name for name, arn in definitions.items()}
    started = [start for start in starts if start.outcome is Outcome.STARTED]
    calls = {token: number for number, token in enumerate(dict.fromkeys(each.token for each in started), 1)}
    plan: list[PlannedStart] = []
    for start in starts:
        instance = short(start.container_instance)
        ran = start.outcome is Outcome.STARTED
        reason = start.failure.reason if start.failure is not None else None
        plan.append(
            PlannedStart(
                job=names.take(start.request),
                task_definition=originals.get(start.request.task_definition, start.request.task_definition),
                container_instance=hosts.get(instance, instance) or None,
                call=calls[start.token] if ran else None,
                reason=reason or (str(start.error) if start.error is not None and not ran else None),
            )
        )
    return plan


def summary(plan: Sequence[PlannedStart], width: int | None) -> list[Text]:
    """Return the plan as a table, a call a line, with totals; then what would be refused, by the reason."""
    calls: dict[int, list[PlannedStart]] = {}
    refused: dict[str, int] = {}
    for each in plan:
        if each.call is not None:
            calls.setdefault(each.call, []).append(each)
        else:
            refused[each.reason or "no reason given"] = refused.get(each.reason or "no reason given", 0) + 1
    started = sum(map(len, calls.values()))
    shown: dict[str, Any] = {
        "CALL": [str(call) for call in list(calls)[:SHOWN]],
        "TASKS": [str(len(each)) for each in list(calls.values())[:SHOWN]],
        "INSTANCES": [_hosts_of(each) for each in list(calls.values())[:SHOWN]],
        "JOBS": [", ".join(start.job for start in each if start.job) for each in list(calls.values())[:SHOWN]],
    }
    table = lines([Column(heading, cells, rank) for rank, (heading, cells) in enumerate(shown.items())], width)
    totals = Text(
        f"{started:,} of {len(plan):,} tasks would start, with {len(calls):,} call{'' if len(calls) == 1 else 's'}; "
        "nothing was started",
        "bold",
    )
    if (more := len(calls) - SHOWN) > 0:
        table.append(Text(f"and {more:,} more calls; --json has all", "dim"))
    return [*table, totals, *(Text(f"  {count:,} x {reason}", "yellow") for reason, count in refused.items())]


def _hosts_of(starts: Sequence[PlannedStart]) -> str:
    """Name the instances of a call, each once with the number of its tasks."""
    hosts = Counter(start.container_instance or "" for start in starts)
    return ", ".join(host if count == 1 else f"{count} x {host}" for host, count in hosts.items())
