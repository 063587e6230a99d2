"""StartTask, RunTask and StopTask."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from aioecs.testing import _rules
from aioecs.testing._capacity import has_attributes, lacks, why_not
from aioecs.testing._definitions import need as need_of
from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._members import Json, flag, text, texts
from aioecs.testing._query import Predicate, QueryError, compile_query
from aioecs.testing._reads import lookup
from aioecs.testing._render import failure, task_on_wire
from aioecs.testing._state import Cluster, Definition, Instance, Need, Task
from aioecs.testing._world import Launch, World, make_task, unknown_task

T = TypeVar("T")

REMEMBERED = 86400.0  # how long RunTask's client tokens are kept, in seconds; a day, as ECS's idempotency [docs]


def start_task(world: World, request: Json, now: float, call: int) -> Json:
    """Start one task per entry of `containerInstances`, on the instance that it names."""
    entries = _rules.check_count(
        texts(request, "containerInstances"), _rules.INSTANCES_PER_START, "instanceIds", "Container Instances"
    )
    started_by = _rules.check_started_by(text(request, "startedBy"), _rules.STARTED_BY)
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
    """Place `count` tasks, spread over the instances that fit; a known `clientToken` gives back its tasks."""
    count = _rules.check_run_count(request)
    started_by = _rules.check_started_by(text(request, "startedBy"), _rules.STARTED_BY_RUN_TASK)
    client_token = _rules.check_client_token(text(request, "clientToken"))
    cluster = world.cluster(request)
    if client_token is not None and (known := _known(world, client_token, request, now)) is not None:
        return _answer(world, known, [])
    definition = world.definition(text(request, "taskDefinition"))
    launch_type = _rules.check_launch_type(request) or "EC2"
    launch = _launch(request, cluster, definition, now, call, started_by, launch_type)
    need = need_of(definition, launch.overrides) if launch.overrides else definition.need
    expressions, distinct = _rules.check_constraints(request)
    predicates = [_predicate(expression) for expression in (*expressions, *definition.constraints)]
    candidates = _candidates(cluster, predicates)
    tasks: list[Task] = []
    for _ in range(count):
        fitting = [
            instance
            for instance in candidates
            if has_attributes(instance, definition)
            and lacks(instance, need) is None
            and not (distinct and any(task.instance is instance for task in tasks))
        ]
        if not fitting:
            break
        chosen = min(fitting, key=lambda instance: (instance.running + instance.pending, instance.seq))
        tasks.append(make_task(world, cluster, chosen, definition, need, launch))
    failures = _unplaced(cluster, candidates, definition, need) if len(tasks) < count else []
    world.ledger.settled(call, tasks=tuple(task.arn for task in tasks))
    if client_token is not None and tasks:
        world.client_tokens[client_token] = (now, request, tuple(tasks))
    return _answer(world, tasks, failures)


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
    tags = _rules.check_tags(request)
    _rules.check_volumes(request, definition)
    if _rules.check_propagation(request):
        tags = {**definition.tags, **tags}
    if flag(request, "enableECSManagedTags"):
        tags = {**tags, "aws:ecs:clusterName": cluster.name}
    return Launch(
        at=now,
        call=call,
        started_by=started_by,
        group=text(request, "group") or f"family:{definition.family}",
        overrides=_rules.check_overrides(request, definition),
        tags=tags,
        enable_execute_command=flag(request, "enableExecuteCommand"),
        launch_type=launch_type,
        network=_rules.check_network(request, definition),
    )


def _answer(world: World, tasks: Sequence[Task], failures: list[Json]) -> Json:
    """Give tasks and failures in an order that is not the one asked for, which ECS promises nowhere."""
    mixed = reorder(list(tasks), [task.instance.id if task.instance is not None else "" for task in tasks], world.dice)
    return {
        "tasks": [task_on_wire(task, world.arns, tags=True) for task in mixed],
        "failures": reorder(failures, [each["arn"] for each in failures], world.dice),
    }


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


def _known(world: World, client_token: str, request: Json, now: float) -> tuple[Task, ...] | None:
    at, asked, tasks = world.client_tokens.get(client_token, (float("-inf"), {}, ()))
    if now - at > REMEMBERED:
        return None
    if asked != request:
        message = "The provided clientToken is already in use with a different RunTask request."
        raise AwsError("ConflictException", message, members={"resourceIds": [task.arn for task in tasks]})
    return tasks


def _predicate(expression: str) -> Predicate:
    try:
        return compile_query(expression)
    except QueryError as error:
        raise invalid(f"Invalid placement constraint expression: {error}") from None


def _candidates(cluster: Cluster, predicates: list[Predicate]) -> list[Instance]:
    active = [each for each in cluster.instances.values() if each.status == "ACTIVE"]
    if not active:
        raise invalid("No Container Instances were found in your cluster.")
    return [
        instance
        for instance in active
        if instance.agent_connected and all(predicate(lookup(instance)) for predicate in predicates)
    ]


def _unplaced(cluster: Cluster, candidates: list[Instance], definition: Definition, need: Need) -> list[Json]:
    """Say of each instance why it took no more; of the cluster, when none was even looked at."""
    if not candidates:
        agents = any(each.agent_connected and each.status == "ACTIVE" for each in cluster.instances.values())
        return [failure(cluster.arn, "MemberOf placement constraint unsatisfied." if agents else "AGENT")]
    reasons = [(each.arn, why_not(each, definition, need, draining_is_refused=True)) for each in candidates]
    return [failure(arn, reason or "DistinctInstance placement constraint unsatisfied.") for arn, reason in reasons]
