"""limits: every documented limit at its edge, and errors that say what is wrong, never a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from aioecs._model import (
    AwsVpcConfiguration,
    CapacityProviderStrategyItem,
    ContainerDefinition,
    ContainerOverride,
    DescribeContainerInstancesRequest,
    DescribeTasksRequest,
    EBSTagSpecification,
    EnvironmentFile,
    EphemeralStorage,
    InferenceAcceleratorOverride,
    KeyValuePair,
    ListContainerInstancesRequest,
    ListTasksRequest,
    NetworkConfiguration,
    PlacementConstraint,
    PlacementStrategy,
    PropagateTags,
    Resource,
    ResourceRequirement,
    RunTaskRequest,
    StartTaskRequest,
    StopTaskRequest,
    Tag,
    Task,
    TaskManagedEBSVolumeConfiguration,
    TaskOverride,
    TaskVolumeConfiguration,
)
from aioecs._model.codec.plain import to_plain
from aioecs._model.codec.shape import Shape
from aioecs._model.limits import LIMITS, OVERRIDES, VOLUME_SIZES, RequestWarning, check, expect, fits, positive
from aioecs.errors import InvalidRequest

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/render"
INSTANCE = "arn:aws:ecs:eu-west-1:123456789012:container-instance/render/0a1b"
SECRET = "hunter2-hunter2"
CONVERTS = ".from_dict makes one of a dict as boto3 has it"


def starting(**members: Any) -> StartTaskRequest:
    given: dict[str, Any] = {"task_definition": "frame:42", "container_instances": ["0a1b"], **members}
    return StartTaskRequest(**given)


def running(**members: Any) -> RunTaskRequest:
    given: dict[str, Any] = {"task_definition": "frame:42", **members}
    return RunTaskRequest(**given)


def overriding(**members: Any) -> StartTaskRequest:
    return starting(overrides=TaskOverride(**members))


def with_container(**members: Any) -> StartTaskRequest:
    given: dict[str, Any] = {"name": "main", **members}
    return overriding(container_overrides=[ContainerOverride(**given)])


def with_volume(**members: Any) -> StartTaskRequest:
    given: dict[str, Any] = {"role_arn": "arn:aws:iam::1:role/r", "size_in_gib": 200, **members}
    volume = TaskManagedEBSVolumeConfiguration(**given)
    return starting(volume_configurations=[TaskVolumeConfiguration(name="scratch", managed_ebs_volume=volume)])


def with_volume_tags(**members: Any) -> StartTaskRequest:
    return with_volume(tag_specifications=[EBSTagSpecification(resource_type="volume", **members)])


def with_network(**members: Any) -> StartTaskRequest:
    given: dict[str, Any] = {"subnets": ["subnet-1"], **members}
    return starting(network_configuration=NetworkConfiguration(awsvpc_configuration=AwsVpcConfiguration(**given)))


def with_storage(**members: Any) -> StartTaskRequest:
    return overriding(ephemeral_storage=EphemeralStorage(**members))


def with_tag(**members: Any) -> StartTaskRequest:
    given: dict[str, Any] = {"key": "key", **members}
    return starting(tags=[Tag(**given)])


def with_constraint(**members: Any) -> RunTaskRequest:
    return running(placement_constraints=[PlacementConstraint(**members)])


def with_provider(**members: Any) -> RunTaskRequest:
    return running(capacity_provider_strategy=[CapacityProviderStrategyItem(capacity_provider="spot", **members)])


def tags(count: int) -> list[Tag]:
    return [Tag(key=f"key-{number}") for number in range(count)]


def names(count: int) -> list[str]:
    return [f"name-{number}" for number in range(count)]


def refusal(request: Shape, **how: Any) -> InvalidRequest:
    """Return the error that the request is refused with."""
    with pytest.raises(InvalidRequest) as caught:
        check(request, **how)
    return caught.value


def warning(request: Shape) -> str:
    """Return what is warned of; the request passes all the same."""
    with pytest.warns(RequestWarning) as caught:
        check(request)
    (only,) = {str(each.message) for each in caught}
    return only


# ------------------------------------------------------------------------------------------ lengths, sizes, alphabets

VOLUME = "volume_configurations[0].managed_ebs_volume"
AWSVPC = "network_configuration.awsvpc_configuration"

# Where each limit stands: how a request comes to hold it, and the path that it has there.
PLACES: dict[type[Shape], tuple[Callable[..., Shape], str]] = {
    StartTaskRequest: (starting, ""),
    RunTaskRequest: (running, ""),
    ListTasksRequest: (ListTasksRequest, ""),
    ListContainerInstancesRequest: (ListContainerInstancesRequest, ""),
    DescribeTasksRequest: (DescribeTasksRequest, ""),
    DescribeContainerInstancesRequest: (DescribeContainerInstancesRequest, ""),
    AwsVpcConfiguration: (with_network, f"{AWSVPC}."),
    TaskManagedEBSVolumeConfiguration: (with_volume, f"{VOLUME}."),
    EBSTagSpecification: (with_volume_tags, f"{VOLUME}.tag_specifications[0]."),
    Tag: (with_tag, "tags[0]."),
    EphemeralStorage: (with_storage, "overrides.ephemeral_storage."),
    PlacementConstraint: (with_constraint, "placement_constraints[0]."),
    CapacityProviderStrategyItem: (with_provider, "capacity_provider_strategy[0]."),
}

TOKEN = "".join(map(chr, range(33, 127)))[:64]
STARTED_BY = "letters, digits, '-', '_' and '/' only"
ALPHABET = f"at most 36 characters and at least one, {STARTED_BY}"
ALPHABET_OF_RUN_TASK = f"at most 128 characters, {STARTED_BY}"
INSTANCES = "1 to 10 container instances a call; start_tasks takes any number"
NAMED = "is required and can't be empty"

# (shape, member), what is just allowed, what is just refused with what is found, and the rule as it reads.
EDGES: list[tuple[tuple[type[Shape], str], list[Any], list[tuple[Any, Any]], str]] = [
    (
        (StartTaskRequest, "container_instances"),
        [["0a1b"], ["0a1b"] * 10, names(10)],
        [([], 0), (names(11), 11), (["0a1b"] * 11, 11)],
        INSTANCES,
    ),
    ((StartTaskRequest, "task_definition"), ["f"], [("", 0)], NAMED),
    (
        (StartTaskRequest, "started_by"),
        ["a", "AZaz09/_-", "x" * 36],
        [
            ("", 0),
            ("x" * 37, 37),
            ("jöb", "'jöb'"),
            ("a b", "'a b'"),
            ("a.b", "'a.b'"),
            ("a\n", "'a\\n'"),
            ("٣", "'٣'"),
        ],
        ALPHABET,
    ),
    ((StartTaskRequest, "tags"), [[], tags(50)], [(tags(51), 51)], "at most 50 tags"),
    ((AwsVpcConfiguration, "subnets"), [names(1), names(16)], [([], 0), (names(17), 17)], "1 to 16 subnets"),
    ((AwsVpcConfiguration, "security_groups"), [[], names(5)], [(names(6), 6)], "at most 5 security groups"),
    ((EBSTagSpecification, "tags"), [[], tags(50)], [(tags(51), 51)], "at most 50 tags"),
    ((Tag, "key"), ["k", "k" * 128], [("", 0), ("k" * 129, 129)], "1 to 128 characters"),
    ((Tag, "value"), ["", "v" * 256], [("v" * 257, 257)], "at most 256 characters"),
    ((EphemeralStorage, "size_in_gib"), [21, 200], [(20, 20), (201, 201)], "21 to 200 GiB"),
    (
        (TaskManagedEBSVolumeConfiguration, "throughput"),
        [1, 1000],
        [(0, 0), (1001, 1001)],
        "1 to 1000 MiB/s",
    ),
    ((TaskManagedEBSVolumeConfiguration, "role_arn"), ["arn"], [("", 0)], NAMED),
    ((RunTaskRequest, "task_definition"), ["f"], [("", 0)], NAMED),
    ((RunTaskRequest, "count"), [1, 10], [(0, 0), (11, 11), (-1, -1)], "1 to 10 tasks a call"),
    (
        (RunTaskRequest, "started_by"),
        ["", "x" * 128],
        [("x" * 129, 129), ("a b", "'a b'")],
        ALPHABET_OF_RUN_TASK,
    ),
    (
        (RunTaskRequest, "client_token"),
        ["!", TOKEN],
        [("", 0), ("x" * 65, 65), ("a b", "'a b'"), ("é", "'é'")],
        "1 to 64 printable ASCII characters",
    ),
    ((RunTaskRequest, "tags"), [tags(50)], [(tags(51), 51)], "at most 50 tags"),
    (
        (RunTaskRequest, "placement_constraints"),
        [[PlacementConstraint(type="distinctInstance")] * 10],
        [([PlacementConstraint(type="distinctInstance")] * 11, 11)],
        "at most 10 constraints",
    ),
    (
        (RunTaskRequest, "placement_strategy"),
        [[PlacementStrategy(type="random")] * 5],
        [([PlacementStrategy(type="random")] * 6, 6)],
        "at most 5 strategies",
    ),
    (
        (RunTaskRequest, "capacity_provider_strategy"),
        [[CapacityProviderStrategyItem(capacity_provider="spot")] * 20],
        [([CapacityProviderStrategyItem(capacity_provider="spot")] * 21, 21)],
        "at most 20 capacity providers",
    ),
    ((PlacementConstraint, "expression"), ["", "e" * 2000], [("e" * 2001, 2001)], "at most 2000 characters"),
    ((CapacityProviderStrategyItem, "weight"), [0, 1000], [(-1, -1), (1001, 1001)], "0 to 1,000"),
    ((CapacityProviderStrategyItem, "base"), [0, 100_000], [(-1, -1), (100_001, 100_001)], "0 to 100,000"),
    ((ListTasksRequest, "max_results"), [1, 100], [(0, 0), (101, 101)], "1 to 100 a page"),
    ((ListContainerInstancesRequest, "max_results"), [1, 100], [(0, 0), (101, 101)], "1 to 100 a page"),
    ((DescribeTasksRequest, "tasks"), [names(1), names(100)], [([], 0), (names(101), 101)], "1 to 100 tasks a call"),
    (
        (DescribeContainerInstancesRequest, "container_instances"),
        [names(1), names(100)],
        [([], 0), (names(101), 101)],
        "1 to 100 instances a call",
    ),
]


def member_of(value: Any) -> str:
    """Name a row of the table by its member."""
    return str(value[1]) if isinstance(value, tuple) else ""


def test_the_table_holds_every_limit() -> None:
    """A limit that is added is tested at its edge."""
    assert [edge[0] for edge in EDGES] == list(LIMITS)


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, allowed, _, _ in EDGES for value in allowed], ids=member_of
)
def test_just_allowed(key: tuple[type[Shape], str], value: Any) -> None:
    """What stands at the edge passes."""
    make, _ = PLACES[key[0]]
    check(make(**{key[1]: value}))


# What AWS raises now and then; what guards the promise (instances, startedBy, overrides) is none of it.
SOFT = {
    (AwsVpcConfiguration, "subnets"),
    (AwsVpcConfiguration, "security_groups"),
    (EphemeralStorage, "size_in_gib"),
    (TaskManagedEBSVolumeConfiguration, "throughput"),
    (RunTaskRequest, "placement_constraints"),
    (RunTaskRequest, "placement_strategy"),
    (RunTaskRequest, "capacity_provider_strategy"),
    (PlacementConstraint, "expression"),
    (CapacityProviderStrategyItem, "weight"),
    (CapacityProviderStrategyItem, "base"),
}
BEYOND = [(key, *broken, rule) for key, _, refused, rule in EDGES for broken in refused]


def is_warned_of(key: tuple[type[Shape], str], found: Any) -> bool:
    """Warn of it only: nothing at all, or less than nothing, is refused."""
    return key in SOFT and found > 0


@pytest.mark.parametrize(
    ("key", "value", "found", "rule"),
    [row for row in BEYOND if is_warned_of(row[0], row[2])],
    ids=member_of,
)
def test_just_warned_of(key: tuple[type[Shape], str], value: Any, found: Any, rule: str) -> None:
    """What AWS may allow by now is sent, with a warning that names the path, the rule and what was found."""
    make, prefix = PLACES[key[0]]
    said = warning(make(**{key[1]: value}))
    assert said == f"{prefix}{key[1]}: {rule} as far as aioecs knows, not {found}; it is sent all the same"


@pytest.mark.parametrize(
    ("key", "value", "found", "rule"),
    [row for row in BEYOND if not is_warned_of(row[0], row[2])],
    ids=member_of,
)
def test_just_refused(key: tuple[type[Shape], str], value: Any, found: Any, rule: str) -> None:
    """What stands one beyond it is refused: the path, the rule, and the length or value found are named."""
    make, prefix = PLACES[key[0]]
    error = refusal(make(**{key[1]: value}))
    assert (error.path, error.rule, error.found) == (f"{prefix}{key[1]}", rule, found)


# ----------------------------------------------------------------------------------------------------- any number


@pytest.mark.parametrize("count", [1, 10, 11, 1000])
def test_requests_to_be_split_take_any_number_of_instances(count: int) -> None:
    """What is split into calls may name more instances than one call takes."""
    check(starting(container_instances=names(count)), any_number=True)


def test_requests_to_be_split_need_an_instance_and_keep_the_other_limits() -> None:
    """None at all is refused, and so is whatever is wrong with the rest."""
    assert refusal(starting(container_instances=[]), any_number=True).path == "container_instances"
    assert refusal(starting(tags=tags(51)), any_number=True).path == "tags"
    assert refusal(starting(container_instances=["a b"] * 11), any_number=True).path == "container_instances[0]"


@pytest.mark.parametrize(
    ("instances", "fit"),
    [
        (["0a1b", INSTANCE] * 6, True),
        ([], False),
        ("0a1b", False),
        ([17], False),
        (["0a1b", "a b"], False),
        ([INSTANCE.replace("render", "other")], False),
        ([INSTANCE.replace("eu-west-1", "us-east-1")], False),
    ],
)
def test_whether_the_instances_fit_depends_on_them_alone(instances: Any, fit: bool) -> None:
    """Of any number, each an id or an ARN of the cluster, where the client goes; the rest isn't looked at."""
    assert fits(starting(cluster=CLUSTER, container_instances=instances, tags=17), "eu-west-1", "aws") is fit


