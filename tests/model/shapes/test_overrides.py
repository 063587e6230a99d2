"""overrides: environment variables as a mapping, and the overrides of one container."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from aioecs._model.codec.plain import from_plain, to_plain
from aioecs._model.limits import check
from aioecs._model.shapes.attachment import Attachment
from aioecs._model.shapes.definition.container_definition import ContainerDefinition
from aioecs._model.shapes.definition.task_definition import ProxyConfiguration
from aioecs._model.shapes.overrides import (
    ContainerOverride,
    EnvironmentFile,
    KeyValuePair,
    ResourceRequirement,
    TaskOverride,
)
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs.errors import InvalidRequest

PAIRS = (KeyValuePair(name="SCENE", value="7"), KeyValuePair(name="EMPTY", value=""))
MAPPING = {"SCENE": "7", "EMPTY": ""}


@pytest.mark.parametrize(
    ("shape", "member"),
    [
        (ContainerOverride, "environment"),
        (ContainerDefinition, "environment"),
        (ProxyConfiguration, "properties"),
        (Attachment, "details"),
    ],
)
def test_a_mapping_is_taken_for_pairs(shape: Any, member: str) -> None:
    """Wherever pairs stand: in the constructor and in replace, in its order, equal to the pairs themselves."""
    made = shape(**{member: MAPPING})
    assert getattr(made, member) == PAIRS
    assert made == shape(**{member: PAIRS}) == shape(**{member: list(PAIRS)}) == shape().replace(**{member: MAPPING})
    assert from_plain(shape, to_plain(made)) == made
    assert getattr(shape(**{member: {}}), member) == ()
    assert "7" not in repr(made)


@pytest.mark.parametrize(
    ("environment", "path", "rule"),
    [
        ({"A": 1}, "[0].value", "a string"),
        ({1: "hunter2"}, "[0].name", "a string"),
        ({"": "hunter2"}, "[0].name", "is required and can't be empty"),
        ("A=hunter2", "", "a list of KeyValuePair"),
        (["A=hunter2"], "[0]", "a KeyValuePair"),
    ],
)
def test_what_is_no_environment(environment: Any, path: str, rule: str) -> None:
    """It is named by its place, and its value isn't shown."""
    overrides = TaskOverride.for_container("c", environment=environment)
    request = StartTaskRequest(task_definition="f", container_instances=["a"], overrides=overrides)
    with pytest.raises(InvalidRequest) as caught:
        check(request)
    assert caught.value.path == f"overrides.container_overrides[0].environment{path}"
    assert caught.value.rule == rule
    assert "hunter2" not in str(caught.value) + repr(request)


def test_the_overrides_of_one_container() -> None:
    """It takes all that a container's overrides have, and keeps the name first."""
    members: dict[str, Any] = {
        "command": ["render", "7"],
        "environment": MAPPING,
        "environment_files": [EnvironmentFile(value="arn", type="s3")],
        "cpu": 256,
        "memory": 512,
        "memory_reservation": 128,
        "resource_requirements": [ResourceRequirement(value="1", type="GPU")],
    }
    long = TaskOverride(container_overrides=[ContainerOverride(name="main", **members)])
    assert TaskOverride.for_container("main", **members) == long
    assert TaskOverride.for_container("main").replace(cpu="256").container_overrides == (
        ContainerOverride(name="main"),
    )


class OwnOverride(TaskOverride):
    """A caller's own."""


@pytest.mark.parametrize("cls", [TaskOverride, OwnOverride])
def test_it_makes_whole_values(cls: type[TaskOverride]) -> None:
    """Made without the constructors, they are what these make: of their class, frozen, with each member set."""
    made: Any = cls.for_container("main", environment={"SCENE": "7"})
    same: Any = cls(
        container_overrides=[ContainerOverride(name="main", environment=[KeyValuePair(name="SCENE", value="7")])]
    )
    assert made == same
    for one, other in (
        (made, same),
        (made.container_overrides[0], same.container_overrides[0]),
        (made.container_overrides[0].environment[0], same.container_overrides[0].environment[0]),
    ):
        assert type(one) is type(other)
        assert attrs.asdict(one, recurse=False) == attrs.asdict(other, recurse=False)
        assert repr(one) == repr(other)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            one.extra = {}
