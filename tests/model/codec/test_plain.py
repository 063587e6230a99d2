"""plain: values to ECS's plain form and back, whatever ECS sends."""

from __future__ import annotations

import copy
import json
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import attrs
import pytest
from characters import CHARACTERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aioecs._model as values
from aioecs._model import (
    ContainerOverride,
    KeyValuePair,
    LaunchType,
    NetworkBinding,
    NetworkConfiguration,
    RunTaskRequest,
    StartTaskRequest,
    StartTaskResponse,
    StopTaskRequest,
    Tag,
    Task,
    TaskOverride,
    TransportProtocol,
)
from aioecs._model.codec.plain import Kind, Member, from_plain, lazy_from_plain, members, needed, to_plain
from aioecs._model.codec.shape import Shape
from aioecs._model.limits import check, expect
from aioecs.errors import InvalidRequest

EXPORTED: list[Any] = [getattr(values, name) for name in values.__all__]
SHAPES: list[type[Shape]] = [kind for kind in EXPORTED if isinstance(kind, type) and issubclass(kind, Shape)]

# Whole microseconds, as datetimes have them: a float holds these exactly enough for two centuries around 1970.
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 drawn as UTC
scalars: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(CHARACTERS, max_size=8),
    int: st.integers(-(2**53), 2**53),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    datetime: moments,
}
unknown = st.dictionaries(st.sampled_from(["newMember", "newerMember"]), st.none() | st.integers(), max_size=2)
STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {}


def of_kind(kind: Kind) -> st.SearchStrategy[Any]:
    """Draw what a member of this kind can hold; an enum's value may be one that is not known yet."""
    one = of_shape(kind.base) if issubclass(kind.base, Shape) else scalars[kind.base]
    if kind.enum is not None:
        one = st.sampled_from(list(kind.enum)) | st.sampled_from(["NOT-KNOWN-YET", ""])
    if kind.container is Sequence:
        return st.lists(one, max_size=2).map(tuple)
    if kind.container is Mapping:
        return st.dictionaries(st.text(CHARACTERS, max_size=4), one, max_size=2)
    return one


def of_shape(shape: type[Shape]) -> st.SearchStrategy[Any]:
    """Draw a value of a shape, with any of its members and some that are not known."""
    if shape not in STRATEGIES:
        STRATEGIES[shape] = _of_shape(shape)
    return STRATEGIES[shape]


def _of_shape(shape: type[Shape]) -> st.SearchStrategy[Any]:
    each = {member.name: of_kind(member.kind) for member in members(shape)}
    required = {member.name: each.pop(member.name) for member in members(shape) if member.required}
    drawn = st.fixed_dictionaries(required, optional=each)
    return st.builds(partial(_made, shape), drawn, unknown)


def _made(shape: type[Shape], given: dict[str, Any], extra: dict[str, Any]) -> Shape:
    return shape(extra=extra, **given)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@given(data=st.data())
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None)
def test_every_value_survives_the_wire(shape: type[Shape], data: st.DataObject) -> None:
    """What is written as JSON is read back as the same value, unknown members at every depth included."""
    value = data.draw(of_shape(shape))
    assert from_plain(shape, json.loads(json.dumps(to_plain(value)))) == value


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_missing_members_are_tolerated_in_answers(shape: type[Shape]) -> None:
    """An empty object is read as a value with nothing in it: an answer may leave out what a request must have."""
    value = from_plain(shape, {})
    assert all(getattr(value, name) is None for name in needed(shape))
    assert value.extra == {}


def test_what_is_none_is_not_sent() -> None:
    """Absent members are left out, empty lists and false ones are sent."""
    request = StartTaskRequest(task_definition="frame:42", tags=[], enable_execute_command=False)
    assert to_plain(request) == {
        "containerInstances": [],
        "enableExecuteCommand": False,
        "tags": [],
        "taskDefinition": "frame:42",
    }


def test_null_is_read_as_absent() -> None:
    """A member that ECS sends as null is as if it were left out: lists stay lists."""
    task = from_plain(Task, {"containers": None, "taskArn": None, "newMember": None})
    assert (task.containers, task.task_arn, task.extra) == ((), None, {"newMember": None})


