"""The operations around the tasks: clusters, registering definitions, instance states and tags."""

from __future__ import annotations

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations import clusters as _clusters
from aioecs.testing._operations import definitions as _definitions
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, text, texts
from aioecs.testing._operations.reads import make_token, read_token
from aioecs.testing._operations.wire_format import cluster_on_wire, failure, instance_on_wire, tags_on_wire
from aioecs.testing._world.state import Cluster, Definition, Instance
from aioecs.testing._world.world import World


def create_cluster(world: World, request: Json, _: float, __: int) -> Json:
    """Create a cluster; one that exists is answered as it is."""
    name = world.arns.cluster_name(text(request, "clusterName"))
    cluster = world.clusters.get(name)
    if cluster is None or cluster.status != "ACTIVE":
        cluster = Cluster(name, world.arns.cluster(name), rules.check_tags(request))
        _clusters.configure(world, cluster, request)
        world.clusters[name] = cluster
    return {"cluster": cluster_on_wire(cluster, _clusters.ALL)}


def describe_clusters(world: World, request: Json, _: float, __: int) -> Json:
    """Describe clusters by name or ARN, without any the default one; unknown ones are MISSING."""
    include = texts(request, "include")
    found: list[Json] = []
    failures: list[Json] = []
    for identifier in texts(request, "clusters") or ["default"]:
        name = world.arns.cluster_name(identifier)
        cluster = world.clusters.get(name)
        if cluster is None:
            failures.append(failure(world.arns.cluster(name), "MISSING"))
        else:
            found.append(cluster_on_wire(cluster, include))
    return {"clusters": found, "failures": failures}


def list_clusters(world: World, request: Json, _: float, __: int) -> Json:
    """List the ARNs of all clusters."""
    limit = rules.check_page(request)
    after = read_token(request, "")
    arns = [cluster.arn for cluster in world.clusters.values() if cluster.status == "ACTIVE"]
    answer: Json = {"clusterArns": arns[after : after + limit]}
    if len(arns) > after + limit:
        answer["nextToken"] = make_token("", after + limit)
    return answer


def register_task_definition(world: World, request: Json, now: float, _: int) -> Json:
    """Register the next revision of a family."""
    definition = register(world, request, now)
    return {"taskDefinition": definition.wire, "tags": tags_on_wire(definition.tags)}


def register(world: World, request: Json, now: float) -> Definition:
    """Make the next revision of a family and keep it."""
    tags = rules.check_tags(request)
    family = text(request, "family") or ""
    revision = len(world.definitions.get(family, ())) + 1
    definition = _definitions.make(request, world.arns, revision, now, tags)
    world.definitions.setdefault(family, []).append(definition)
    return definition


def update_container_instances_state(world: World, request: Json, _: float, __: int) -> Json:
    """Set up to ten instances ACTIVE or DRAINING."""
    given = texts(request, "containerInstances")
    identifiers = rules.check_count(given, rules.INSTANCES_PER_START, "instanceIds", "Container Instances")
    status = rules.check_choice(request, "status", ("ACTIVE", "DRAINING"))
    if status is None:
        raise invalid("Container instance status should be one of [ACTIVE,DRAINING].")
    cluster = world.cluster(request)
    found: list[Json] = []
    failures: list[Json] = []
    for identifier in identifiers:
        instance = world.instance(cluster, identifier)
        if instance is None or instance.status == "INACTIVE":
            arn = identifier if identifier.startswith("arn:") else world.arns.instance(cluster.name, identifier)
            failures.append(failure(arn, "MISSING" if instance is None else "INACTIVE"))
        else:
            set_status(instance, status)
            found.append(instance_on_wire(instance, tags=False, health=False))
    return {"containerInstances": found, "failures": failures}


def set_status(instance: Instance, status: str) -> None:
    """Give an instance another status."""
    instance.status = status
    instance.version += 1


def tag_resource(world: World, request: Json, _: float, __: int) -> Json:
    """Add tags to a cluster, an instance, a task or a task definition."""
    held = _tags_of(world, text(request, "resourceArn"))
    merged = {**held, **rules.check_tags(request)}
    if len(merged) > rules.TAGS:
        raise invalid(f"Tags can have a maximum of {rules.TAGS} items.")
    held.update(merged)
    return {}


def untag_resource(world: World, request: Json, _: float, __: int) -> Json:
    """Remove tags by key; one that is not there is no error."""
    held = _tags_of(world, text(request, "resourceArn"))
    for key in texts(request, "tagKeys"):
        held.pop(key, None)
    return {}


def execute_command(world: World, request: Json, _: float, __: int) -> Json:
    """Refuse to run a command: the local ECS runs no containers. The message is ECS's own. [reported]"""
    if not text(request, "command"):
        raise invalid("Command can not be empty.")
    task = world.task(world.cluster(request), text(request, "task") or "")
    if task is None or task.last_status == "STOPPED":
        raise invalid("The specified task wasn't found. Specify a valid task and try again.")
    raise invalid(
        "The execute command failed because execute command was not enabled when the task was run or the execute "
        "command agent isn't running. Wait and try again or run a new task with execute command enabled and try again."
    )


def list_tags_for_resource(world: World, request: Json, _: float, __: int) -> Json:
    """List the tags of a cluster, an instance, a task or a task definition."""
    return {"tags": tags_on_wire(_tags_of(world, text(request, "resourceArn")))}


def _tags_of(world: World, arn: str | None) -> dict[str, str]:
    if not arn or not arn.startswith("arn:"):
        raise invalid("Invalid identifier: Unexpected number of separators")
    kind, _, rest = arn.split(":", 5)[-1].partition("/")
    if kind == "task-definition":
        return world.definition(arn, active=False).tags
    if kind == "cluster":
        return world.cluster({"cluster": arn}).tags
    if kind == "capacity-provider":
        return world.provider(arn).tags
    cluster = world.cluster({"cluster": rest.partition("/")[0]})
    found = world.task(cluster, arn) if kind == "task" else world.instance(cluster, arn)
    if found is None:
        raise AwsError("ResourceNotFoundException", "The specified resource could not be found.")
    return found.tags
