"""Every documented limit of the requests, once, with its source; and the check that holds a request against them.

Sources: [model] is botocore's service model of ECS (2014-11-13) and the documentation in it; [docs] is the API
reference and the developer guide of Amazon ECS. A rule that only ECS can know (does this definition exist, is there
capacity) is left to ECS. What AWS extends now and then, such as the size of a volume or the values of an enum, is a
RequestWarning and sent all the same: a newer ECS may take it.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

import attrs

from aioecs._model import arn
from aioecs._model.codec.plain import Kind, Member, members, to_plain
from aioecs._model.codec.shape import Shape
from aioecs._model.codec.size_estimate import SizeEstimator, Weigh
from aioecs._model.shapes.container_instance import DescribeContainerInstancesRequest, ListContainerInstancesRequest
from aioecs._model.shapes.network import AwsVpcConfiguration
from aioecs._model.shapes.overrides import EphemeralStorage, KeyValuePair, TaskOverride
from aioecs._model.shapes.run_task import CapacityProviderStrategyItem, PlacementConstraint, RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.tags import Tag
from aioecs._model.shapes.task import DescribeTasksRequest, ListTasksRequest
from aioecs._model.shapes.volumes import EBSTagSpecification, TaskManagedEBSVolumeConfiguration
from aioecs.errors import InvalidRequest

INSTANCES_PER_CALL = 10  # [model] StartTaskRequest.containerInstances: "up to 10 container instances"
TASKS_PER_RUN_TASK = 10  # [model] RunTaskRequest.count: "up to 10 tasks for each call"
DESCRIBED_PER_CALL = 100  # [model] DescribeTasks, DescribeContainerInstances: "a list of up to 100"
LISTED_PER_PAGE = 100  # [model] ListTasks, ListContainerInstances: maxResults "between 1 and 100"
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
EXTRA_DEPTH = 64  # our own: what writes JSON calls itself for each level
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
    """What exceeds it is refused; otherwise it is a warning, for AWS raises such limits now and then."""


class RequestWarning(UserWarning):
    """A request holds what ECS did not know or allow when this version of aioecs was made; it is sent all the same."""


def _warn(where: str, rule: str, found: object) -> None:
    warnings.warn(f"{where}: {rule} as far as aioecs knows, not {found}; it is sent all the same", RequestWarning, 2)


def _items(at_most: int, what: str, at_least: int = 0, *, firm: bool = True) -> Limit:
    rule = f"{at_least} to {at_most} {what}" if at_least else f"at most {at_most} {what}"
    return Limit(rule, at_least, at_most, firm=firm)


_NAMED = Limit("is required and can't be empty", 1)
_STARTED_BY_RULE = "letters, digits, '-', '_' and '/' only"
_INSTANCES = _items(INSTANCES_PER_CALL, "container instances a call; start_tasks takes any number", 1)

LIMITS: Mapping[tuple[type[Shape], str], Limit] = {
    (StartTaskRequest, "container_instances"): _INSTANCES,
    (StartTaskRequest, "task_definition"): _NAMED,
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
    (TaskManagedEBSVolumeConfiguration, "role_arn"): _NAMED,
    (RunTaskRequest, "task_definition"): _NAMED,
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


def check(request: Shape, *, any_number: bool = False, region: str | None = None, partition: str | None = None) -> None:
    """Hold a request against every documented limit; nothing is sent.

    `any_number` leaves the number of container instances open, for requests that are split into calls. `region` and
    `partition` are the client's own, where ARNs are to be held against them.

    Raises:
        InvalidRequest: a rule is broken; it names the member, the rule, and what stands there instead.
    """
    if not _SCALES.weigh(request, any_number):
        _check_shape(request, "", any_number)
    if isinstance(request, StartTaskRequest) and not fits(request, region, partition):
        cluster = _check_cluster(request.cluster, region, partition)
        _check_instances(request, cluster, region, partition)


def fits(request: StartTaskRequest, region: str | None, partition: str | None) -> bool:
    """Tell whether it names instances, one at least, and only such as are of its cluster and where the client goes."""
    cluster, instances = request.cluster, request.container_instances
    if type(instances) is not tuple:
        return False
    for each in instances:
        if type(each) is not str or not _belongs(cluster, each, region, partition):
            return False
    return bool(instances)


def _check_shape(value: Shape, path: str, any_number: bool) -> None:
    shape = type(value)
    for member in members(shape):
        held = getattr(value, member.name)
        where = f"{path}.{member.name}" if path else member.name
        if held is None:
            if member.required:
                raise InvalidRequest(where, "is required")
            continue
        _check_member(held, member, where, any_number)
        limit = LIMITS.get((shape, member.name))
        if limit is not None and not (any_number and limit is _INSTANCES and held):
            _check_limit(held, limit, where)
    if value.extra:
        _check_extra(value, f"{path}.extra" if path else "extra")
    for rule in _RULES.get(shape, ()):
        rule(value, f"{path}." if path else "")


def _check_extra(value: Shape, where: str) -> None:
    """Hold back what would put itself over a member that was checked, or can't be sent at all."""
    given = cast("object", value.extra)
    if not isinstance(given, Mapping):
        raise InvalidRequest(where, "a map of ECS's own member names", _type_of(given))
    if not all(isinstance(name, str) for name in cast("Mapping[object, object]", given)):
        raise InvalidRequest(where, "a map of ECS's own member names")
    if _is_deep(value.extra):
        raise InvalidRequest(where, f"at most {EXTRA_DEPTH} levels deep")
    for member in members(type(value)):
        if member.wire in value.extra:
            raise InvalidRequest(f"{where}.{member.wire}", f"goes by its name here, {member.name}")
    try:
        json.dumps(value.extra, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest(where, "what JSON can hold") from None


def _is_deep(held: Any) -> bool:
    """Tell what is nested too deep, or holds itself; level by level, for what is deep can't be walked by recursion."""
    level = [held]
    for _ in range(EXTRA_DEPTH):
        level = [one for each in level for one in _parts(each)]
        if not level:
            return False
    return True


def _parts(held: Any) -> list[Any]:
    parts = held.values() if isinstance(held, Mapping) else held if isinstance(held, (list, tuple)) else ()
    return [part for part in parts if isinstance(part, (Mapping, list, tuple))]


def _check_member(held: Any, member: Member, where: str, any_number: bool) -> None:
    kind = member.kind
    if kind.container is Sequence:
        if not isinstance(held, tuple):
            raise InvalidRequest(where, f"a list of {_noun(kind)}", _type_of(held))
        for at, one in enumerate(held):
            _check_one(one, kind, f"{where}[{at}]", any_number)
    elif kind.container is Mapping:
        if not isinstance(held, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in held.items()):
            raise InvalidRequest(where, "a map of strings", _type_of(held))
    else:
        _check_one(held, kind, where, any_number)


def _check_one(one: Any, kind: Kind, where: str, any_number: bool) -> None:
    fits = isinstance(one, kind.base) and not (isinstance(one, bool) and kind.base is not bool)
    if not fits and not (kind.base is float and isinstance(one, int) and not isinstance(one, bool)):
        raise InvalidRequest(where, f"a {_noun(kind)}", _found(one, kind.base))
    if isinstance(one, datetime) and one.tzinfo is None:
        raise InvalidRequest(where, "an aware datetime", "a naive one")
    if kind.enum is not None and one not in {member.value for member in kind.enum}:
        spelled: dict[str, str] = {member.value.lower(): member.value for member in kind.enum}
        near = difflib.get_close_matches(str(one).lower(), spelled, 1)
        hint = f" (meant {spelled[near[0]]}?)" if near else ""
        _warn(where, f"one of {', '.join(spelled.values())}", f"{one!r}{hint}")
    if isinstance(one, Shape):
        _check_shape(one, where, any_number)


_NOUNS: Mapping[type, str] = {str: "string", int: "whole number", bool: "bool", float: "number", datetime: "datetime"}


def _noun(kind: Kind) -> str:
    return _NOUNS.get(kind.base, kind.base.__name__)


def _type_of(held: Any) -> str:
    """Say what was given by its type alone: its value may be secret."""
    return f"a {type(held).__name__}"


def _found(held: object, instead_of: type) -> str:
    """Say what was given instead of a value of this type; of a dict, which call makes one of it."""
    if isinstance(held, Mapping) and issubclass(instead_of, Shape):
        return f"{_type_of(held)}: {instead_of.__name__}.from_dict makes one of a dict as boto3 has it"
    return _type_of(held)


def _check_limit(held: Any, limit: Limit, where: str) -> None:
    size: int = held if isinstance(held, int) else len(held)
    if size < limit.at_least or (limit.at_most is not None and size > limit.at_most):
        if limit.firm or size < min(limit.at_least, 1):
            raise InvalidRequest(where, limit.rule, size)
        _warn(where, limit.rule, size)
    if limit.pattern is not None and not limit.pattern.fullmatch(str(held)):
        raise InvalidRequest(where, limit.rule, repr(held))


def _check_overrides(value: TaskOverride, path: str) -> None:
    if value.inference_accelerator_overrides:
        warnings.warn(
            "overrides.inference_accelerator_overrides: Amazon Elastic Inference is closed to new customers since "
            "2023-04-15; ECS refuses it for them.",
            DeprecationWarning,
            stacklevel=2,
        )
    length = len(json.dumps(to_plain(value), separators=(",", ":"), ensure_ascii=False))
    if length > OVERRIDES:
        raise InvalidRequest(path.rstrip("."), f"at most {OVERRIDES} characters of compact JSON in all", length)


def _check_environment(value: KeyValuePair, path: str) -> None:
    if not value.name:
        raise InvalidRequest(f"{path}name", "is required and can't be empty")


# [model] TagKey and TagValue: letters, spaces, numbers and these.
_TAG_SIGNS = frozenset("_.:/=+-@")


def _check_tag(value: Tag, path: str) -> None:
    if value.key is None:
        raise InvalidRequest(f"{path}key", "is required")
    for name, text in (("key", value.key), ("value", value.value or "")):
        if text.lower().startswith("aws:"):
            raise InvalidRequest(f"{path}{name}", "may not begin with 'aws:', which is reserved", repr(text))
        if not all(sign in _TAG_SIGNS or unicodedata.category(sign)[0] in "LZN" for sign in text):
            raise InvalidRequest(f"{path}{name}", "letters, digits, spaces and _ . : / = + - @ only", repr(text))


def _check_unique_tags(value: StartTaskRequest | RunTaskRequest | EBSTagSpecification, path: str) -> None:
    seen: set[str | None] = set()
    for at, tag in enumerate(value.tags or ()):
        if tag.key in seen:
            raise InvalidRequest(f"{path}tags[{at}].key", "each key once", repr(tag.key))
        seen.add(tag.key)


def _check_volume(value: TaskManagedEBSVolumeConfiguration, path: str) -> None:
    if value.size_in_gib is None and value.snapshot_id is None:
        raise InvalidRequest(path.rstrip("."), "needs size_in_gib or snapshot_id")
    if value.size_in_gib is None or _is_usual_size(value):
        return
    low, high = _sizes(value)
    if value.size_in_gib < 1:
        raise InvalidRequest(f"{path}size_in_gib", f"{low} to {high} GiB", value.size_in_gib)
    _warn(f"{path}size_in_gib", f"{low} to {high} GiB for {value.volume_type or 'gp3'}", value.size_in_gib)


def _sizes(value: TaskManagedEBSVolumeConfiguration) -> tuple[int, int]:
    """Return the sizes of a volume's type; [model] "gp3 is the default", an unknown type is left to ECS."""
    return VOLUME_SIZES.get(value.volume_type or "gp3", (1, 2**31))


def _is_usual_size(value: TaskManagedEBSVolumeConfiguration) -> bool:
    low, high = _sizes(value)
    return value.size_in_gib is not None and low <= value.size_in_gib <= high


_RULES: Mapping[type[Shape], tuple[Callable[[Any, str], None], ...]] = {
    TaskOverride: (_check_overrides,),
    KeyValuePair: (_check_environment,),
    Tag: (_check_tag,),
    StartTaskRequest: (_check_unique_tags,),
    RunTaskRequest: (_check_unique_tags,),
    EBSTagSpecification: (_check_unique_tags,),
    TaskManagedEBSVolumeConfiguration: (_check_volume,),
}


def _within(shape: type[Shape], name: str) -> Weigh | None:
    """Return what tells quickly whether a member keeps its limit."""
    limit = LIMITS.get((shape, name))
    if limit is None:
        return None
    low, high, pattern = limit.at_least, limit.at_most, limit.pattern

    def weigh(held: Any, any_number: bool) -> int:
        if any_number and limit is _INSTANCES and held:
            return 1
        size: int = held if type(held) is int else len(held) if type(held) in _SIZED else -1
        return size >= low and (high is None or size <= high) and (pattern is None or _spelled(pattern, held))

    return weigh


_SIZED = {str, tuple, dict}


def _spelled(pattern: re.Pattern[str], held: Any) -> bool:
    return type(held) is str and pattern.fullmatch(held) is not None


def _kept(value: Any, weight: int) -> bool:
    """Tell quickly whether a shape keeps the rules that stand beside its limits; `weight` is its JSON's at most."""
    if type(value) is TaskOverride:
        return weight <= OVERRIDES and not value.inference_accelerator_overrides
    if type(value) is TaskManagedEBSVolumeConfiguration:
        return value.size_in_gib is not None and _is_usual_size(value)
    try:
        for rule in _RULES[type(value)]:
            rule(value, "")
    except InvalidRequest:
        return False
    return True


_SCALES = SizeEstimator(_within, dict.fromkeys(_RULES, _kept))


def _check_cluster(given: str | None, region: str | None, partition: str | None) -> arn.Named:
    """Read the cluster, `default` where none is given, and hold its ARN against where the client goes."""
    if given is None:
        return arn.Named(cluster="default", name="default")
    cluster = arn.cluster_of(given, "cluster")
    _check_place("cluster", "a cluster", given, ("partition", partition, cluster.partition))
    _check_place("cluster", "a cluster", given, ("Region", region, cluster.region))
    return cluster


def _check_instances(request: StartTaskRequest, cluster: arn.Named, region: str | None, partition: str | None) -> None:
    """Hold the instances against the cluster that they must be of; an id alone tells nothing, an ARN does."""
    if cast("object", request.container_instances) is None:
        raise InvalidRequest("container_instances", _INSTANCES.rule)
    for at, instance in enumerate(request.container_instances):
        _check_instance(instance, f"container_instances[{at}]", cluster, region, partition)


def _check_instance(instance: str, where: str, cluster: arn.Named, region: str | None, partition: str | None) -> None:
    named = arn.instance(instance, where)
    if named is None:
        return
    for fact in (
        ("partition", cluster.partition or partition, named.partition),
        ("Region", cluster.region or region, named.region),
        ("account", cluster.account, named.account),
        ("cluster", cluster.name, named.cluster),
    ):
        _check_place(where, "an instance", instance, fact)


@lru_cache(maxsize=4096)  # a fan-out names the same few instances thousands of times
def _belongs(cluster: str | None, instance: str, region: str | None, partition: str | None) -> bool:
    """Tell whether an instance is one of the cluster, and both are where the client goes."""
    try:
        _check_instance(instance, "", _check_cluster(cluster, region, partition), region, partition)
    except InvalidRequest:
        return False
    return True


def _check_place(where: str, what: str, given: str, fact: tuple[str, str | None, str]) -> None:
    name, ours, theirs = fact
    if ours and theirs and ours != theirs:
        raise InvalidRequest(where, f"{what} of the {name} {ours}", repr(given))


def expect(request: object, shape: type[Shape]) -> None:
    """Hold a request against the shape that the operation wants.

    Raises:
        InvalidRequest: it is of another kind.
    """
    if not isinstance(request, shape):
        raise InvalidRequest("request", f"a {shape.__name__}", _found(request, shape))


def positive(given: int, name: str) -> int:
    """Return a whole number of 1 or more.

    Raises:
        InvalidRequest: it isn't one.
    """
    if type(given) is not int or given < 1:
        raise InvalidRequest(name, "a whole number, 1 or more", repr(given))
    return given


def not_negative(given: float, name: str) -> float:
    """Return a number of seconds that may be 0, and infinite.

    Raises:
        InvalidRequest: it is none.
    """
    if type(given) not in (int, float) or not given >= 0:  # no number is neither
        raise InvalidRequest(name, "a number of seconds, 0 or more", repr(given))
    return given
