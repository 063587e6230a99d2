"""ListTasks, DescribeTasks, ListContainerInstances, DescribeContainerInstances and DescribeTaskDefinition.

Lists are in order of starting or registering, and a page's token is the place in that order: what comes or goes between
two pages shifts nothing. Descriptions come in another order than asked for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from aioecs.testing._errors import invalid
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, text, texts
from aioecs.testing._operations.query import Lookup, Predicate, QueryError, compile_query
from aioecs.testing._operations.wire_format import failure, instance_on_wire, tags_on_wire, task_on_wire
from aioecs.testing._world.state import RUNNING, STOPPED, Cluster, Instance, Shelf, Task
from aioecs.testing._world.world import World

_MARK = "aioecs"


def list_tasks(world: World, request: Json, now: float, _: int) -> Json:
    """List tasks by one shelf and further filters; without desiredStatus, those that are to run."""
    limit = rules.check_page(request)
    # Read as it is: tasks that AWS itself started bear names that a start is refused for ("AWS Step Functions").
    started_by = text(request, "startedBy") or None
    desired = _desired(world, request, started_by)
    cluster = world.cluster(request)
    after = read_token(request, cluster.name)
    lag = world.behaviour.visibility_lag
    keep = _filter(request, now - lag if lag else float("inf"))
    shelf = _shelf(world, cluster, request, started_by)
    found, more = shelf.page(desired, after, limit, keep)
    answer: Json = {"taskArns": [task.arn for task in found]}
    if more:
        answer["nextToken"] = make_token(cluster.name, found[-1].seq)
    return answer


def describe_tasks(world: World, request: Json, now: float, _: int) -> Json:
    """Describe up to a hundred tasks; unknown ones, and those younger than the lag, are MISSING."""
    identifiers = rules.check_count(texts(request, "tasks"), rules.DESCRIBED, "taskIds", "Tasks")
    cluster = world.cluster(request)
    tags = "TAGS" in texts(request, "include")
    lag = world.behaviour.describe_lag
    if lag is None:
        lag = world.behaviour.visibility_lag
    described: dict[str, Json] = {}
    failures: list[Json] = []
    for identifier in identifiers:
        task = world.task(cluster, identifier)
        if task is None or (lag and now - task.created_at < lag):
            arn = identifier if identifier.startswith("arn:") else world.arns.task(cluster.name, identifier)
            failures.append(failure(arn, "MISSING"))
        else:
            described[task.id] = task_on_wire(task, world.arns, tags=tags)
    return {"tasks": list(described.values())[::-1], "failures": failures}


def list_container_instances(world: World, request: Json, _: float, __: int) -> Json:
    """List container instances by status and by a query; without a status, all but the deregistered."""
    limit = rules.check_page(request)
    status = text(request, "status")  # an open list: one that is not known yet finds nothing
    if status == "INACTIVE":
        raise invalid("status must be one of ACTIVE, DRAINING, REGISTERING, DEREGISTERING, REGISTRATION_FAILED")
    written = text(request, "filter")
    matches: Predicate = _query(written) if written else _any
    cluster = world.cluster(request)
    after = read_token(request, cluster.name)
    found = [
        instance
        for instance in cluster.instances.values()
        if instance.seq > after
        and (instance.status == status if status else instance.status != "INACTIVE")
        and matches(lookup(instance))
    ]
    answer: Json = {"containerInstanceArns": [instance.arn for instance in found[:limit]]}
    if len(found) > limit:
        answer["nextToken"] = make_token(cluster.name, found[limit - 1].seq)
    return answer


def describe_container_instances(world: World, request: Json, _: float, __: int) -> Json:
    """Describe up to a hundred container instances, deregistered ones included; unknown ones are MISSING."""
    given = texts(request, "containerInstances")
    identifiers = rules.check_count(given, rules.DESCRIBED, "instanceIds", "Container Instances")
    cluster = world.cluster(request)
    include = texts(request, "include")
    described: dict[str, Json] = {}
    failures: list[Json] = []
    for identifier in identifiers:
        instance = world.instance(cluster, identifier)
        if instance is None:
            arn = identifier if identifier.startswith("arn:") else world.arns.instance(cluster.name, identifier)
            failures.append(failure(arn, "MISSING"))
        else:
            described[instance.id] = instance_on_wire(
                instance, tags="TAGS" in include, health="CONTAINER_INSTANCE_HEALTH" in include
            )
    return {"containerInstances": list(described.values())[::-1], "failures": failures}


def describe_task_definition(world: World, request: Json, _: float, __: int) -> Json:
    """Describe a task definition; an inactive revision too, when it is named."""
    definition = world.definition(text(request, "taskDefinition"), active=False)
    answer: Json = {"taskDefinition": definition.wire}
    if "TAGS" in texts(request, "include"):
        answer["tags"] = tags_on_wire(definition.tags)
    return answer


def lookup(instance: Instance) -> Lookup:
    """Give the values of a query's subjects for an instance."""

    def values(subject: str) -> Sequence[str]:
        kind, _, name = subject.partition(":")
        if kind == "attribute":
            return [instance.attributes[name] or ""] if name in instance.attributes else []
        return _FIELDS[subject](instance)

    return values


