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
from aioecs.testing._placement.capacity import failure_reason
from aioecs.testing._placement.fargate import NO_CAPACITY
from aioecs.testing._placement.placement import Placement, check_strategies, constraints_unsatisfied
from aioecs.testing._state.account import Account, ClientTokenUse, Launch, make_task, unknown_task
from aioecs.testing._state.records import STOPPED, Cluster, Definition, Need, Task

T = TypeVar("T")

CLIENT_TOKEN_LIFETIME = (
    86400.0  # how long RunTask's client tokens are valid at most, in seconds [docs, "Ensuring idempotency"]
)
CLIENT_TOKEN_STOPPED_LIFETIME = 3600.0  # and how long after the last of their tasks stopped, in seconds [docs]
_SCOPE = ("cluster", "clientToken")


def start_task(account: Account, request: Json, now: float, call: int) -> Json:
    """Start one task per entry of `containerInstances`, on the instance that it names."""
    entries = rules.check_count(
        texts(request, "containerInstances"), rules.INSTANCES_PER_START, "instanceIds", "Container Instances"
    )
    started_by = rules.check_started_by(text(request, "startedBy"), rules.STARTED_BY)
    cluster = account.cluster(request)
    definition = account.definition(text(request, "taskDefinition"))
    launch = _launch(request, cluster, definition, now, call, started_by, "EC2")
    need = need_of(definition, launch.overrides) if launch.overrides else definition.need
    refused = account.behaviour.draining == "refuse"
    # All identifiers are read first: a malformed one must not leave a part of the call executed.
    instances = [(entry, account.instance(cluster, entry)) for entry in entries]
    tasks: list[Task] = []
    failures: list[Json] = []
    for entry, instance in instances:
        if instance is None:
            failures.append(failure(_instance_arn(account, cluster, entry), "MISSING"))
        elif (reason := failure_reason(instance, definition, need, refused)) is not None:
            detail = "The container instance is DRAINING." if instance.status == "DRAINING" else None
            failures.append(failure(instance.arn, reason, detail))
        else:
            tasks.append(make_task(account, cluster, instance, definition, need, launch))
    account.history.amend_call(call, tasks=tuple(task.arn for task in tasks))
    return _answer(account, tasks, failures)


def run_task(account: Account, request: Json, now: float, call: int) -> Json:
    """Start `count` tasks, placed by launch type, capacity providers, constraints and strategies.

    A known `clientToken` returns the tasks of its first call.
    """
    count = rules.check_run_count(request)
    started_by = rules.check_started_by(text(request, "startedBy"), rules.STARTED_BY_RUN_TASK)
    client_token = rules.check_client_token(text(request, "clientToken"))
    cluster = account.cluster(request)
    digest = _digest(request)
    known = _tasks_of_token(account, (cluster.name, client_token), digest, now) if client_token is not None else None
    if known is not None:
        return _answer(account, known, [], replayed=True)
    definition = account.definition(text(request, "taskDefinition"))
    launch = _launch(request, cluster, definition, now, call, started_by, "EC2")
    need = need_of(definition, launch.overrides) if launch.overrides else definition.need
    capacity_model = launching.choose(account, cluster, request, definition, need, count)
    placement = _placement(account, cluster, request, definition, need, launch.group)
    tasks, failures = _start_tasks(account, placement, capacity_model, launch)
    account.history.amend_call(call, tasks=tuple(task.arn for task in tasks))
    if client_token is not None and tasks:
        account.client_tokens[cluster.name, client_token] = ClientTokenUse(now, digest, tuple(tasks))
    return _answer(account, tasks, failures)


def _placement(
    account: Account, cluster: Cluster, request: Json, definition: Definition, need: Need, group: str
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
        rng=account.rng,
    )


