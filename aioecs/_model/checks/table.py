"""Every documented limit of the requests, once, with its source.

Sources: [model] is botocore's service model of ECS (2014-11-13) and the documentation in it; [docs] is the API
reference and the developer guide of Amazon ECS. A rule that only ECS can know (does this definition exist, is there
capacity) is left to ECS. What AWS extends now and then, such as the size of a volume or the values of an enum, is a
RequestWarning and sent all the same: a newer ECS may take it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

import attrs

from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.container_instance import DescribeContainerInstancesRequest, ListContainerInstancesRequest
from aioecs._model.shapes.network import AwsVpcConfiguration
from aioecs._model.shapes.overrides import EphemeralStorage
from aioecs._model.shapes.run_task import CapacityProviderStrategyItem, PlacementConstraint, RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.tags import Tag
from aioecs._model.shapes.task import DescribeTasksRequest, ListTasksRequest
from aioecs._model.shapes.volumes import EBSTagSpecification, TaskManagedEBSVolumeConfiguration

INSTANCES_PER_CALL = 10  # [model] StartTaskRequest.containerInstances: "up to 10 container instances"
TASKS_PER_RUN_TASK = 10  # [model] RunTaskRequest.count: "up to 10 tasks for each call"
DESCRIBED_PER_CALL = 100  # [model] DescribeTasks, DescribeContainerInstances: "a list of up to 100"
LISTED_PER_PAGE = 100  # [model] ListTasks, ListContainerInstances: maxResults "between 1 and 100"
LOG_LINES = 10_000  # [model] GetLogEvents.limit: "up to 10,000 log events"
STARTED_BY = 36  # [model] StartTaskRequest.startedBy: "up to 36 letters, numbers, hyphens, slashes, underscores"
STARTED_BY_RUN_TASK = 128  # [model] RunTaskRequest.startedBy: "up to 128"
OVERRIDES = (
    8192  # [model] TaskOverride: "8192 characters, including the JSON formatting characters of the override structure"
)
TAGS = 50  # [model] Tags: max 50
TAG_KEY = 128  # [model] TagKey: 1 to 128
TAG_VALUE = 256  # [model] TagValue: 0 to 256
SUBNETS = 16  # [model] AwsVpcConfiguration.subnets: "limit of 16"
SECURITY_GROUPS = 5  # [model] AwsVpcConfiguration.securityGroups: "limit of 5"
CLIENT_TOKEN = 64  # [model] RunTaskRequest.clientToken: "up to 64 characters … in the range of 33-126"
EPHEMERAL_STORAGE = (21, 200)  # [model] EphemeralStorage.sizeInGiB, in GiB
PLACEMENT_CONSTRAINTS = 10  # [model] RunTaskRequest.placementConstraints
PLACEMENT_STRATEGIES = 5  # [model] RunTaskRequest.placementStrategy
CAPACITY_PROVIDERS = 20  # [model] RunTaskRequest.capacityProviderStrategy
EXTRA_DEPTH = 64  # our own limit: the JSON encoder calls itself for each level
EXPRESSION = 2000  # [model] PlacementConstraint.expression, in characters
VOLUME_THROUGHPUT = 1000  # [model] TaskManagedEBSVolumeConfiguration.throughput, in MiB/s
VOLUME_SIZES = {  # [model] TaskManagedEBSVolumeConfiguration.sizeInGiB, in GiB
    "gp2": (1, 16384),
    "gp3": (1, 16384),
    "io1": (4, 16384),
    "io2": (4, 16384),
    "st1": (125, 16384),
    "sc1": (125, 16384),
    "standard": (1, 1024),
}

_STARTED_BY = re.compile(r"[A-Za-z0-9/_-]*", re.ASCII)
_CLIENT_TOKEN = re.compile(r"[!-~]+")


@attrs.frozen
class Limit:
    """How long or how large a member may be, what it may be made of, and how that reads."""

    rule: str
    at_least: int = 0
    at_most: int | None = None
    pattern: re.Pattern[str] | None = None
    firm: bool = True
    """A value that exceeds it is refused; otherwise it is a warning, for AWS raises such limits now and then."""


class RequestWarning(UserWarning):
    """A request holds what ECS did not know or allow when this version of aioecs was made; it is sent all the same."""


def warn(where: str, rule: str, found: object) -> None:
    """Warn of what ECS did not allow when this version of aioecs was made."""
    warnings.warn(f"{where}: {rule} as far as aioecs knows, not {found}; it is sent all the same", RequestWarning, 2)


def _items(at_most: int, what: str, at_least: int = 0, *, firm: bool = True) -> Limit:
    rule = f"{at_least} to {at_most} {what}" if at_least else f"at most {at_most} {what}"
    return Limit(rule, at_least, at_most, firm=firm)


_NOT_EMPTY = Limit("is required and can't be empty", 1)
_STARTED_BY_RULE = "letters, digits, '-', '_' and '/' only"
INSTANCES = _items(INSTANCES_PER_CALL, "container instances a call; start_tasks takes any number", 1)

LIMITS: Mapping[tuple[type[Shape], str], Limit] = {
    (StartTaskRequest, "container_instances"): INSTANCES,
    (StartTaskRequest, "task_definition"): _NOT_EMPTY,
    (StartTaskRequest, "started_by"): Limit(
        f"at most {STARTED_BY} characters and at least one, {_STARTED_BY_RULE}", 1, STARTED_BY, _STARTED_BY
    ),
    (StartTaskRequest, "tags"): _items(TAGS, "tags"),
    (AwsVpcConfiguration, "subnets"): _items(SUBNETS, "subnets", 1, firm=False),
    (AwsVpcConfiguration, "security_groups"): _items(SECURITY_GROUPS, "security groups", firm=False),
    (EBSTagSpecification, "tags"): _items(TAGS, "tags"),
    (Tag, "key"): _items(TAG_KEY, "characters", 1),
    (Tag, "value"): _items(TAG_VALUE, "characters"),
    (EphemeralStorage, "size_in_gib"): Limit("21 to 200 GiB", *EPHEMERAL_STORAGE, firm=False),
    (TaskManagedEBSVolumeConfiguration, "throughput"): Limit(
        f"1 to {VOLUME_THROUGHPUT} MiB/s", 1, VOLUME_THROUGHPUT, firm=False
    ),
    (TaskManagedEBSVolumeConfiguration, "role_arn"): _NOT_EMPTY,
    (RunTaskRequest, "task_definition"): _NOT_EMPTY,
    (RunTaskRequest, "count"): Limit(f"1 to {TASKS_PER_RUN_TASK} tasks a call", 1, TASKS_PER_RUN_TASK),
    (RunTaskRequest, "started_by"): Limit(
        f"at most {STARTED_BY_RUN_TASK} characters, {_STARTED_BY_RULE}", 0, STARTED_BY_RUN_TASK, _STARTED_BY
    ),
    (RunTaskRequest, "client_token"): Limit(
        f"1 to {CLIENT_TOKEN} printable ASCII characters", 1, CLIENT_TOKEN, _CLIENT_TOKEN
    ),
    (RunTaskRequest, "tags"): _items(TAGS, "tags"),
    (RunTaskRequest, "placement_constraints"): _items(PLACEMENT_CONSTRAINTS, "constraints", firm=False),
    (RunTaskRequest, "placement_strategy"): _items(PLACEMENT_STRATEGIES, "strategies", firm=False),
    (RunTaskRequest, "capacity_provider_strategy"): _items(CAPACITY_PROVIDERS, "capacity providers", firm=False),
    (PlacementConstraint, "expression"): _items(EXPRESSION, "characters", firm=False),
    (CapacityProviderStrategyItem, "weight"): Limit("0 to 1,000", 0, 1000, firm=False),
    (CapacityProviderStrategyItem, "base"): Limit("0 to 100,000", 0, 100_000, firm=False),
    (ListTasksRequest, "max_results"): Limit(f"1 to {LISTED_PER_PAGE} a page", 1, LISTED_PER_PAGE),
    (ListContainerInstancesRequest, "max_results"): Limit(f"1 to {LISTED_PER_PAGE} a page", 1, LISTED_PER_PAGE),
    (DescribeTasksRequest, "tasks"): _items(DESCRIBED_PER_CALL, "tasks a call", 1),
    (DescribeContainerInstancesRequest, "container_instances"): _items(DESCRIBED_PER_CALL, "instances a call", 1),
}
"""Lengths, sizes and alphabets, by the member that they bind."""
