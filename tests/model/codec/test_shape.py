"""shape: how a value declares its members, and what it makes its own."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import attrs
import pytest

from aioecs._model.codec.shape import Shape, is_own, is_required, is_secret, member, required, shape, wire_name
from aioecs._model.limits import check
from aioecs._model.shapes.overrides import ContainerOverride, KeyValuePair, TaskOverride
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs.errors import InvalidRequest


@shape
class Sample(Shape):
    """A value with a member of every kind."""

    plain_name: str = required()
    size_in_gib: int = required(wire="sizeInGiB")
    secret_value: str | None = member(secret=True, default=None)
    request_id: str | None = member(own=True, default=None)
    arn_list: Sequence[str] = member(factory=tuple, wire="ARNs")
    labels: Mapping[str, str] = member(factory=dict)


KIND: Any = Sample
FIELDS: dict[str, Any] = attrs.fields_dict(KIND)


@pytest.mark.parametrize(
    ("name", "wire", "marks"),
    [
        ("plain_name", "plainName", (True, False, False)),
        ("size_in_gib", "sizeInGiB", (True, False, False)),
        ("secret_value", "secretValue", (False, True, False)),
        ("request_id", "requestId", (False, False, True)),
        ("arn_list", "ARNs", (False, False, False)),
        ("extra", "extra", (False, False, False)),
    ],
)
def test_a_member_has_its_name_on_the_wire_and_its_marks(name: str, wire: str, marks: tuple[bool, bool, bool]) -> None:
    """ECS's spelling is made of ours unless another is given; required, secret and own are marks."""
    field = FIELDS[name]
    assert wire_name(field) == wire
    assert (is_required(field), is_secret(field), is_own(field)) == marks


def test_defaults_are_each_value_s_own() -> None:
    """A factory makes a new default for each value."""
    one, other = Sample(plain_name="a", size_in_gib=1), Sample(plain_name="a", size_in_gib=1)
    assert (one.arn_list, one.labels, one.secret_value) == ((), {}, None)
    assert one.labels is not other.labels


@pytest.mark.parametrize(
    ("given", "missing"),
    [({}, "plain_name"), ({"size_in_gib": 1}, "plain_name"), ({"plain_name": "a"}, "size_in_gib")],
)
def test_the_first_missing_member_is_named(given: dict[str, Any], missing: str) -> None:
    """A value without a required member is refused when it is made."""
    with pytest.raises(InvalidRequest) as caught:
        KIND(**given)
    assert str(caught.value) == f"Sample.{missing}: is required"


def letters() -> Iterator[str]:
    yield from "ab"


@pytest.mark.parametrize(
    ("given", "held"),
    [
        (["a", "b"], ("a", "b")),
        (("a", "b"), ("a", "b")),
        (letters(), ("a", "b")),
        ({"a"}, ("a",)),
        (frozenset("a"), ("a",)),
        ("ab", "ab"),
        (17, 17),
        ({"a": 1}, {"a": 1}),
    ],
    ids=["list", "tuple", "iterator", "set", "frozenset", "string", "number", "dict"],
)
def test_a_list_becomes_a_tuple_and_the_check_sees_anything_else(given: Any, held: Any) -> None:
    """What is a list in some form is kept as a tuple; a string is not taken apart."""
    assert Sample(plain_name="a", size_in_gib=1, arn_list=given).arn_list == held


def test_a_lone_instance_is_kept_once() -> None:
    """Requests that name the same instance and no other share its tuple; whatever else is given is kept as ever."""

    def held(given: Any) -> Any:
        return StartTaskRequest(task_definition="a", container_instances=given).container_instances

    assert held(["0a1b"]) == ("0a1b",)
    assert held(["0a1b"]) is held(["0a1b"])
    for given, kept in ((["a", "b"], ("a", "b")), ([], ()), ([17], (17,)), ([["a"]], (["a"],)), ("ab", "ab")):
        assert held(given) == kept
    assert held([True]) is not held([1])


@pytest.mark.parametrize(
    ("given", "copied"),
    [({"a": "b"}, True), (MappingProxyType({"a": "b"}), True), ([("a", "b")], False), ("a", False), (None, False)],
)
def test_a_map_becomes_a_dict_and_the_check_sees_anything_else(given: Any, copied: bool) -> None:
    """A map is copied; what is none is kept as it stands."""
    held = Sample(plain_name="a", size_in_gib=1, labels=given).labels
    assert held == given
    assert (type(held) is dict and held is not given) is copied


def test_replace_changes_the_named_members_and_shares_the_others() -> None:
    """`replace` gives another value of the same kind, and leaves the first one alone."""
    request = StartTaskRequest(task_definition="frame:42", container_instances=["0a1b"], extra={"newMember": 1})
    other = request.replace(container_instances=["9f2a", "4c54"], started_by="job-17")
    assert type(other) is StartTaskRequest
    assert (other.container_instances, other.started_by) == (("9f2a", "4c54"), "job-17")
    assert (request.container_instances, request.started_by) == (("0a1b",), None)
    assert (other.task_definition, other.extra) == ("frame:42", {"newMember": 1})