def _start_tasks(
    account: Account, placement: Placement, capacity_model: list[launching.Infrastructure], launch: Launch
) -> tuple[list[Task], list[Json]]:
    """Start the tasks one by one, until one doesn't fit; return the tasks and the failures."""
    if any(each.launch_type == "EC2" and each.provider is None for each in capacity_model):
        _check_instances(placement.cluster)
    cluster, tasks = placement.cluster, list[Task]()
    for each in capacity_model:
        instance, find_instance = None, None
        if each.launch_type == "FARGATE":
            if launching.fargate_is_full(account):
                return tasks, [{"reason": NO_CAPACITY}]
        elif each.provider is not None:
            find_instance = launching.instance_finder(account, placement, each.provider)
        elif (instance := placement.choose()) is None:
            return tasks, _unplaced(placement)
        own = attrs.evolve(
            launch,
            launch_type=each.launch_type,
            capacity_provider=each.provider,
            platform_version=each.platform_version,
        )
        tasks.append(make_task(account, cluster, instance, placement.definition, placement.need, own, find_instance))
    return tasks, []


def stop_task(account: Account, request: Json, now: float, call: int) -> Json:
    """Stop a task and remove its tags. A task that is stopping or stopped is returned unchanged."""
    identifier = text(request, "task")
    if not identifier:
        raise invalid("Task Identifier is invalid")
    cluster = account.cluster(request)
    task = account.task(cluster, identifier)
    if task is None:
        raise unknown_task()
    account.history.amend_call(call, stopped=task.arn)
    account.stop(task, now, "UserInitiated", text(request, "reason") or "Task stopped by user")
    task.tags.clear()
    return {"task": task_on_wire(task, account.arns, tags=True)}


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


def _answer(account: Account, tasks: Sequence[Task], failures: list[Json], *, replayed: bool = False) -> Json:
    """Return tasks and failures in another order than requested, as ECS guarantees no order.

    If a client token is used again, a task that has stopped has only three members. [docs]
    """
    keys = [task.instance.id if task.instance is not None else "" for task in tasks]
    return {
        "tasks": [
            _stopped_summary(task)
            if replayed and task.last_status == STOPPED
            else task_on_wire(task, account.arns, tags=True)
            for task in reorder(list(tasks), keys, account.rng)
        ],
        "failures": reorder(failures, [each.get("arn", "") for each in failures], account.rng),
    }


def _stopped_summary(task: Task) -> Json:
    return {"taskArn": task.arn, "lastStatus": task.last_status, "desiredStatus": task.desired_status}


def reorder(values: list[T], keys: list[str], rng: random.Random) -> list[T]:
    """Shuffle values so that the order of their keys changes, if there are two different keys."""
    if len(values) < 2:
        return values
    order = list(range(len(values)))
    rng.shuffle(order)
    if len(set(keys)) > 1:
        while [keys[at] for at in order] == keys:
            order = [*order[1:], order[0]]
    elif order == sorted(order):
        order.reverse()
    return [values[at] for at in order]


def _instance_arn(account: Account, cluster: Cluster, entry: str) -> str:
    return entry if entry.startswith("arn:") else account.arns.instance(cluster.name, entry)


def _digest(request: Json) -> str:
    """Return a digest of a RunTask's parameters, without cluster and token; null counts as absent."""
    given = {name: value for name, value in request.items() if value is not None and name not in _SCOPE}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def _tasks_of_token(account: Account, key: tuple[str, str], digest: str, now: float) -> tuple[Task, ...] | None:
    """Return the tasks of a client token that is still valid: for a day, or until an hour after its tasks stopped."""
    known = account.client_tokens.get(key)
    if known is None or now - known.at > CLIENT_TOKEN_LIFETIME:
        return None
    ends = [task.stopped_at for task in known.tasks if task.stopped_at is not None]
    if len(ends) == len(known.tasks) and now - max(ends) > CLIENT_TOKEN_STOPPED_LIFETIME:
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
    """Return a failure for each candidate instance, or for the cluster if there was no candidate."""
    candidates = placement.candidates()
    if not candidates:
        cluster = placement.cluster
        return [failure(cluster.arn, constraints_unsatisfied(cluster.instances.values()))]
    return [failure(each.arn, placement.failure_reason(each)) for each in candidates]
