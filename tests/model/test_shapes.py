"""The values against botocore's service model of ECS, and the manners that all of them share."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import attrs
import pytest
from botocore.loaders import Loader

import aioecs._model as values
from aioecs._model import (
    AwsVpcConfiguration,
    ContainerDefinition,
    ContainerOverride,
    KeyValuePair,
    LaunchType,
    NetworkConfiguration,
    RepositoryCredentials,
    StartTaskRequest,
    Tag,
    Task,
    TaskManagedEBSVolumeConfiguration,
    TaskOverride,
    TaskVolumeConfiguration,
)
from aioecs._model.codec.shape import Shape, is_own, is_required, is_secret, wire_name
from aioecs._model.shapes import enums
from aioecs._model.shapes.definition import enums as definition_enums
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs.errors import InvalidRequest

OPERATIONS = (
    "DescribeContainerInstances",
    "DescribeTaskDefinition",
    "DescribeTasks",
    "ListContainerInstances",
    "ListTasks",
    "RunTask",
    "StartTask",
    "StopTask",
)
MODEL: Any = Loader().load_service_model("ecs", "service-2")
NOT_REQUIRED_HERE = {"StartTaskRequest.containerInstances"}  # without instances it is a template for placement

EXPORTED: dict[str, Any] = {name: getattr(values, name) for name in values.__all__}
SHAPES: dict[str, type[Shape]] = {
    name: value for name, value in EXPORTED.items() if isinstance(value, type) and issubclass(value, Shape)
} | {"StartTaskResponse": StartTaskResponse}
ENUMS: dict[str, type[StrEnum]] = {
    name: value
    for name, value in EXPORTED.items()
    if isinstance(value, type) and issubclass(value, StrEnum) and name in {**vars(enums), **vars(definition_enums)}
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
each_enum = pytest.mark.parametrize("enum", ENUMS.values(), ids=ENUMS)


def reachable(end: str) -> dict[str, Any]:
    """Return the shapes that the operations' `input` or `output` leads to, by name."""
    found: dict[str, Any] = {}
    ahead = [MODEL["operations"][operation][end]["shape"] for operation in OPERATIONS]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found[name] = MODEL["shapes"][name]
            ahead += [member["shape"] for member in found[name].get("members", {}).values()]
            ahead += [found[name][part]["shape"] for part in ("member", "key", "value") if part in found[name]]
    return found


ASKED, ANSWERED = reachable("input"), reachable("output")
THEIRS: dict[str, Any] = ASKED | ANSWERED
SCALARS = {"integer": "int", "long": "int", "boolean": "bool", "double": "float", "timestamp": "datetime"}


def type_in_model(name: str) -> str:
    """Return a shape of the model as its annotation should read."""
    shape = MODEL["shapes"][name]
    match shape["type"]:
        case "structure":
            return name
        case "list":
            return f"Sequence[{type_in_model(shape['member']['shape'])}]"
        case "map":
            return f"Mapping[{type_in_model(shape['key']['shape'])}, {type_in_model(shape['value']['shape'])}]"
        case "string":
            return f"{name} | str" if "enum" in shape else "str"
        case scalar:
            return SCALARS[scalar]


def type_here(hint: Any) -> str:
    """Return an annotation, resolved, as `type_in_model` writes it; whether it may be None is left out."""
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(type_here(part) for part in get_args(hint) if part is not type(None))
    name: str = (get_origin(hint) or hint).__name__
    inside = ", ".join(type_here(part) for part in get_args(hint))
    return f"{name}[{inside}]" if inside else name


def members_of(shape: type[Shape]) -> dict[str, attrs.Attribute[Any]]:
    """Return the members that are on the wire, by their names there."""
    return {
        wire_name(field): field
        for field in attrs.fields(cast("Any", shape))
        if field.name != "extra" and not is_own(field)
    }


def apart(what: str, here: Iterable[str], theirs: Iterable[str]) -> Iterator[str]:
    """Handler what stands on one side only."""
    ours, model = list(here), list(theirs)
    yield from (f"{what}.{name} is in botocore's model, not in aioecs" for name in model if name not in ours)
    yield from (f"{what}.{name} is in aioecs, not in botocore's model" for name in ours if name not in model)