def test_names_are_ecs_s() -> None:
    """Members are written under ECS's spelling, enums as their strings."""
    assert to_plain(
        StartTaskRequest(
            task_definition="frame:42",
            container_instances=["0a1b"],
            enable_ecs_managed_tags=True,
            propagate_tags=values.PropagateTags.TASK_DEFINITION,
            volume_configurations=[
                values.TaskVolumeConfiguration(
                    name="scratch",
                    managed_ebs_volume=values.TaskManagedEBSVolumeConfiguration(role_arn="arn", size_in_gib=20),
                )
            ],
        )
    ) == {
        "containerInstances": ["0a1b"],
        "enableECSManagedTags": True,
        "propagateTags": "TASK_DEFINITION",
        "taskDefinition": "frame:42",
        "volumeConfigurations": [{"name": "scratch", "managedEBSVolume": {"sizeInGiB": 20, "roleArn": "arn"}}],
    }


# ------------------------------------------------------------------------------------------------------ what is new

NESTED: dict[str, Any] = {
    "taskDefinition": "frame:42",
    "containerInstances": ["0a1b"],
    "newMember": {"deep": [1]},
    "overrides": {
        "newMember": "in overrides",
        "containerOverrides": [
            {"name": "main", "newMember": 2, "environment": [{"name": "KEY", "value": "v", "newMember": None}]},
            {"name": "side"},
        ],
    },
    "tags": [{"key": "show", "newMember": "in a tag"}],
}


def test_unknown_members_go_to_extra_and_back() -> None:
    """A member that isn't known here is kept at its place under its own name, at any depth."""
    request = from_plain(StartTaskRequest, NESTED)
    assert request.extra == {"newMember": {"deep": [1]}}
    assert request.overrides is not None
    assert request.overrides.extra == {"newMember": "in overrides"}
    main, side = tuple(request.overrides.container_overrides or ())
    assert (main.extra, side.extra) == ({"newMember": 2}, {})
    assert main.environment is not None
    assert main.environment[0].extra == {"newMember": None}
    assert to_plain(request) == NESTED


def test_extra_may_be_left_out() -> None:
    """`extra=False` gives what botocore's model knows, at every depth."""
    assert to_plain(from_plain(StartTaskRequest, NESTED), extra=False) == {
        "taskDefinition": "frame:42",
        "containerInstances": ["0a1b"],
        "overrides": {
            "containerOverrides": [{"name": "main", "environment": [{"name": "KEY", "value": "v"}]}, {"name": "side"}]
        },
        "tags": [{"key": "show"}],
    }


def test_a_member_named_extra_is_one_like_any_other() -> None:
    """Should ECS ever name a member `extra`, it goes into `extra`."""
    assert from_plain(Tag, {"extra": "theirs"}).extra == {"extra": "theirs"}


def test_an_enum_s_new_value_stays_a_string() -> None:
    """A known value is the enum's member, another one is kept as it came."""
    assert from_plain(Task, {"launchType": "EC2"}).launch_type is LaunchType.EC2
    assert from_plain(Task, {"launchType": "MOON"}).launch_type == "MOON"
    assert from_plain(NetworkBinding, {"protocol": "udp"}).protocol is TransportProtocol.UDP