# -------------------------------------------------------------------------------------------------- what is required


@pytest.mark.parametrize(
    ("request_", "path", "rule"),
    [
        (starting(task_definition=None), "task_definition", "is required"),
        (with_network(subnets=None), f"{AWSVPC}.subnets", "is required"),
        (with_volume(role_arn=None), f"{VOLUME}.role_arn", "is required"),
        (starting(tags=[Tag(value="v")]), "tags[0].key", "is required"),
        (
            with_container(environment=[KeyValuePair(value=SECRET)]),
            "overrides.container_overrides[0].environment[0].name",
            NAMED,
        ),
        (
            with_container(environment=[KeyValuePair(name="A"), KeyValuePair(name="", value=SECRET)]),
            "overrides.container_overrides[0].environment[1].name",
            NAMED,
        ),
        (with_volume(size_in_gib=None), VOLUME, "needs size_in_gib or snapshot_id"),
        (StopTaskRequest(task=None), "task", "is required"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_is_required(request_: Shape, path: str, rule: str) -> None:
    """A required member that is absent after all is named, at any depth."""
    error = refusal(request_)
    assert (error.path, error.rule, error.found) == (path, rule, None)


# ------------------------------------------------------------------------------------------------------------ types


@pytest.mark.parametrize(
    ("request_", "path", "rule", "found"),
    [
        (starting(container_instances="0a1b"), "container_instances", "a list of string", "a str"),
        (starting(container_instances=["0a1b", None]), "container_instances[1]", "a string", "a NoneType"),
        (starting(container_instances=[17]), "container_instances[0]", "a string", "a int"),
        (starting(cluster=17), "cluster", "a string", "a int"),
        (starting(enable_execute_command=1), "enable_execute_command", "a bool", "a int"),
        (starting(tags=[{"key": "a"}]), "tags[0]", "a Tag", f"a dict: Tag{CONVERTS}"),
        (starting(tags=Tag(key="a")), "tags", "a list of Tag", "a Tag"),
        (starting(overrides={"cpu": "1"}), "overrides", "a TaskOverride", f"a dict: TaskOverride{CONVERTS}"),
        (overriding(cpu=1024), "overrides.cpu", "a string", "a int"),
        (with_container(cpu="1024"), "overrides.container_overrides[0].cpu", "a whole number", "a str"),
        (with_container(cpu=True), "overrides.container_overrides[0].cpu", "a whole number", "a bool"),
        (with_container(cpu=1.0), "overrides.container_overrides[0].cpu", "a whole number", "a float"),
        (
            with_container(environment=[("KEY", SECRET)]),
            "overrides.container_overrides[0].environment[0]",
            "a KeyValuePair",
            "a tuple",
        ),
        (
            with_container(environment=f"KEY={SECRET}"),  # a mapping is taken for pairs
            "overrides.container_overrides[0].environment",
            "a list of KeyValuePair",
            "a str",
        ),
        (
            with_container(environment=[KeyValuePair(name="KEY", value=SECRET.encode())]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            "overrides.container_overrides[0].environment[0].value",
            "a string",
            "a bytes",
        ),
        (with_container(command="echo"), "overrides.container_overrides[0].command", "a list of string", "a str"),
        (
            ContainerDefinition(docker_labels=["a"]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            "docker_labels",
            "a map of strings",
            "a list",
        ),
        (
            ContainerDefinition(docker_labels={"a": 1}),  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
            "docker_labels",
            "a map of strings",
            "a dict",
        ),
        (Resource(double_value=True), "double_value", "a number", "a bool"),
        (Resource(double_value="1"), "double_value", "a number", "a str"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (Task(created_at="now"), "created_at", "a datetime", "a str"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (Task(created_at=datetime(2023, 1, 1)), "created_at", "an aware datetime", "a naive one"),  # noqa: DTZ001
    ],
)
def test_wrong_types(request_: Shape, path: str, rule: str, found: str) -> None:
    """What is of another type is named by its type alone: its value may be secret."""
    error = refusal(request_)
    assert (error.path, error.rule, error.found) == (path, rule, found)
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    "value",
    [
        Resource(double_value=1),
        Resource(double_value=1.5),
        ContainerDefinition(docker_labels={"a": "1"}),
        Task(created_at=datetime(2023, 1, 1, tzinfo=UTC)),
        with_container(environment=[KeyValuePair(name="KEY", value=""), KeyValuePair(name="NONE")]),
        starting(enable_execute_command=False),
    ],
)
def test_right_types(value: Shape) -> None:
    """A whole number is a number, a map of strings is one, and an environment value may be empty."""
    check(value)


# ------------------------------------------------------------------------------------------------------------ enums


@pytest.mark.parametrize("given", ["SERVICE", PropagateTags.SERVICE, "NONE"])
def test_an_enum_s_value_may_be_a_plain_string(given: str) -> None:
    """A string that is spelled as ECS spells it does as well as a member."""
    check(starting(propagate_tags=given))


@pytest.mark.parametrize(
    ("request_", "path", "rule", "found"),
    [
        (
            starting(propagate_tags="TASK_DEFINITON"),
            "propagate_tags",
            "one of TASK_DEFINITION, SERVICE, NONE",
            "'TASK_DEFINITON' (meant TASK_DEFINITION?)",
        ),
        (
            starting(propagate_tags="service"),
            "propagate_tags",
            "one of TASK_DEFINITION, SERVICE, NONE",
            "'service' (meant SERVICE?)",
        ),
        (starting(propagate_tags="?"), "propagate_tags", "one of TASK_DEFINITION, SERVICE, NONE", "'?'"),
        (
            with_network(assign_public_ip="ENABLE"),
            f"{AWSVPC}.assign_public_ip",
            "one of ENABLED, DISABLED",
            "'ENABLE' (meant ENABLED?)",
        ),
        (
            with_container(environment_files=[EnvironmentFile(value="arn", type="S3")]),
            "overrides.container_overrides[0].environment_files[0].type",
            "one of s3",
            "'S3' (meant s3?)",
        ),
        (
            with_container(resource_requirements=[ResourceRequirement(value="1", type="gpu")]),
            "overrides.container_overrides[0].resource_requirements[0].type",
            "one of GPU, InferenceAccelerator, NeuronDevice",
            "'gpu' (meant GPU?)",
        ),
        (
            running(placement_strategy=[PlacementStrategy(type="Spread")]),
            "placement_strategy[0].type",
            "one of random, spread, binpack",
            "'Spread' (meant spread?)",
        ),
        (
            DescribeTasksRequest(tasks=["t"], include=["TAG"]),
            "include[0]",
            "one of TAGS",
            "'TAG' (meant TAGS?)",
        ),
    ],
)
def test_a_misspelt_enum(request_: Shape, path: str, rule: str, found: str) -> None:
    """An enum's value that isn't known may be new, so it is sent, with a warning that offers the nearest."""
    assert warning(request_) == f"{path}: {rule} as far as aioecs knows, not {found}; it is sent all the same"


def test_a_new_filesystem_is_sent() -> None:
    """Every enum in a request takes a value that this version doesn't know."""
    assert warning(with_volume(filesystem_type="btrfs")).startswith(f"{VOLUME}.filesystem_type: one of ")


# ------------------------------------------------------------------------------------------------------- the overrides


def overrides_of(length: int, filler: str = "x") -> StartTaskRequest:
    """Make a request whose overrides are so many characters of compact JSON."""
    empty = with_container(environment=[KeyValuePair(name="KEY", value="")])
    remaining = length - len(json.dumps(to_plain(empty)["overrides"], separators=(",", ":")))
    return with_container(environment=[KeyValuePair(name="KEY", value=filler * remaining)])


def test_overrides_of_8192_characters() -> None:
    """The JSON's own characters count, spaces between them don't, and one letter is one character in any script."""
    check(overrides_of(OVERRIDES))
    check(overrides_of(OVERRIDES, "é"))
    assert OVERRIDES == 8192


@pytest.mark.parametrize("filler", ["x", "é"])
def test_overrides_of_8193_characters(filler: str) -> None:
    """One more is refused, by its length and not by its contents."""
    error = refusal(overrides_of(OVERRIDES + 1, filler))
    assert (error.path, error.rule) == ("overrides", "at most 8192 characters of compact JSON in all")
    assert error.found == 8193


def test_unknown_members_count() -> None:
    """What goes into the overrides by `extra` is part of their length."""
    assert refusal(overriding(extra={"newMember": "x" * 8192})).path == "overrides"


def test_elastic_inference_warns() -> None:
    """The deprecated member is there, and whoever uses it gets a warning that it is closed to new customers."""
    inference = [InferenceAcceleratorOverride(device_name="a", device_type="eia2.medium")]
    with pytest.warns(DeprecationWarning, match="Elastic Inference is closed to new customers"):
        check(overriding(inference_accelerator_overrides=inference))
    check(overriding(inference_accelerator_overrides=[]))


# ------------------------------------------------------------------------------------------------------------- tags


@pytest.mark.parametrize(
    "tag",
    [
        Tag(key="a b"),
        Tag(key="_.:/=+-@", value="_.:/=+-@"),
        Tag(key="Ключ-٣", value="值"),
        Tag(key="xaws:", value="my aws:"),
        Tag(key="Key", value=None),
    ],
)
def test_a_tag(tag: Tag) -> None:
    """Letters and digits of any script, spaces and a few signs."""
    check(starting(tags=[tag, Tag(key="key")]))


RESERVED = "may not begin with 'aws:', which is reserved"
SIGNS = "letters, digits, spaces and _ . : / = + - @ only"


@pytest.mark.parametrize(
    ("tag", "member", "rule", "found"),
    [
        (Tag(key="aws:x"), "key", RESERVED, "'aws:x'"),
        (Tag(key="AWS:x"), "key", RESERVED, "'AWS:x'"),
        (Tag(key="k", value="aws:x"), "value", RESERVED, "'aws:x'"),
        (Tag(key="a#b"), "key", SIGNS, "'a#b'"),
        (Tag(key="k", value="a\nb"), "value", SIGNS, "'a\\nb'"),
        (Tag(key="k", value="a&b"), "value", SIGNS, "'a&b'"),
    ],
)
def test_no_tag(tag: Tag, member: str, rule: str, found: str) -> None:
    """The reserved prefix and other signs are refused, in the key and in the value."""
    error = refusal(starting(tags=[Tag(key="fine"), tag]))
    assert (error.path, error.rule, error.found) == (f"tags[1].{member}", rule, found)


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (starting(tags=[Tag(key="a", value="1"), Tag(key="A"), Tag(key="a", value="2")]), "tags[2].key"),
        (running(tags=[Tag(key="a"), Tag(key="a")]), "tags[1].key"),
        (
            with_volume_tags(tags=[Tag(key="a"), Tag(key="a")]),
            f"{VOLUME}.tag_specifications[0].tags[1].key",
        ),
    ],
)
def test_a_key_twice(request_: Shape, path: str) -> None:
    """Each key once; keys that differ in case are different."""
    error = refusal(request_)
    assert (error.path, error.rule, error.found) == (path, "each key once", "'a'")


# ---------------------------------------------------------------------------------------------------------- volumes


@pytest.mark.parametrize(
    ("kind", "low", "high"), [(None, 1, 16384), *((kind, *sizes) for kind, sizes in VOLUME_SIZES.items())]
)
def test_the_size_of_a_volume(kind: str | None, low: int, high: int) -> None:
    """Each type has its own sizes, in GiB; without a type it is gp3. Others are warned of: AWS raises them."""
    check(with_volume(volume_type=kind, size_in_gib=low))
    check(with_volume(volume_type=kind, size_in_gib=high))
    for size in {max(low - 1, 1), high + 1} - {low}:
        said = warning(with_volume(volume_type=kind, size_in_gib=size))
        assert said.startswith(f"{VOLUME}.size_in_gib: {low} to {high} GiB for {kind or 'gp3'} as far as aioecs knows")
    error = refusal(with_volume(volume_type=kind, size_in_gib=0))
    assert (error.path, error.rule, error.found) == (f"{VOLUME}.size_in_gib", f"{low} to {high} GiB", 0)


@pytest.mark.parametrize(
    "members",
    [
        {"volume_type": "gp3", "size_in_gib": 65536},
        {"volume_type": "io2", "size_in_gib": 30000},
        {"volume_type": "gp3", "size_in_gib": 100, "throughput": 1500},
    ],
)
def test_what_ebs_allows_by_now(members: dict[str, Any]) -> None:
    """EBS grew after the model was written: nothing of this keeps a request from being sent."""
    assert "it is sent all the same" in warning(with_volume(**members))


def test_a_volume_of_a_new_type_or_from_a_snapshot() -> None:
    """A type that is not known yet is left to ECS, and a snapshot brings its own size."""
    check(with_volume(volume_type="gp9", size_in_gib=10**6))
    check(with_volume(snapshot_id="snap-1", size_in_gib=None))


# ----------------------------------------------------------------------------------------------------------- extra


def nested(depth: int) -> Any:
    held: Any = 1
    for _ in range(depth):
        held = [held]
    return held


@pytest.mark.parametrize("extra", [1, "capacity", ["a"], {1: "a"}, {None: "a"}])
def test_an_extra_that_is_no_map_of_names(extra: Any) -> None:
    """Whatever stands there is refused by name, and never shown."""
    request_ = starting(extra=extra)
    assert (refusal(request_).path, refusal(request_).rule) == ("extra", "a map of ECS's own member names")
    assert "capacity" not in repr(request_)


def test_an_extra_that_is_nested_too_deeply() -> None:
    """It is refused like anything that JSON can't hold."""
    assert refusal(starting(extra={"newMember": nested(100_000)})).rule == "at most 64 levels deep"


@pytest.mark.parametrize(
    ("request_", "path", "rule"),
    [
        (starting(extra={"startedBy": SECRET}), "extra.startedBy", "goes by its name here, started_by"),
        (
            with_container(extra={"environment": [SECRET]}),
            "overrides.container_overrides[0].extra.environment",
            "goes by its name here, environment",
        ),
        (starting(extra={"newMember": object()}), "extra", "what JSON can hold"),
        (starting(extra={"newMember": float("nan")}), "extra", "what JSON can hold"),
        (overriding(extra={"newMember": {1, 2}}), "overrides.extra", "what JSON can hold"),
    ],
)
def test_what_extra_can_t_hold(request_: Shape, path: str, rule: str) -> None:
    """A known member can't be slipped past its check, nor can what no request can carry."""
    error = refusal(request_)
    assert (error.path, error.rule, error.found) == (path, rule, None)


def test_what_extra_holds() -> None:
    """Members of a newer ECS pass as they are."""
    check(starting(extra={"newMember": {"deep": [1, None, "x"]}}))


# -------------------------------------------------------------------------------------------- clusters and instances


@pytest.mark.parametrize("cluster", [None, "default", "render", CLUSTER])
def test_an_instance_by_its_id_is_of_any_cluster(cluster: str | None) -> None:
    """An id alone doesn't say where it is, so it is left to ECS."""
    check(starting(cluster=cluster, container_instances=["0a1b", "0a1b"]), region="eu-west-1", partition="aws")


@pytest.mark.parametrize(
    ("cluster", "instance"),
    [
        ("render", INSTANCE),
        (CLUSTER, INSTANCE),
        (None, INSTANCE.replace("/render/", "/default/")),
        ("render", INSTANCE.replace("/render/", "/")),
        (CLUSTER, INSTANCE.replace("/render/", "/")),
    ],
)
def test_an_instance_of_the_cluster(cluster: str | None, instance: str) -> None:
    """An ARN that agrees with the cluster passes, one of the old format among them, which names no cluster."""
    check(starting(cluster=cluster, container_instances=[instance]), region="eu-west-1", partition="aws")
    check(starting(cluster=cluster, container_instances=[instance]))


CHINA = INSTANCE.replace("arn:aws:", "arn:aws-cn:")
OHIO = INSTANCE.replace("eu-west-1", "us-east-2")
OTHER = INSTANCE.replace("123456789012", "210987654321")


@pytest.mark.parametrize(
    ("cluster", "instance", "fact"),
    [
        ("other", INSTANCE, "cluster other"),
        (None, INSTANCE, "cluster default"),
        (CLUSTER, INSTANCE.replace("/render/", "/other/"), "cluster render"),
        ("render", CHINA, "partition aws"),
        (CLUSTER, CHINA, "partition aws"),
        ("render", OHIO, "Region eu-west-1"),
        (CLUSTER, OHIO, "Region eu-west-1"),
        (CLUSTER, OTHER, "account 123456789012"),
        (CLUSTER, OTHER.replace("/render/", "/"), "account 123456789012"),
        ("render", CHINA.replace("/render/", "/"), "partition aws"),
    ],
)
def test_an_instance_of_elsewhere(cluster: str | None, instance: str, fact: str) -> None:
    """An ARN of another cluster, account, Region or partition is refused with what it should be of."""
    request = starting(cluster=cluster, container_instances=["0a1b", instance])
    error = refusal(request, region="eu-west-1", partition="aws")
    assert (error.path, error.rule) == ("container_instances[1]", f"an instance of the {fact}")
    assert error.found == repr(instance)


@pytest.mark.parametrize("instance", [CHINA, OHIO, OTHER])
def test_where_nothing_is_known_nothing_is_refused(instance: str) -> None:
    """Without the client's Region and partition, and without a cluster's ARN, ECS is left to say."""
    check(starting(cluster="render", container_instances=[instance]))


@pytest.mark.parametrize(
    ("cluster", "fact"),
    [
        (CLUSTER.replace("arn:aws:", "arn:aws-cn:"), "partition aws"),
        (CLUSTER.replace("eu-west-1", "us-east-2"), "Region eu-west-1"),
    ],
)
def test_a_cluster_of_elsewhere(cluster: str, fact: str) -> None:
    """A cluster's ARN is of where the client goes."""
    error = refusal(starting(cluster=cluster), region="eu-west-1", partition="aws")
    assert (error.path, error.rule, error.found) == ("cluster", f"a cluster of the {fact}", repr(cluster))
    check(starting(cluster=cluster))


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (starting(cluster="ren der"), "cluster"),
        (starting(cluster=""), "cluster"),
        (starting(container_instances=["0a1b", "0a 1b"]), "container_instances[1]"),
        (starting(container_instances=[" 0a1b"]), "container_instances[0]"),
        (starting(container_instances=[""]), "container_instances[0]"),
        (starting(container_instances=[CLUSTER]), "container_instances[0]"),
    ],
)
def test_names_that_are_none(request_: Shape, path: str) -> None:
    """A name that can't be one, such as an instance id with spaces, is refused before anything is sent."""
    assert refusal(request_).path == path


# ---------------------------------------------------------------------------------------------- expect and positive


def test_expect() -> None:
    """A request of another kind is named by its type, and one of the right kind passes."""
    expect(starting(), StartTaskRequest)
    for given, found in (
        (running(), "a RunTaskRequest"),
        ({"cluster": SECRET}, f"a dict: StartTaskRequest{CONVERTS}"),
        (None, "a NoneType"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            expect(given, StartTaskRequest)
        assert (caught.value.path, caught.value.rule, caught.value.found) == ("request", "a StartTaskRequest", found)


@pytest.mark.parametrize("given", [1, 50, 10**6])
def test_positive(given: int) -> None:
    """A whole number from 1 on is handed back."""
    assert positive(given, "max_in_flight") == given


@pytest.mark.parametrize("given", [0, -1, 1.0, True, "5", None])
def test_not_positive(given: Any) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidRequest) as caught:
        positive(given, "max_in_flight")
    assert str(caught.value) == f"max_in_flight: a whole number, 1 or more, not {given!r}"


# ---------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "request_",
    [
        with_container(environment=[KeyValuePair(name="KEY", value=SECRET * 1000)]),
        with_container(environment=[KeyValuePair(name="", value=SECRET)]),
        with_container(environment=[KeyValuePair(name="KEY", value=[SECRET])]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with_container(environment=[KeyValuePair(name=17, value=SECRET)]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with_container(environment=[SECRET]),
        with_container(environment=SECRET),
        with_container(cpu="1", environment=[KeyValuePair(name="KEY", value=SECRET)]),
        with_container(
            environment=[KeyValuePair(name="KEY", value=SECRET, extra={"newMember": {SECRET}})],
        ),
        overriding(extra={"newMember": {SECRET}}),
    ],
)
def test_a_secret_is_in_no_error(request_: Shape) -> None:
    """Whatever is wrong around it, an environment value is in neither the text nor the facts of the error."""
    error = refusal(request_)
    assert SECRET not in f"{error!s} {error!r} {error.path} {error.rule} {error.found}"


@pytest.mark.parametrize(
    ("extra", "rule"),
    [
        (1, "a map of ECS"),
        (["a"], "a map of ECS"),
        ({1: "a"}, "a map of ECS"),
        ({"a": object()}, "what JSON can hold"),
        ({"a": float("nan")}, "what JSON can hold"),
    ],
)
def test_extra_that_cannot_be_sent(extra: Any, rule: str) -> None:
    """It is named, and nothing is sent; its repr shows none of it."""
    request = StartTaskRequest(task_definition="demo", container_instances=["0a1b"], extra=extra)
    with pytest.raises(InvalidRequest, match=rule) as caught:
        check(request)
    assert caught.value.path == "extra"
    assert "extra=" in repr(request)


def test_extra_that_is_nested_too_deep() -> None:
    """What holds itself is no exception to that, and none of it is a RecursionError."""
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for held in (ring, deep):
        request = StartTaskRequest(task_definition="demo", container_instances=["0a1b"], extra={"a": held})
        with pytest.raises(InvalidRequest, match="levels deep"):
            check(request)
    while deep:
        deep = deep.pop()


def test_no_instances_at_all() -> None:
    """None stands for none of them."""
    request = StartTaskRequest(task_definition="demo", container_instances=None)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="1 to 10 container instances"):
        check(request)
