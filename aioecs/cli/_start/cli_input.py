"""Reads the input of the AWS CLI's `ecs start-task` or `ecs run-task` as options of `aioecs start`. Pure.

Options given beside it win. Of run-task's members those count that have a counterpart here: `count`,
`placementConstraints` and `placementStrategy`; what asks for anything but container instances is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs

from aioecs import InvalidRequest, PlacementConstraint, PlacementStrategy, StartTaskRequest
from aioecs._model import limits
from aioecs.cli._options import Packed, UsageError
from aioecs.cli._start.options import StartOptions
from aioecs.cli._start.request_input import unknown_members

_OF_RUN_TASK = ("count", "launchType", "placementConstraints", "placementStrategy", "clientToken")
_ELSEWHERE = ("capacityProviderStrategy", "platformVersion")


def with_input(options: StartOptions, plain: Any, option: str, *, count: int | None = None) -> StartOptions:
    """Return the options with what the input adds to them; `count` is the number given as an option.

    Raises:
        UsageError: it is no such input, or asks for what StartTask doesn't have; the message names the member.
    """
    if not isinstance(plain, Mapping):
        raise UsageError(f"{option}: expected an object")
    members = {str(name): value for name, value in plain.items() if value is not None}
    run_task = {name: members.pop(name) for name in _OF_RUN_TASK if name in members}
    for name in _ELSEWHERE:
        if members.pop(name, None):
            raise UsageError(f"{option}: {name} needs RunTask; aioecs start uses StartTask on container instances")
    request = _request(members, option)
    given: dict[str, Any] = {
        "base": request.replace(container_instances=()),
        "cluster": options.cluster or request.cluster,
        "task_definition": options.task_definition or request.task_definition or None,
        "count": count or _count(run_task.get("count", 1), option),
        "idempotency_key": options.idempotency_key or _key(run_task.get("clientToken"), option),
    }
    if not options.instances and not options.all_instances:
        given["instances"] = tuple(request.container_instances)
    return attrs.evolve(_placed(options, run_task, option), **given)


def _key(token: Any, option: str) -> str | None:
    if token is not None and (not isinstance(token, str) or not token.strip()):
        raise UsageError(f"{option}: clientToken: a text that is not empty")
    return token


def _request(members: Mapping[str, Any], option: str) -> StartTaskRequest:
    try:
        request = StartTaskRequest.from_dict({"taskDefinition": "", **members})
    except InvalidRequest as error:
        raise UsageError(f"{option}: {error.path}: {error.rule}") from None
    except (TypeError, ValueError, AttributeError):
        raise UsageError(f"{option}: a member is of the wrong kind") from None
    for member in unknown_members(request):
        raise UsageError(f"{option}: StartTask has no member {member}")
    _check(request, option)
    return request


def _check(request: StartTaskRequest, option: str) -> None:
    """Check a request that the options may yet complete."""
    whole = request.replace(
        task_definition=request.task_definition or "any", container_instances=request.container_instances or ("any",)
    )
    try:
        limits.check(whole, any_number=True)
    except InvalidRequest as error:
        raise UsageError(f"{option}: {error.path}: {error.rule}") from None


def _count(count: Any, option: str) -> int:
    if type(count) is not int or count < 1:
        raise UsageError(f"{option}: count: a whole number, 1 or more")
    return count


def _placed(options: StartOptions, run_task: Mapping[str, Any], option: str) -> StartOptions:
    """Return the options with the placement of run-task."""
    if run_task.get("launchType", "EC2") not in ("EC2", ""):
        raise UsageError(f"{option}: launchType: aioecs start uses EC2 container instances only")
    changes: dict[str, Any] = {}
    for constraint in _objects(run_task, "placementConstraints", option):
        read = PlacementConstraint.from_dict(constraint)
        if read.type == "distinctInstance":
            changes["distinct_instance"] = True
        elif read.type == "memberOf" and isinstance(read.expression, str):
            changes["member_of"] = (*changes.get("member_of", options.member_of), read.expression)
        else:
            raise UsageError(f"{option}: placementConstraints: distinctInstance, or memberOf with an expression")
    strategies = [PlacementStrategy.from_dict(each) for each in _objects(run_task, "placementStrategy", option)]
    if len(strategies) > 1:
        raise UsageError(f"{option}: placementStrategy: one strategy, not {len(strategies)}")
    if strategies and not (options.spread or options.binpack or options.random):
        changes |= _strategy(strategies[0], option)
    return attrs.evolve(options, **changes)


def _strategy(strategy: PlacementStrategy, option: str) -> dict[str, Any]:
    if strategy.type == "random":
        return {"random": True}
    if strategy.type == "spread":
        return {"spread": strategy.field or "instanceId"}
    if strategy.type == "binpack" and (strategy.field or "").lower() in ("cpu", "memory"):
        return {"binpack": Packed((strategy.field or "").lower())}
    raise UsageError(f"{option}: placementStrategy: spread, random, or binpack by cpu or memory")


def _objects(members: Mapping[str, Any], name: str, option: str) -> Sequence[Mapping[str, Any]]:
    listed = members.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise UsageError(f"{option}: {name}: expected a list of objects")
    return cast("list[Mapping[str, Any]]", listed)
