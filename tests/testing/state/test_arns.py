"""arns: making and reading identifiers."""

from __future__ import annotations

import pytest

from aioecs.testing._errors import AwsError
from aioecs.testing._state.arns import Arns

ARNS = Arns("aws", "us-east-1", "123456789012")
ID = "0123456789abcdef0123456789abcdef"


def test_arns_are_of_the_long_format() -> None:
    """Tasks, containers and instances name their cluster."""
    prefix = "arn:aws:ecs:us-east-1:123456789012"
    assert ARNS.cluster("c") == f"{prefix}:cluster/c"
    assert ARNS.instance("c", ID) == f"{prefix}:container-instance/c/{ID}"
    assert ARNS.task("c", ID) == f"{prefix}:task/c/{ID}"
    assert ARNS.container("c", ID, "x") == f"{prefix}:container/c/{ID}/x"
    assert ARNS.definition("f", 3) == f"{prefix}:task-definition/f:3"
    assert Arns("aws-cn", "cn-north-1", "1").cluster("c") == "arn:aws-cn:ecs:cn-north-1:1:cluster/c"


@pytest.mark.parametrize(
    ("identifier", "name"),
    [(None, "default"), ("", "default"), ("my_c-1", "my_c-1"), (ARNS.cluster("mine"), "mine")],
)
def test_a_cluster_is_named_by_name_or_arn(identifier: str | None, name: str) -> None:
    """Absent and empty are the default cluster."""
    assert ARNS.cluster_name(identifier) == name


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("a b", "Cluster must match"),
        ("a/b", "Cluster must match"),
        (ARNS.task("c", ID), "Unsupported resource type: task"),
        ("arn:aws:ecs:us-east-1:123456789012:cluster", "Unsupported resource type: cluster"),
        ("arn:aws:ecs:us-east-1", "Unexpected number of separators"),
        ("arn:aws:s3:us-east-1:123456789012:cluster/c", "Unexpected number of separators"),
        ("arn:aws-cn:ecs:us-east-1:123456789012:cluster/c", "is for partition aws-cn. Your partition is aws"),
        ("arn:aws:ecs:eu-west-1:123456789012:cluster/c", "is for region eu-west-1. Your region is us-east-1"),
        ("arn:aws:ecs:us-east-1:999999999999:cluster/c", "is for account 999999999999."),
    ],
)
def test_a_cluster_that_can_not_be_read_is_invalid(identifier: str, message: str) -> None:
    """It is an InvalidParameterException that says why."""
    with pytest.raises(AwsError, match=message) as raised:
        ARNS.cluster_name(identifier)
    assert raised.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    "identifier",
    [ID, ARNS.task("c", ID), f"arn:aws:ecs:us-east-1:123456789012:task/{ID}"],
)
def test_an_id_is_read_from_an_id_or_either_arn_format(identifier: str) -> None:
    """The old format names no cluster."""
    assert ARNS.id_of("task", identifier, "c") == ID


@pytest.mark.parametrize(
    ("kind", "identifier", "message"),
    [
        ("task", "short", r"taskId length should be one of \[32,36\]"),
        ("container-instance", "x" * 33, r"instanceId length should be one of \[32,36\]"),
        ("container-instance", "a b".ljust(32, "c"), "letters, digits and hyphens"),
        ("task", f"c/{ID}", "Unexpected number of separators"),
        ("task", f"a:{ID}", "Unexpected number of separators"),
        ("task", ARNS.instance("c", ID), "Unsupported resource type: container-instance"),
        ("task", ARNS.task("other", ID), "is for cluster other. Your cluster is c"),
        ("task", ARNS.task("c/d", ID), "Unexpected number of separators"),
    ],
)
def test_an_id_that_can_not_be_read_is_invalid(kind: str, identifier: str, message: str) -> None:
    """Nothing but a well-formed id of this cluster gets through, so only that can be MISSING."""
    with pytest.raises(AwsError, match=message) as raised:
        ARNS.id_of(kind, identifier, "c")
    assert raised.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("identifier", "read"),
    [("f", ("f", None)), ("f:12", ("f", 12)), (ARNS.definition("f", 2), ("f", 2))],
)
def test_a_definition_is_named_by_family_revision_or_arn(identifier: str, read: tuple[str, int | None]) -> None:
    """Without a revision it is left open."""
    assert ARNS.definition_name(identifier) == read


@pytest.mark.parametrize("identifier", [None, "", "f:", "f:x", "a b", ARNS.cluster("c")])
def test_a_definition_that_can_not_be_read_is_a_client_exception(identifier: str | None) -> None:
    """As ECS answers for unknown definitions."""
    with pytest.raises(AwsError) as raised:
        ARNS.definition_name(identifier)
    assert raised.value.code == "ClientException"