def drift_of_structure(name: str, theirs: Any) -> Iterator[str]:
    """Handler where a structure and its class here differ: members, types, what is required."""
    if name not in SHAPES:
        yield f"{name} is in botocore's model, not in aioecs"
        return
    here, hints = members_of(SHAPES[name]), get_type_hints(SHAPES[name])
    yield from apart(name, here, theirs["members"])
    for wire, field in here.items():
        if wire not in theirs["members"]:
            continue
        what = f"{name}.{wire}"
        expected, found = type_in_model(theirs["members"][wire]["shape"]), type_here(hints[field.name])
        if expected != found:
            yield f"{what} is {expected} in botocore's model, {found} in aioecs"
        needed = name in ASKED and wire in theirs.get("required", ()) and what not in NOT_REQUIRED_HERE
        if needed != is_required(field):
            yield f"{what} should {'' if needed else 'not '}be required in aioecs"


def drift_of_enum(name: str, theirs: Any) -> Iterator[str]:
    """Handler where an enum and its class here differ."""
    if name not in ENUMS:
        yield f"{name} is in botocore's model, not in aioecs"
        return
    yield from apart(name, [member.value for member in ENUMS[name]], theirs["enum"])


def drift() -> list[str]:
    """Handler all that differs between the values here and botocore's model."""
    lines: list[str] = []
    for name, theirs in sorted(THEIRS.items()):
        if theirs["type"] == "structure":
            lines += drift_of_structure(name, theirs)
        elif "enum" in theirs:
            lines += drift_of_enum(name, theirs)
    lines += [f"{name} is in aioecs, not in botocore's model" for name in sorted(SHAPES | ENUMS) if name not in THEIRS]
    return lines


def made(shape: type[Shape], **members: Any) -> Any:
    """Make a value; what is required and not given is a string that names it."""
    needed = {field.name: f"a {field.name}" for field in attrs.fields(cast("Any", shape)) if is_required(field)}
    return cast("Any", shape)(**(needed | members))


def held_in(shape: type[Shape], container: str) -> list[str]:
    """Return the members declared as a `container`, such as `Sequence`."""
    return [
        name
        for name, member in attrs.fields_dict(cast("Any", shape)).items()
        if str(member.type).startswith(f"{container}[")
    ]


def nested_request() -> StartTaskRequest:
    """Make a request with a value at every depth, a secret and unknown members among them."""
    unknown: dict[str, Any] = {"extra": {"newMember": {"value": "hidden-in-extra"}}}
    return StartTaskRequest(
        cluster="render",
        task_definition="frame:42",
        container_instances=["4c543eed", "9f2a01bc"],
        network_configuration=NetworkConfiguration(awsvpc_configuration=AwsVpcConfiguration(subnets=["subnet-1"])),
        overrides=TaskOverride(
            container_overrides=[
                ContainerOverride(name="main", environment=[KeyValuePair(name="KEY", value="hidden-in-environment")])
            ]
        ),
        tags=[Tag(key="show", value="first", **unknown)],
        volume_configurations=[
            TaskVolumeConfiguration(
                name="scratch",
                managed_ebs_volume=TaskManagedEBSVolumeConfiguration(size_in_gib=20, role_arn="arn:aws:iam::1:role/r"),
            )
        ],
        **unknown,
    )


class TestAgainstTheModel:
    """HeldAttempt against the botocore that is installed; a failure lists all that has drifted."""

    def test_nothing_has_drifted(self) -> None:
        """Members, types, required flags and enums are the model's, in both directions."""
        assert drift() == []

    def test_a_drift_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each kind of drift reads as one line that says where and what."""
        before = drift()
        structure = copy.deepcopy(MODEL["shapes"]["StartTaskRequest"])
        structure["members"]["newMember"] = {"shape": "String"}
        structure["members"]["startedBy"] = {"shape": "Integer"}
        structure["required"].append("cluster")
        del structure["members"]["group"]
        enum = copy.deepcopy(MODEL["shapes"]["LaunchType"])
        enum["enum"][enum["enum"].index("EC2")] = "MOON"
        monkeypatch.setitem(THEIRS, "StartTaskRequest", structure)
        monkeypatch.setitem(THEIRS, "LaunchType", enum)
        monkeypatch.setitem(THEIRS, "NewShape", {"type": "structure", "members": {}})
        monkeypatch.delitem(THEIRS, "Failure")

        assert [line for line in drift() if line not in before] == [
            "LaunchType.MOON is in botocore's model, not in aioecs",
            "LaunchType.EC2 is in aioecs, not in botocore's model",
            "NewShape is in botocore's model, not in aioecs",
            "StartTaskRequest.newMember is in botocore's model, not in aioecs",
            "StartTaskRequest.group is in aioecs, not in botocore's model",
            "StartTaskRequest.cluster should be required in aioecs",
            "StartTaskRequest.startedBy is int in botocore's model, str in aioecs",
            "Failure is in aioecs, not in botocore's model",
        ]

    def test_what_the_model_calls_sensitive_is_secret(self) -> None:
        """A sensitive member is secret itself, or is made of structures that hold a secret."""
        open_ones: list[str] = []
        for name, shape in SHAPES.items():
            for wire, field in members_of(shape).items():
                target = MODEL["shapes"].get(THEIRS[name]["members"].get(wire, {}).get("shape"), {})
                inside = SHAPES.get(target.get("member", {}).get("shape", ""))
                hidden = is_secret(field) or (
                    inside is not None and any(map(is_secret, attrs.fields(cast("Any", inside))))
                )
                if not hidden and (THEIRS[name].get("sensitive") or _is_sensitive(target)):
                    open_ones.append(f"{name}.{wire}")
        assert open_ones == []

    @pytest.mark.parametrize("name", sorted(set(ANSWERED) - set(ASKED)))
    def test_what_only_answers_hold_always_iterates(self, name: str) -> None:
        """An answer's lists and maps are empty when absent; only a request distinguishes absent from empty."""
        if THEIRS[name]["type"] == "structure":
            value = SHAPES[name]()
            for member in held_in(SHAPES[name], "Sequence"):
                assert getattr(value, member) == ()
            for member in held_in(SHAPES[name], "Mapping"):
                assert getattr(value, member) == {}

    @pytest.mark.parametrize("name", sorted(name for name in ASKED if name in SHAPES))
    def test_requests_distinguish_absent_from_empty(self, name: str) -> None:
        """A request's lists are None when left out, and so not sent."""
        value = made(SHAPES[name])
        for member in held_in(SHAPES[name], "Sequence"):
            if (
                not is_required(attrs.fields_dict(cast("Any", SHAPES[name]))[member])
                and member != "container_instances"
            ):
                assert getattr(value, member) is None


