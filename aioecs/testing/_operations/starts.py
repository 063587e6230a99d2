"""StartTask, RunTask and StopTask."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from typing import TypeVar

import attrs

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations import launching, rules
from aioecs.testing._operations.definitions import need as need_of
from aioecs.testing._operations.members import Json, flag, text, texts
from aioecs.testing._operations.query import Predicate, QueryError, compile_query
from aioecs.testing._operations.wire_format import failure, task_on_wire
from aioecs.testing._placement.capacity import why_not
from aioecs.testing._placement.fargate import NO_CAPACITY
from aioecs.testing._placement.placement import Placement, check_strategies, constraints_unsatisfied
from aioecs.testing._world.state import STOPPED, Cluster, Definition, Need, Task
from aioecs.testing._world.world import Launch, Remembered, World, make_task, unknown_task

T = TypeVar("T")

REMEMBERED = 86400.0  # how long RunTask's client tokens live at most, in seconds [docs, "Ensuring idempotency"]
REMEMBERED_STOPPED = 3600.0  # and how long after the last of their tasks has stopped [docs]
_SCOPE = ("cluster", "clientToken")


def start_task(world: World, request: Json, now: float, call: int) -> Json:
    """Start one task per entry of `containerInstances`, on the instance that it names."""
    entries = rules.check_count(
        texts(request, "containerInstances"), rules.INSTANCES_PER_START, "instanceIds", "Container Instances"
    )
    started_by = rules.check_started_by(text(request, "startedBy"), rules.STARTED_BY)
    cluster = world.cluster(request)
    definition = world.definition(text(request, "taskDefinition"))
    launch = _launch(request, cluster, definition, now, call, started_by, "EC2")
    need = need_of(definition, launch.overrides) if launch.overrides else definition.need
    refused = world.behaviour.draining == "refuse"
    # All identifiers are read before anything starts: a malformed one must not leave half of a call behind.
    instances = [(entry, world.instance(cluster, entry)) for entry in entries]
    tasks: list[Task] = []
    failures: list[Json] = []
    for entry, instance in instances:
        if instance is None:
            failures.append(failure(_instance_arn(world, cluster, entry), "MISSING"))
        elif (reason := why_not(instance, definition, need, refused)) is not None:
            detail = "The container instance is DRAINING." if instance.status == "DRAINING" else None
            failures.append(failure(instance.arn, reason, detail))
        else:
            tasks.append(make_task(world, cluster, instance, definition, need, launch))
    world.ledger.settled(call, tasks=tuple(task.arn for task in tasks))
    return _answer(world, tasks, failures)


def run_task(world: World, request: Json, now: float, call: int) -> Json:
    """Start `count` tasks where launch type, providers, constraints and strategies say.

    A known `clientToken` gives back its tasks.
    """
    count = rules.check_run_count(request)
    started_by = rules.check_started_by(text(request, "startedBy"), rules.STARTED_BY_RUN_TASK)
    client_token = rules.check_client_token(text(request, "clientToken"))
    cluster = world.cluster(request)
    digest = _digest(request)
    known = _known(world, (cluster.name, client_token), digest, now) if client_token is not None else None
    if known is not None:
        return _answer(world, known, [], replayed=True)
    definition = world.definition(text(request, "taskDefinition"))
    launch = _launch(request, cluster, definition, now, call, started_by, "EC2")
    need = need_of(definition, launch.overrides) if launch.overrides else definition.need
    capacity_model = launching.choose(world, cluster, request, definition, need, count)
    placement = _placement(world, cluster, request, definition, need, launch.group)
    tasks, failures = _begin(world, placement, capacity_model, launch)
    world.ledger.settled(call, tasks=tuple(task.arn for task in tasks))
    if client_token is not None and tasks:
        world.client_tokens[cluster.name, client_token] = Remembered(now, digest, tuple(tasks))
    return _answer(world, tasks, failures)


def _placement(
    world: World, cluster: Cluster, request: Json, definition: Definition, need: Need, group: str
) -> Placement:
    expressions, distinct = rules.check_constraints(request)
    return Placement(
        cluster=cluster,
        definition=definition,
        need=need,
        group=group,
        predicates=[_predicate(expression) for expression in (*expressions, *definition.constraints)],
        distinct=distinct,
        strategies=check_strategies(request),
        dice=world.dice,
    )


def _begin(
    world: World, placement: Placement, capacity_model: list[launching.Infrastructure], launch: Launch
) -> tuple[list[Task], list[Json]]:
    """Start the tasks one by one, until there is no room for one; say why."""
    if any(each.launch_type == "EC2" and each.provider is None for each in capacity_model):
        _check_instances(placement.cluster)
    tasks: list[Task] = []
    for each in capacity_model:
        instance, finder = None, None
        if each.launch_type == "FARGATE":
            if launching.fargate_is_full(world):
                return tasks, [{"reason": NO_CAPACITY}]
        elif each.provider is not None:
            finder = launching.host_finder(world, placement, each.provider)
        elif (instance := placement.choose()) is None:
            return tasks, _unplaced(placement)
        own = attrs.evolve(
            launch,
            launch_type=each.launch_type,
            capacity_provider=each.provider,
            platform_version=each.platform_version,
        )
        tasks.append(make_task(world, placement.cluster, instance, placement.definition, placement.need, own, finder))
    return tasks, []


def stop_task(world: World, request: Json, now: float, call: int) -> Json:
    """Stop a task; its tags go. A task that is stopping or stopped is answered as it is."""
    identifier = text(request, "task")
    if not identifier:
        raise invalid("Task Identifier is invalid")
    cluster = world.cluster(request)
    task = world.task(cluster, identifier)
    if task is None:
        raise unknown_task()
    world.ledger.settled(call, stopped=task.arn)
    world.stop(task, now, "UserInitiated", text(request, "reason") or "Task stopped by user")
    task.tags.clear()
    return {"task": task_on_wire(task, world.arns, tags=True)}


def _launch(
    request: Json,
    cluster: Cluster,
    definition: Definition,
    now: float,
    call: int,
    started_by: str | None,
    launch_type: str,
) -> Launch:
    tags = rules.check_tags(request)
    rules.check_volumes(request, definition)
    if rules.check_propagation(request):
        tags = {**definition.tags, **tags}
    if flag(request, "enableECSManagedTags"):
        tags = {**tags, "aws:ecs:clusterName": cluster.name}
    return Launch(
        at=now,
        call=call,
        started_by=started_by,
        group=text(request, "group") or f"family:{definition.family}",
        overrides=rules.check_overrides(request, definition),
        tags=tags,
        enable_execute_command=flag(request, "enableExecuteCommand"),
        launch_type=launch_type,
        network=rules.check_network(request, definition),
    )


def _answer(world: World, tasks: Sequence[Task], failures: list[Json], *, replayed: bool = False) -> Json:
    """Give tasks and failures in an order that is not the one asked for, which ECS promises nowhere.

    Of a task that stopped before a client token was used again, only three members are left. [docs]
    """
    mixed = reorder(list(tasks), [task.instance.id if task.instance is not None else "" for task in tasks], world.dice)
    return {
        "tasks": [
            _remains(task) if replayed and task.last_status == STOPPED else task_on_wire(task, world.arns, tags=True)
            for task in mixed
        ],
        "failures": reorder(failures, [each.get("arn", "") for each in failures], world.dice),
    }


def _remains(task: Task) -> Json:
    return {"taskArn": task.arn, "lastStatus": task.last_status, "desiredStatus": task.desired_status}


def reorder(values: list[T], keys: list[str], dice: random.Random) -> list[T]:
    """Shuffle values so that the order of their keys is another one, where there are two different keys."""
    if len(values) < 2:
        return values
    order = list(range(len(values)))
    dice.shuffle(order)
    if len(set(keys)) > 1:
        while [keys[at] for at in order] == keys:
            order = [*order[1:], order[0]]
    elif order == sorted(order):
        order.reverse()
    return [values[at] for at in order]


def _instance_arn(world: World, cluster: Cluster, entry: str) -> str:
    return entry if entry.startswith("arn:") else world.arns.instance(cluster.name, entry)


def _digest(request: Json) -> str:
    """Sum up the parameters of a RunTask; its cluster is part of the token's scope, and null is absent."""
    given = {name: value for name, value in request.items() if value is not None and name not in _SCOPE}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def _known(world: World, key: tuple[str, str], digest: str, now: float) -> tuple[Task, ...] | None:
    """Find the tasks of a client token that still lives: for the lesser of a day and its tasks' life and an hour."""
    known = world.client_tokens.get(key)
    if known is None or now - known.at > REMEMBERED:
        return None
    ends = [task.stopped_at for task in known.tasks if task.stopped_at is not None]
    if len(ends) == len(known.tasks) and now - max(ends) > REMEMBERED_STOPPED:
        return None
    if known.digest != digest:
        message = "The provided clientToken is already in use with a different RunTask request."
        raise AwsError("ConflictException", message, members={"resourceIds": [task.arn for task in known.tasks]})
    return known.tasks


def _predicate(expression: str) -> Predicate:
    try:
        return compile_query(expression)
    except QueryError as error:
        raise invalid(f"Invalid placement constraint expression: {error}") from None


def _check_instances(cluster: Cluster) -> None:
    if not any(each.status == "ACTIVE" for each in cluster.instances.values()):
        raise invalid("No Container Instances were found in your cluster.")


def _unplaced(placement: Placement) -> list[Json]:
    """Say of each instance why it took no more; of the cluster, when none was even looked at."""
    candidates = placement.candidates()
    if not candidates:
        cluster = placement.cluster
        return [failure(cluster.arn, constraints_unsatisfied(cluster.instances.values()))]
    return [failure(each.arn, placement.why_not(each)) for each in candidates]
