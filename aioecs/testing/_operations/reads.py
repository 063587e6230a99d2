"""ListTasks, DescribeTasks, ListContainerInstances, DescribeContainerInstances and DescribeTaskDefinition.

Lists are in order of starting or registering. A page token holds a position in that order, so that additions and
removals between two pages shift nothing. Descriptions come in another order than requested.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from aioecs.testing._errors import invalid
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, text, texts
from aioecs.testing._operations.query import Predicate, QueryError, SubjectValues, compile_query
from aioecs.testing._operations.wire_format import failure, instance_on_wire, tags_on_wire, task_on_wire
from aioecs.testing._state.account import Account
from aioecs.testing._state.records import RUNNING, STOPPED, Cluster, Instance, Task, TaskIndex

_MARK = "aioecs"


def list_tasks(account: Account, request: Json, now: float, _: int) -> Json:
    """List tasks by one index and further filters; without desiredStatus, those with RUNNING."""
    limit = rules.check_page(request)
    # Not validated: tasks that AWS services started have values that a start is refused for ("AWS Step Functions").
    started_by = text(request, "startedBy") or None
    desired = _desired(account, request, started_by)
    cluster = account.cluster(request)
    after = read_token(request, cluster.name)
    lag = account.behaviour.visibility_lag
    keep = _filter(request, now - lag if lag else float("inf"))
    index = _index(account, cluster, request, started_by)
    found, more = index.page(desired, after, limit, keep)
    answer: Json = {"taskArns": [task.arn for task in found]}
    if more:
        answer["nextToken"] = make_token(cluster.name, found[-1].seq)
    return answer


def describe_tasks(account: Account, request: Json, now: float, _: int) -> Json:
    """Describe up to a hundred tasks; unknown ones, and those newer than the lag, are MISSING."""
    identifiers = rules.check_count(texts(request, "tasks"), rules.DESCRIBED, "taskIds", "Tasks")
    cluster = account.cluster(request)
    tags = "TAGS" in texts(request, "include")
    lag = account.behaviour.describe_lag
    if lag is None:
        lag = account.behaviour.visibility_lag
    described: dict[str, Json] = {}
    failures: list[Json] = []
    for identifier in identifiers:
        task = account.task(cluster, identifier)
        if task is None or (lag and now - task.created_at < lag):
            arn = identifier if identifier.startswith("arn:") else account.arns.task(cluster.name, identifier)
            failures.append(failure(arn, "MISSING"))
        else:
            described[task.id] = task_on_wire(task, account.arns, tags=tags)
    return {"tasks": list(described.values())[::-1], "failures": failures}


def list_container_instances(account: Account, request: Json, _: float, __: int) -> Json:
    """List container instances by status and by a query; without a status, all except the deregistered."""
    limit = rules.check_page(request)
    status = text(request, "status")  # an open list: an unknown status matches nothing
    if status == "INACTIVE":
        raise invalid("status must be one of ACTIVE, DRAINING, REGISTERING, DEREGISTERING, REGISTRATION_FAILED")
    written = text(request, "filter")
    matches: Predicate = _compile(written) if written else _any
    cluster = account.cluster(request)
    after = read_token(request, cluster.name)
    found = [
        instance
        for instance in cluster.instances.values()
        if instance.seq > after
        and (instance.status == status if status else instance.status != "INACTIVE")
        and matches(values_of(instance))
    ]
    answer: Json = {"containerInstanceArns": [instance.arn for instance in found[:limit]]}
    if len(found) > limit:
        answer["nextToken"] = make_token(cluster.name, found[limit - 1].seq)
    return answer


def describe_container_instances(account: Account, request: Json, _: float, __: int) -> Json:
    """Describe up to a hundred container instances, deregistered ones included; unknown ones are MISSING."""
    given = texts(request, "containerInstances")
    identifiers = rules.check_count(given, rules.DESCRIBED, "instanceIds", "Container Instances")
    cluster = account.cluster(request)
    include = texts(request, "include")
    described: dict[str, Json] = {}
    failures: list[Json] = []
    for identifier in identifiers:
        instance = account.instance(cluster, identifier)
        if instance is None:
            arn = identifier if identifier.startswith("arn:") else account.arns.instance(cluster.name, identifier)
            failures.append(failure(arn, "MISSING"))
        else:
            described[instance.id] = instance_on_wire(
                instance, tags="TAGS" in include, health="CONTAINER_INSTANCE_HEALTH" in include
            )
    return {"containerInstances": list(described.values())[::-1], "failures": failures}


def describe_task_definition(account: Account, request: Json, _: float, __: int) -> Json:
    """Describe a task definition; an inactive revision too, if it is named."""
    definition = account.definition(text(request, "taskDefinition"), active=False)
    answer: Json = {"taskDefinition": definition.wire}
    if "TAGS" in texts(request, "include"):
        answer["tags"] = tags_on_wire(definition.tags)
    return answer


def values_of(instance: Instance) -> SubjectValues:
    """Return a function that returns the values of a query subject for an instance."""

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
    "task:group": lambda instance: [task.group for task in instance.task_index.live.values()],
}


def make_token(cluster: str, after: int) -> str:
    """Return the opaque token of the page that follows the sequence number `after`."""
    return base64.urlsafe_b64encode(f"{_MARK}:{cluster}:{after}".encode()).decode()


def read_token(request: Json, cluster: str) -> int:
    """Return the position in a page token; without a token, that of the first page.

    Raises:
        AwsError: InvalidParameterException, if it is not a token of this cluster.
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
    """Return a page of a list that belongs to no cluster, as the response member `name`."""
    limit = rules.check_page(request)
    after = read_token(request, "")
    answer: Json = {name: list(values[after : after + limit])}
    if len(values) > after + limit:
        answer["nextToken"] = make_token("", after + limit)
    return answer


def _desired(account: Account, request: Json, started_by: str | None) -> str:
    desired = text(request, "desiredStatus") or RUNNING
    if started_by is None:
        return desired
    if any(request.get(name) for name in ("containerInstance", "family", "serviceName", "launchType", "daemonName")):
        # [reported] aws/aws-sdk-go-v2#1893
        raise invalid("cannot specify startedBy with other arguments")
    if desired == STOPPED and account.behaviour.started_by_with_status == "reject":
        raise invalid("cannot specify startedBy with other arguments")
    return RUNNING if account.behaviour.started_by_with_status == "ignore" else desired


def _index(account: Account, cluster: Cluster, request: Json, started_by: str | None) -> TaskIndex:
    """Return the index with the fewest tasks to filter."""
    if started_by is not None:
        return cluster.by_started_by.get(started_by, TaskIndex())
    identifier = text(request, "containerInstance")
    if identifier:
        instance = account.instance(cluster, identifier)
        if instance is None:
            raise invalid("The specified container instance does not exist.")
        return instance.task_index
    family = text(request, "family")
    return cluster.by_family.get(family, TaskIndex()) if family else cluster.task_index


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


def _compile(written: str) -> Predicate:
    try:
        return compile_query(written)
    except QueryError as error:
        raise invalid(f"Invalid filter expression: {error}") from None


def _any(_: SubjectValues) -> bool:
    return True