def _is_sensitive(shape: Mapping[str, Any]) -> bool:
    """Return whether a scalar or list is sensitive; a structure answers for its own members."""
    return bool(shape.get("sensitive")) and shape["type"] != "structure"


def _pickled(value: Any, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - our own value, not anyone's data


class TestManners:
    """What all values have in common."""

    @each_shape
    def test_frozen(self, shape: type[Shape]) -> None:
        """No member can be set, `extra` no more than the rest."""
        value = made(shape)
        for field in attrs.fields(cast("Any", shape)):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(value, field.name, None)

    @each_shape
    def test_slotted(self, shape: type[Shape]) -> None:
        """There is no dict to put a misspelt member into."""
        assert not hasattr(made(shape), "__dict__")

    @each_shape
    def test_keyword_only(self, shape: type[Shape]) -> None:
        """A member is always given by its name."""
        with pytest.raises(TypeError, match="positional"):
            cast("Any", shape)("by position")

    @each_shape
    def test_missing_member_is_named(self, shape: type[Shape]) -> None:
        """Whichever required member is left out, the error names it as Class.member."""
        needed = {field.name: "given" for field in attrs.fields(cast("Any", shape)) if is_required(field)}
        for missing in needed:
            given: dict[str, Any] = {name: value for name, value in needed.items() if name != missing}
            with pytest.raises(InvalidRequest) as caught:
                shape(**given)
            assert caught.value.path == f"{shape.__name__}.{missing}"

    @each_shape
    def test_lists_become_its_own_tuples(self, shape: type[Shape]) -> None:
        """What happens to the caller's list later doesn't happen to the value."""
        for member in held_in(shape, "Sequence"):
            given = ["one"]
            value = made(shape, **{member: given})
            given.append("two")
            assert getattr(value, member) == ("one",)

    @each_shape
    def test_maps_become_its_own_dicts(self, shape: type[Shape]) -> None:
        """What happens to the caller's dict later doesn't happen to the value."""
        for member in held_in(shape, "Mapping"):
            given = {"one": "1"}
            value = made(shape, **{member: given})
            given["two"] = "2"
            assert getattr(value, member) == {"one": "1"}

    @each_shape
    def test_equal_values_have_equal_hashes(self, shape: type[Shape]) -> None:
        """Values with equal members are one in a set, those with unhashable maps and extras too."""
        full: dict[str, Any] = {name: {"key": "value"} for name in held_in(shape, "Mapping")}
        full["extra"] = {"newMember": ["unhashable"]}
        assert {made(shape), made(shape)} == {made(shape)}
        assert {made(shape, **full), made(shape, **full)} == {made(shape, **full)}
        assert made(shape) != made(shape, **full)

    @each_shape
    def test_extra_shows_names_only(self, shape: type[Shape]) -> None:
        """Unknown members show by name in repr, never by value; a task and a host show themselves in one line."""
        shown = repr(made(shape, extra={"newMember": "hidden"}))
        assert ("newMember" in shown) == (shape not in (Task, values.ContainerInstance))
        assert "hidden" not in shown

    @each_shape
    def test_secrets_never_show(self, shape: type[Shape]) -> None:
        """A secret member is not in repr."""
        for field in attrs.fields(cast("Any", shape)):
            if is_secret(field):
                assert "hidden" not in repr(made(shape, **{field.name: "hidden"}))

    @pytest.mark.parametrize(
        "value",
        [
            nested_request(),
            ContainerDefinition(
                environment=[KeyValuePair(name="KEY", value="hidden-in-environment")],
                repository_credentials=RepositoryCredentials(credentials_parameter="hidden-arn"),
            ),
            Task(overrides=nested_request().overrides),
        ],
        ids=["request", "definition", "task"],
    )
    def test_secrets_never_show_from_within(self, value: Shape) -> None:
        """Nesting brings no secret and no unknown value to light."""
        assert "hidden" not in repr(value)
        assert "hidden" not in str(value)

    @pytest.mark.parametrize(
        "again",
        [copy.copy, copy.deepcopy, *(partial(_pickled, protocol=protocol) for protocol in range(2, 6))],
        ids=["copy", "deepcopy", "pickle2", "pickle3", "pickle4", "pickle5"],
    )
    def test_copies_are_equal(self, again: Any) -> None:
        """A request survives copy and pickle whole, secrets and unknown members included."""
        request = nested_request()
        twin = again(request)
        assert twin == request
        assert hash(twin) == hash(request)
        assert twin.extra == request.extra
        assert twin.overrides.container_overrides[0].environment[0].value == "hidden-in-environment"

    def test_evolve(self) -> None:
        """`attrs.evolve` makes another value, and leaves the first and the other members as they are."""
        request = nested_request()
        other = attrs.evolve(cast("Any", request), container_instances=["0a1b"], started_by="job-17")
        assert (other.container_instances, other.started_by) == (("0a1b",), "job-17")
        assert (request.container_instances, request.started_by) == (("4c543eed", "9f2a01bc"), None)
        assert other.overrides is request.overrides
        assert other.extra == request.extra

    def test_a_request_without_instances_is_a_template(self) -> None:
        """StartTaskRequest needs no instances: placement chooses them."""
        assert StartTaskRequest(task_definition="frame:42").container_instances == ()


class TestEnums:
    """The enums are open string enums."""

    def test_all_are_exported(self) -> None:
        """What the two modules hold is what the package exports."""
        defined = {**vars(enums), **vars(definition_enums)}
        assert {name: enum for name, enum in defined.items() if inspect.isclass(enum)} == {
            **ENUMS,
            "StrEnum": StrEnum,
        }

    @each_enum
    def test_members_are_strings(self, enum: type[StrEnum]) -> None:
        """A member equals its value, and its name is the value's in capitals."""
        for member in enum:
            spelled = member.value if member.value.isupper() else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", member.value)
            assert member == member.value
            assert member.name == spelled.replace("-", "_").upper()

    def test_values_are_open(self) -> None:
        """A plain string does as well as a member, one that is not known here among them."""
        assert Task(launch_type="EC2") == Task(launch_type=LaunchType.EC2)
        assert Task(launch_type="MOON").launch_type == "MOON"


MODULES = sorted({value.__module__ for value in (*SHAPES.values(), *ENUMS.values())})


class TestDocstrings:
    """Every value and every member says what it is."""

    @pytest.mark.parametrize("module", MODULES)
    def test_everything_is_documented(self, module: str) -> None:
        """A docstring stands in each module and class and under each member, and is a whole sentence."""
        tree = ast.parse(inspect.getsource(sys.modules[module]))
        said = {module: ast.get_docstring(tree)}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                said[node.name] = ast.get_docstring(node)
                said |= {f"{node.name}.{name}": text for name, text in _members_said(node.body)}
        assert [where for where, text in said.items() if not text or not text.strip().endswith(".")] == []
        leftover = re.compile(r"<\w|https?:|[Ff]or more information")
        assert [where for where, text in said.items() if leftover.search(text or "")] == []

    def test_exports_are_sorted(self) -> None:
        """The names that the package gives out stand in order, each once."""
        assert sorted(set(values.__all__)) == list(values.__all__)


def _members_said(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str | None]]:
    """Yield each member of a class body with the string that follows it."""
    for statement, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            continue
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        yield ast.unparse(target), text if isinstance(text, str) else None


def test_times_are_datetimes() -> None:
    """Annotations resolve at run time, as the codec needs it."""
    assert get_type_hints(Task)["created_at"] == datetime | None