def test_replace_refuses_a_member_that_there_is_not() -> None:
    """A misspelt member is an error, not a new one."""
    with pytest.raises(TypeError, match="starte_by"):
        StartTaskRequest(task_definition="frame:42").replace(starte_by="job-17")


ONE, TRUE, POINT = {"n": [{"m": 1}]}, {"n": [{"m": True}]}, {"n": [{"m": 1.0}]}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (ONE, TRUE, False),
        (ONE, POINT, False),
        (TRUE, POINT, False),
        ({"n": 0.0}, {"n": -0.0}, False),
        ({1: "a"}, {True: "a"}, False),
        (ONE, {"n": [{"m": 1}]}, True),
        ({"a": 1, "b": None}, {"b": None, "a": 1}, True),
        ({"n": (1, 2)}, {"n": [1, 2]}, True),
        ({"n": "1"}, {"n": 1}, False),
    ],
)
def test_extra_is_equal_if_it_is_spelled_alike(one: dict[str, Any], other: dict[str, Any], equal: bool) -> None:
    """What Python takes for equal and JSON spells otherwise is another value: a call can't be shared by the two."""
    assert (StartTaskRequest(task_definition="a", extra=one) == StartTaskRequest(task_definition="a", extra=other)) is (
        equal
    )


def test_all_that_have_no_extra_share_one() -> None:
    """Nothing is in it, nothing can be put into it, and a copy of it is itself."""
    one, other = KeyValuePair(name="a"), KeyValuePair(name="a", extra={})
    extra = one.extra
    assert extra is other.extra
    assert extra is pickle.loads(pickle.dumps(one)).extra  # noqa: S301 our own
    assert extra is copy.deepcopy(one).extra
    assert (extra, list(extra), len(extra), repr(extra)) == ({}, [], 0, "{}")
    with pytest.raises(TypeError):
        operator.setitem(cast("dict[str, Any]", extra), "newer", 1)
    with pytest.raises(KeyError, match="newer"):
        extra["newer"]
    assert one == other


def test_extra_is_its_own_and_shows_its_names_in_order() -> None:
    """What happens to the caller's dict later doesn't happen to the value; only names are shown."""
    given = {"zeta": "hidden", "alpha": "hidden"}
    value = KeyValuePair(name="KEY", extra=given)
    given["later"] = "hidden"
    assert repr(value) == "KeyValuePair(extra={alpha, zeta}, name='KEY')"


# What type checkers refuse and Python takes.
ANY_OVERRIDE: Any = ContainerOverride
ANY_OVERRIDES: Any = TaskOverride
ANY_REQUEST: Any = StartTaskRequest


@pytest.mark.parametrize(
    "odd",
    [
        ANY_OVERRIDE(name="main", environment="KEY=hunter2"),
        ANY_OVERRIDE(name="main", environment=["KEY=hunter2"]),
        ANY_OVERRIDE(name="main", environment=[("KEY", "hunter2")]),
        ANY_OVERRIDE(name="main", environment=[{"name": "KEY", "value": "hunter2"}]),
        ANY_OVERRIDE(name="main", environment=b"KEY=hunter2"),
        ANY_OVERRIDES(container_overrides=["hunter2"]),
        ANY_OVERRIDES(container_overrides={"environment": "hunter2"}),
        ANY_REQUEST(task_definition="f", overrides="hunter2"),
        ANY_REQUEST(task_definition="f", overrides={"environment": ["hunter2"]}),
        ANY_REQUEST(task_definition="f", tags={"hunter2": "hunter2"}),
        ANY_REQUEST(task_definition="f", extra={"newMember": "hunter2"}),
        ANY_REQUEST(task_definition="f", extra="hunter2"),
    ],
)
def test_what_is_of_the_wrong_kind_is_not_shown(odd: Shape) -> None:
    """What stands where a secret may stand is named by its type alone; the error that refuses it doesn't show it."""
    assert "hunter2" not in repr(odd)
    assert "hunter2" not in repr([odd])
    request = odd if isinstance(odd, StartTaskRequest) else StartTaskRequest(task_definition="f")
    if isinstance(odd, ContainerOverride):
        request = request.replace(overrides=TaskOverride(container_overrides=[odd]))
    if isinstance(odd, TaskOverride):
        request = request.replace(overrides=odd)
    assert "hunter2" not in repr(request)
    if "newMember" not in request.extra:
        with pytest.raises(InvalidRequest) as caught:
            check(request.replace(container_instances=["a"]))
        assert "hunter2" not in str(caught.value)


def test_what_is_of_the_right_kind_is_shown() -> None:
    """Shapes and lists of them are shown as before."""
    override = TaskOverride(container_overrides=[ContainerOverride(name="main", environment=[KeyValuePair(name="A")])])
    assert "container_overrides=(ContainerOverride(" in repr(override)
    assert "environment=(KeyValuePair(" in repr(override)
    assert repr(ContainerOverride(name="main", environment=[])) == "ContainerOverride(name='main')"
