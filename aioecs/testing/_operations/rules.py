"""The documented limits of requests, and the error of ECS for each.

Each limit has its source beside it: [model] is botocore's service model of ECS and the documentation in it, [docs] the
developer guide, [reported] messages that callers quote. Messages that are quoted nowhere are ours, in the same style.
"""

from __future__ import annotations

import json
import re

from aioecs.testing._errors import AwsError, client_error, invalid
from aioecs.testing._operations.members import Json, integer, structure, structures, text, texts
from aioecs.testing._state.records import Definition

INSTANCES_PER_START = 10  # [model] StartTask.containerInstances "up to 10"
TASKS_PER_RUN = 10  # [model] RunTask.count "up to 10 tasks for each call"
DESCRIBED = 100  # [model] DescribeTasks, DescribeContainerInstances "up to 100"
PAGE = 100  # [model] maxResults "between 1 and 100"
STARTED_BY = 36  # [model] StartTask.startedBy "up to 36"
STARTED_BY_RUN_TASK = 128  # [model] RunTask.startedBy "up to 128"
OVERRIDES = 8192  # [model] TaskOverride "8192 characters … includes the JSON formatting characters"
TAGS, TAG_KEY, TAG_VALUE = 50, 128, 256  # [model] Tag
SUBNETS, SECURITY_GROUPS = 16, 5  # [model] AwsVpcConfiguration
CLIENT_TOKEN = 64  # [model] RunTask.clientToken "up to 64 characters … in the range of 33-126"
EXPRESSION = 2000  # [model] PlacementConstraint.expression "a maximum length of 2000 characters"
CONSTRAINTS = 10  # [model] RunTask.placementConstraints "up to 10"

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_STARTED_BY = re.compile(r"[A-Za-z0-9/_-]*", re.ASCII)
_CLIENT_TOKEN = re.compile(r"[!-~]+")
_LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES")
_PROPAGATE = ("TASK_DEFINITION", "SERVICE", "NONE")


def check_count(values: list[str], limit: int, name: str, title: str) -> list[str]:
    """Check the length of a list of identifiers against its limit.

    Both messages are [reported]: "Tasks cannot be empty." and "instanceIds can have at most 100 items".
    """
    if not values:
        raise invalid(f"{title} cannot be empty.")
    if len(values) > limit:
        raise invalid(f"{name} can have at most {limit} items.")
    return values


def check_started_by(value: str | None, limit: int) -> str | None:
    """Check the length and characters of `startedBy`. "startedBy longer than 36." is [reported]."""
    if not value:
        return None
    if len(value) > limit:
        raise invalid(f"startedBy longer than {limit}.")
    if not _STARTED_BY.fullmatch(value):
        raise invalid(
            "startedBy contains invalid characters; allowed are letters, numbers, hyphens, slashes, underscores."
        )
    return value


def check_client_token(value: str | None) -> str | None:
    """Check the length and characters of RunTask's `clientToken`."""
    if value is None:
        return None
    if len(value) > CLIENT_TOKEN or not _CLIENT_TOKEN.fullmatch(value):
        raise invalid(f"clientToken must be 1 to {CLIENT_TOKEN} characters in the range of 33-126.")
    return value


def check_overrides(request: Json, definition: Definition) -> Json:
    """Check `overrides` against its length and the containers of the task definition; return it, empty if absent.

    "Override for container named … is not a container in the TaskDefinition." is [reported]
    (azavea/django-ecsmanage#21).
    """
    overrides = structure(request, "overrides")
    if not overrides:
        return {}
    if len(_compact(overrides)) > OVERRIDES:
        raise invalid(f"Overrides length must be at most {OVERRIDES}")
    names = {container.name for container in definition.containers}
    for each in structures(overrides, "containerOverrides"):
        name = text(each, "name")
        if name not in names:
            raise invalid(f"Override for container named {name} is not a container in the TaskDefinition.")
        for member in ("cpu", "memory", "memoryReservation"):
            if (integer(each, member) or 0) < 0:
                raise invalid(f"Invalid '{member}' setting for container '{name}'.")
    return overrides