_FIELDS: dict[str, Callable[[Instance], Sequence[str]]] = {
    "agentConnected": lambda instance: ["true" if instance.agent_connected else "false"],
    "agentVersion": lambda instance: [instance.agent_version],
    "ec2InstanceId": lambda instance: [instance.ec2_instance_id],
    "registeredAt": lambda instance: [datetime.fromtimestamp(instance.registered_at, UTC).isoformat()],
    "runningTasksCount": lambda instance: [str(instance.running)],
    "task:group": lambda instance: [task.group for task in instance.shelf.live.values()],
}


def make_token(cluster: str, after: int) -> str:
    """Make the opaque token of the page that follows the sequence number `after`."""
    return base64.urlsafe_b64encode(f"{_MARK}:{cluster}:{after}".encode()).decode()


def read_token(request: Json, cluster: str) -> int:
    """Read a page's token; without one, the first page.

    Raises:
        AwsError: InvalidParameterException, when it is not a token of this cluster.
    """
    token = text(request, "nextToken")
    if not token:
        return 0
    try:
        mark, name, after = base64.urlsafe_b64decode(token.encode()).decode().split(":")
        if (mark, name) == (_MARK, cluster):
            return int(after)
    except (binascii.Error, ValueError):
        pass
    raise invalid("Invalid token.")


def paged(request: Json, name: str, values: Sequence[object]) -> Json:
    """Give a page of a list that belongs to no cluster, under the name that the answer has for it."""
    limit = rules.check_page(request)
    after = read_token(request, "")
    answer: Json = {name: list(values[after : after + limit])}
    if len(values) > after + limit:
        answer["nextToken"] = make_token("", after + limit)
    return answer


def _desired(world: World, request: Json, started_by: str | None) -> str:
    desired = text(request, "desiredStatus") or RUNNING
    if started_by is None:
        return desired
    if any(request.get(name) for name in ("containerInstance", "family", "serviceName", "launchType", "daemonName")):
        # [reported] aws/aws-sdk-go-v2#1893
        raise invalid("cannot specify startedBy with other arguments")
    if desired == STOPPED and world.behaviour.started_by_with_status == "reject":
        raise invalid("cannot specify startedBy with other arguments")
    return RUNNING if world.behaviour.started_by_with_status == "ignore" else desired


def _shelf(world: World, cluster: Cluster, request: Json, started_by: str | None) -> Shelf:
    """Choose the shelf on which the fewest tasks must be looked at."""
    if started_by is not None:
        return cluster.by_started_by.get(started_by, Shelf())
    identifier = text(request, "containerInstance")
    if identifier:
        instance = world.instance(cluster, identifier)
        if instance is None:
            raise invalid("The specified container instance does not exist.")
        return instance.shelf
    family = text(request, "family")
    return cluster.by_family.get(family, Shelf()) if family else cluster.shelf


def _filter(request: Json, newest: float) -> Callable[[Task], bool]:
    family, service = text(request, "family"), text(request, "serviceName") or text(request, "daemonName")
    launch_type = text(request, "launchType")

    def keep(task: Task) -> bool:
        return (
            task.created_at <= newest
            and (not family or task.family == family)
            and (not service or task.group == f"service:{service}")
            and (not launch_type or task.launch_type == launch_type)
        )

    return keep


def _query(written: str) -> Predicate:
    try:
        return compile_query(written)
    except QueryError as error:
        raise invalid(f"Invalid filter expression: {error}") from None


def _any(_: Lookup) -> bool:
    return True
