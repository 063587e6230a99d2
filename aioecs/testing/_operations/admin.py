"""Operations on clusters, task definitions, instance states and tags."""

from __future__ import annotations

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations import clusters as _clusters
from aioecs.testing._operations import definitions as _definitions
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, text, texts
from aioecs.testing._operations.reads import make_token, read_token
from aioecs.testing._operations.wire_format import cluster_on_wire, failure, instance_on_wire, tags_on_wire
from aioecs.testing._state.account import Account
from aioecs.testing._state.records import Cluster, Definition, Instance


def create_cluster(account: Account, request: Json, _: float, __: int) -> Json:
    """Create a cluster; an existing one is returned unchanged."""
    name = account.arns.cluster_name(text(request, "clusterName"))
    cluster = account.clusters.get(name)
    if cluster is None or cluster.status != "ACTIVE":
        cluster = Cluster(name, account.arns.cluster(name), rules.check_tags(request))
        _clusters.configure(account, cluster, request)
        account.clusters[name] = cluster
    return {"cluster": cluster_on_wire(cluster, _clusters.ALL)}


def describe_clusters(account: Account, request: Json, _: float, __: int) -> Json:
    """Describe clusters by name or ARN, or the default one if none is named; unknown ones are MISSING."""
    include = texts(request, "include")
    found: list[Json] = []
    failures: list[Json] = []
    for identifier in texts(request, "clusters") or ["default"]:
        name = account.arns.cluster_name(identifier)
        cluster = account.clusters.get(name)
        if cluster is None:
            failures.append(failure(account.arns.cluster(name), "MISSING"))
        else:
            found.append(cluster_on_wire(cluster, include))
    return {"clusters": found, "failures": failures}


def list_clusters(account: Account, request: Json, _: float, __: int) -> Json:
    """List the ARNs of all clusters."""
    limit = rules.check_page(request)
    after = read_token(request, "")
    arns = [cluster.arn for cluster in account.clusters.values() if cluster.status == "ACTIVE"]
    answer: Json = {"clusterArns": arns[after : after + limit]}
    if len(arns) > after + limit:
        answer["nextToken"] = make_token("", after + limit)
    return answer


def register_task_definition(account: Account, request: Json, now: float, _: int) -> Json:
    """Register the next revision of a family."""
    definition = register(account, request, now)
    return {"taskDefinition": definition.wire, "tags": tags_on_wire(definition.tags)}


def register(account: Account, request: Json, now: float) -> Definition:
    """Add the next revision of a family."""
    tags = rules.check_tags(request)
    family = text(request, "family") or ""
    revision = len(account.definitions.get(family, ())) + 1
    definition = _definitions.make(request, account.arns, revision, now, tags)
    account.definitions.setdefault(family, []).append(definition)
    return definition


def update_container_instances_state(account: Account, request: Json, _: float, __: int) -> Json:
    """Set up to ten instances ACTIVE or DRAINING."""
    given = texts(request, "containerInstances")
    identifiers = rules.check_count(given, rules.INSTANCES_PER_START, "instanceIds", "Container Instances")
    status = rules.check_choice(request, "status", ("ACTIVE", "DRAINING"))
    if status is None:
        raise invalid("Container instance status should be one of [ACTIVE,DRAINING].")
    cluster = account.cluster(request)
    found: list[Json] = []
    failures: list[Json] = []
    for identifier in identifiers:
        instance = account.instance(cluster, identifier)
        if instance is None or instance.status == "INACTIVE":
            arn = identifier if identifier.startswith("arn:") else account.arns.instance(cluster.name, identifier)
            failures.append(failure(arn, "MISSING" if instance is None else "INACTIVE"))
        else:
            set_status(instance, status)
            found.append(instance_on_wire(instance, tags=False, health=False))
    return {"containerInstances": found, "failures": failures}


def set_status(instance: Instance, status: str) -> None:
    """Set the status of an instance."""
    instance.status = status
    instance.version += 1


def tag_resource(account: Account, request: Json, _: float, __: int) -> Json:
    """Add tags to a cluster, an instance, a task or a task definition."""
    existing = _tags_of(account, text(request, "resourceArn"))
    merged = {**existing, **rules.check_tags(request)}
    if len(merged) > rules.TAGS:
        raise invalid(f"Tags can have a maximum of {rules.TAGS} items.")
    existing.update(merged)
    return {}


def untag_resource(account: Account, request: Json, _: float, __: int) -> Json:
    """Remove tags by key; a missing key is no error."""
    existing = _tags_of(account, text(request, "resourceArn"))
    for key in texts(request, "tagKeys"):
        existing.pop(key, None)
    return {}


def execute_command(account: Account, request: Json, _: float, __: int) -> Json:
    """Refuse to run a command: the local ECS runs no containers. The message is that of ECS. [reported]"""
    if not text(request, "command"):
        raise invalid("Command can not be empty.")
    task = account.task(account.cluster(request), text(request, "task") or "")
    if task is None or task.last_status == "STOPPED":
        raise invalid("The specified task wasn't found. Specify a valid task and try again.")
    raise invalid(
        "The execute command failed because execute command was not enabled when the task was run or the execute "
        "command agent isn't running. Wait and try again or run a new task with execute command enabled and try again."
    )


def list_tags_for_resource(account: Account, request: Json, _: float, __: int) -> Json:
    """List the tags of a cluster, an instance, a task or a task definition."""
    return {"tags": tags_on_wire(_tags_of(account, text(request, "resourceArn")))}


def _tags_of(account: Account, arn: str | None) -> dict[str, str]:
    if not arn or not arn.startswith("arn:"):
        raise invalid("Invalid identifier: Unexpected number of separators")
    kind, _, remainder = arn.split(":", 5)[-1].partition("/")
    if kind == "task-definition":
        return account.definition(arn, active=False).tags
    if kind == "cluster":
        return account.cluster({"cluster": arn}).tags
    if kind == "capacity-provider":
        return account.provider(arn).tags
    cluster = account.cluster({"cluster": remainder.partition("/")[0]})
    found = account.task(cluster, arn) if kind == "task" else account.instance(cluster, arn)
    if found is None:
        raise AwsError("ResourceNotFoundException", "The specified resource could not be found.")
    return found.tags