# ------------------------------------------------------------------------------------------------------------ times


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the machine's own clock into another zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX+7")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("held", "moment"),
    [
        (1700000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1700000000.25, datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)),
        (1.7e9, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("2023-11-14T22:13:20Z", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T22:13:20.250Z", datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)),
        ("2023-11-14T23:13:20+01:00", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T22:13:20", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
    ],
)
@pytest.mark.usefixtures("far_from_utc")
def test_times_are_aware_and_utc(held: Any, moment: datetime) -> None:
    """Epoch seconds (ECS's API) and ISO 8601 (its events) are read as aware UTC, wherever the machine stands."""
    created_at = from_plain(Task, {"createdAt": held}).created_at
    assert created_at == moment
    assert created_at is not None
    assert created_at.tzinfo is UTC


def test_times_are_written_as_epoch_seconds() -> None:
    """Any zone will do."""
    there = datetime(2023, 11, 14, 23, 13, 20, 250000, tzinfo=timezone(timedelta(hours=1)))
    assert to_plain(Task(created_at=there)) == to_plain(Task()) | {"createdAt": 1700000000.25}


# ---------------------------------------------------------------------------------------------------------- oddities


@pytest.mark.parametrize(
    ("plain", "name", "held"),
    [
        ({"createdAt": "soon"}, "created_at", "soon"),
        ({"createdAt": [17]}, "created_at", [17]),
        ({"createdAt": 1e300}, "created_at", 1e300),
        ({"containers": "none"}, "containers", "none"),
        ({"containers": {"name": "main"}}, "containers", {"name": "main"}),
        ({"containers": ["main"]}, "containers", ("main",)),
        ({"overrides": "none"}, "overrides", "none"),
        ({"overrides": ["none"]}, "overrides", ["none"]),
        ({"launchType": 17}, "launch_type", 17),
        ({"launchType": ["EC2"]}, "launch_type", ["EC2"]),
        ({"taskArn": 17}, "task_arn", 17),
        ({"version": "7"}, "version", "7"),
    ],
)
def test_what_is_of_the_wrong_kind_is_kept(plain: dict[str, Any], name: str, held: Any) -> None:
    """An answer that names a task reaches the caller whatever else is odd in it."""
    task = from_plain(Task, {"clusterArn": "arn", **plain})
    assert getattr(task, name) == held
    assert task.cluster_arn == "arn"


def test_odd_tasks_stand_beside_good_ones() -> None:
    """What is no object among the tasks doesn't cost the others."""
    answer = from_plain(StartTaskResponse, {"tasks": [{"taskArn": "one"}, 17, None, {"taskArn": "two"}]})
    assert answer.tasks == (Task(task_arn="one"), 17, None, Task(task_arn="two"))


# ------------------------------------------------------------------------------------------------------- the members


@pytest.mark.parametrize(
    ("shape", "member"),
    [
        (StopTaskRequest, Member("task", "task", Kind(str), required=True, secret=False)),
        (KeyValuePair, Member("value", "value", Kind(str), required=False, secret=True)),
        (Task, Member("created_at", "createdAt", Kind(datetime), required=False, secret=False)),
        (Task, Member("launch_type", "launchType", Kind(str, enum=LaunchType), required=False, secret=False)),
        (TaskOverride, Member("cpu", "cpu", Kind(str), required=False, secret=False)),
        (ContainerOverride, Member("cpu", "cpu", Kind(int), required=False, secret=False)),
        (
            ContainerOverride,
            Member("environment", "environment", Kind(KeyValuePair, Sequence), required=False, secret=False),
        ),
        (
            values.DescribeTasksRequest,
            Member("include", "include", Kind(str, Sequence, values.TaskField), required=False, secret=False),
        ),
        (
            values.ContainerDefinition,
            Member("docker_labels", "dockerLabels", Kind(str, Mapping), required=False, secret=False),
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Member) else value.__name__,
)
def test_a_member_is_read_off_its_annotation(shape: type[Shape], member: Member) -> None:
    """Its name here and on the wire, what it holds, and its marks."""
    assert member in members(shape)


def test_members_leave_out_what_is_not_ecs_s() -> None:
    """`extra` and aioecs's own members are none of the shape's."""
    assert [member.name for member in members(StartTaskResponse)] == ["tasks", "failures"]


def test_what_is_read_late_is_the_same() -> None:
    """Read member by member, in any order, copied, pickled, shown or compared: it is what `from_plain` makes."""
    plain: dict[str, Any] = {
        "taskArn": "arn",
        "createdAt": 1.5,
        "launchType": "EC2",
        "lastStatus": None,
        "newer": [1],
        "containers": [{"name": "main", "exitCode": 0, "networkBindings": [{"hostPort": 80}]}, "odd"],
        "overrides": {"containerOverrides": [{"name": "main", "environment": [{"name": "a", "value": "b"}]}]},
    }
    eager = from_plain(Task, plain)
    assert lazy_from_plain(Task, plain) == eager
    assert repr(lazy_from_plain(Task, plain)) == repr(eager)
    assert pickle.loads(pickle.dumps(lazy_from_plain(Task, plain))) == eager  # noqa: S301 our own
    assert copy.deepcopy(lazy_from_plain(Task, plain)) == eager
    late = lazy_from_plain(Task, plain)
    assert late.containers is late.containers
    assert late.replace(cpu="1") == eager.replace(cpu="1")
    assert not hasattr(late, "no_such_member")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        late.cpu = "2"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("held", "moment"),
    [
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (" 1700000000.5 ", datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)),
        ("1.7e9", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("Tue, 14 Nov 2023 22:13:20 GMT", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("Tue, 14 Nov 2023 22:13:20 +999999999999", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9" * 400, None),
        ("soon", None),
        (1e300, None),
        (float("nan"), None),
        ([], None),
    ],
)
def test_moments_as_botocore_takes_them(held: Any, moment: datetime | None) -> None:
    """Seconds in a string and HTTP dates are moments too; what is none stays as it is, and reading it never raises."""
    task = from_plain(Task, {"createdAt": held})
    assert task.created_at is held if moment is None else task.created_at == moment


# ---------------------------------------------------------------------------------------------------- boto3's dicts


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(data=st.data())
def test_a_dict_comes_back(shape: type[Shape], data: st.DataObject) -> None:
    """Every shape: to a dict with datetimes and back it is the same, and through JSON's seconds too."""
    value = data.draw(of_shape(shape))
    assert shape.from_dict(value.to_dict()) == value
    assert shape.from_dict(to_plain(value)) == value


def test_what_boto3_has_starts_the_same_task() -> None:
    """The arguments of boto3's start_task, of the AWS CLI's skeleton, and the request as it is written here."""
    arguments: dict[str, Any] = {
        "cluster": "render",
        "taskDefinition": "frame:42",
        "containerInstances": ["0a1b"],
        "enableECSManagedTags": True,
        "overrides": {"containerOverrides": [{"name": "main", "environment": [{"name": "SCENE", "value": "7"}]}]},
        "tags": ({"key": "team", "value": "fx"},),
    }
    request = StartTaskRequest(
        cluster="render",
        task_definition="frame:42",
        container_instances=["0a1b"],
        enable_ecs_managed_tags=True,
        overrides=TaskOverride.for_container("main", environment={"SCENE": "7"}),
        tags=[Tag(key="team", value="fx")],
    )
    assert StartTaskRequest.from_dict(arguments) == request
    assert request.to_dict() == {**arguments, "tags": list(arguments["tags"])}


def test_what_an_airflow_operator_sends_starts_the_same_task() -> None:
    """The arguments that Airflow's EcsRunTaskOperator makes for boto3's run_task, in its order."""
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "DISABLED"}}
    arguments: dict[str, Any] = {
        "cluster": "render",
        "taskDefinition": "frame:42",
        "overrides": {"containerOverrides": [{"name": "main", "environment": [{"name": "SCENE", "value": "7"}]}]},
        "startedBy": "airflow",
        "launchType": "FARGATE",
        "platformVersion": "LATEST",
        "group": "nightly",
        "networkConfiguration": network,
        "tags": [{"key": "team", "value": "fx"}],
        "propagateTags": "TASK_DEFINITION",
    }
    request = RunTaskRequest(
        cluster="render",
        task_definition="frame:42",
        overrides=TaskOverride.for_container("main", environment={"SCENE": "7"}),
        started_by="airflow",
        launch_type="FARGATE",
        platform_version="LATEST",
        group="nightly",
        network_configuration=NetworkConfiguration.from_dict(network),
        tags=[Tag(key="team", value="fx")],
        propagate_tags="TASK_DEFINITION",
    )
    assert RunTaskRequest.from_dict(arguments) == request
    assert request.to_dict() == arguments


@pytest.mark.parametrize("moment", [datetime(2026, 11, 25, tzinfo=UTC), 1795564800, "2026-11-25T00:00:00Z"])
def test_moments_in_a_dict(moment: Any) -> None:
    """As boto3, the API and events give them; they are given back as boto3 does."""
    task = Task.from_dict({"createdAt": moment})
    assert task.created_at == datetime(2026, 11, 25, tzinfo=UTC)
    assert task.to_dict()["createdAt"] == task.created_at


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ("hunter2", "StartTaskRequest: a mapping of members as boto3 spells them, not a str"),
        ({"task_definition": "hunter2"}, "StartTaskRequest.task_definition: goes by taskDefinition in a dict"),
        (
            {"overrides": {"containerOverrides": [{"environment_files": "hunter2"}]}},
            "StartTaskRequest.overrides[0].containerOverrides[0].environment_files: goes by environmentFiles in a dict",
        ),
    ],
)
def test_what_is_no_dict_of_boto3_s(plain: Any, said: str) -> None:
    """It is named by its place; what it holds isn't shown."""
    with pytest.raises(InvalidRequest) as caught:
        StartTaskRequest.from_dict(plain)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            StartTaskRequest(task_definition="f", container_instances=["a"]).replace(overrides={"cpu": "hunter2"}),
            "overrides: a TaskOverride, not a dict: TaskOverride.from_dict makes one of a dict as boto3 has it",
        ),
        (
            StartTaskRequest(task_definition="f", container_instances=["a"]).replace(tags=[{"key": "hunter2"}]),
            "tags[0]: a Tag, not a dict: Tag.from_dict makes one of a dict as boto3 has it",
        ),
    ],
)
def test_a_dict_where_a_shape_is_wanted(request_: StartTaskRequest, said: str) -> None:
    """The error says which call converts it."""
    with pytest.raises(InvalidRequest) as caught:
        check(request_)
    assert str(caught.value) == said
    with pytest.raises(InvalidRequest, match=r"StartTaskRequest\.from_dict makes one"):
        expect({"taskDefinition": "f"}, StartTaskRequest)