def check_tags(request: Json) -> dict[str, str]:
    """Check `tags` against their rules; return them by key."""
    found: dict[str, str] = {}
    given = structures(request, "tags")
    if len(given) > TAGS:
        raise invalid(f"Tags can have a maximum of {TAGS} items.")
    for tag in given:
        key, value = text(tag, "key") or "", text(tag, "value") or ""
        if not 1 <= len(key) <= TAG_KEY:
            raise invalid(f"Tag key length must be between 1 and {TAG_KEY}.")
        if len(value) > TAG_VALUE:
            raise invalid(f"Tag value length must be at most {TAG_VALUE}.")
        if key.lower().startswith("aws:") or value.lower().startswith("aws:"):
            raise invalid("Tags may not begin with the reserved prefix aws:.")
        if key in found:
            raise invalid(f"Duplicate tag keys found: {key}")
        found[key] = value
    return found


def check_network(request: Json, definition: Definition) -> Json | None:
    """Check `networkConfiguration` against its limits and the network mode of the task definition.

    "Network Configuration must be provided when networkMode 'awsvpc' is specified." is [reported].
    """
    network = structure(request, "networkConfiguration")
    awsvpc = definition.network_mode == "awsvpc"
    if network is None:
        if awsvpc:
            raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
        return None
    if not awsvpc:
        raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")
    vpc = structure(network, "awsvpcConfiguration")
    if vpc is None or not texts(vpc, "subnets"):
        raise invalid("subnets can not be empty.")
    if len(texts(vpc, "subnets")) > SUBNETS:
        raise invalid(f"subnets can have at most {SUBNETS} items.")
    if len(texts(vpc, "securityGroups")) > SECURITY_GROUPS:
        raise invalid(f"securityGroups can have at most {SECURITY_GROUPS} items.")
    check_choice(vpc, "assignPublicIp", ("ENABLED", "DISABLED"))
    return vpc


def check_choice(request: Json, name: str, allowed: tuple[str, ...]) -> str | None:
    """Check an enum member against its values."""
    value = text(request, name)
    if value is not None and value not in allowed:
        raise invalid(f"{name} must be one of {', '.join(allowed)}")
    return value


def check_propagation(request: Json) -> bool:
    """Return whether the task gets the definition's tags; SERVICE is refused for tasks outside a service. [model]"""
    chosen = check_choice(request, "propagateTags", _PROPAGATE)
    if chosen == "SERVICE":
        raise invalid("propagateTags SERVICE is only valid for tasks that belong to a service.")
    return chosen == "TASK_DEFINITION"


def check_launch_type(request: Json) -> str | None:
    """Check `launchType` against its values."""
    return check_choice(request, "launchType", _LAUNCH_TYPES)


def check_volumes(request: Json, definition: Definition) -> None:
    """Check the names of `volumeConfigurations` against the volumes that are configured at launch."""
    launched = {volume.get("name") for volume in definition.wire["volumes"] if volume.get("configuredAtLaunch")}
    for volume in structures(request, "volumeConfigurations"):
        if text(volume, "name") not in launched:
            raise invalid(f"Volume {text(volume, 'name')} is not configuredAtLaunch in the task definition.")


def check_page(request: Json) -> int:
    """Return `maxResults`, by default a full page."""
    size = integer(request, "maxResults")
    if size is None:
        return PAGE
    if not 1 <= size <= PAGE:
        raise invalid(f"maxResults must be between 1 and {PAGE}.")
    return size


def check_run_count(request: Json) -> int:
    """Return RunTask's `count`, by default one."""
    count = integer(request, "count")
    if count is None:
        return 1
    if not 1 <= count <= TASKS_PER_RUN:
        raise invalid(f"count must be between 1 and {TASKS_PER_RUN}.")
    return count


def check_constraints(request: Json) -> tuple[list[str], bool]:
    """Return the memberOf expressions of `placementConstraints`, and whether tasks need distinct instances."""
    constraints = structures(request, "placementConstraints")
    if len(constraints) > CONSTRAINTS:
        raise invalid(f"placementConstraints can have at most {CONSTRAINTS} items.")
    expressions: list[str] = []
    distinct = False
    for constraint in constraints:
        if check_choice(constraint, "type", ("distinctInstance", "memberOf")) == "memberOf":
            expressions.append(_expression(constraint))
        else:
            distinct = True
    return expressions, distinct


def _expression(constraint: Json) -> str:
    expression = text(constraint, "expression") or ""
    if len(expression) > EXPRESSION:
        raise invalid(f"A placement constraint's expression can have at most {EXPRESSION} characters.")
    return expression


def definition_missing(*, inactive: bool = False) -> AwsError:
    """Return the ClientException for a task definition that is unknown or no longer active."""
    return client_error("TaskDefinition is inactive" if inactive else "TaskDefinition not found.")
