"""families: listing, deregistering and deleting task definitions."""

from __future__ import annotations

import pytest

from aioecs.testing import Engine


def engine() -> Engine:
    """Return an engine with two families: batch:1 to batch:3 and web:1."""
    made = Engine(clock=lambda: 1000.0)
    made.add_cluster()
    made.add_instances(1)
    for family in ("web", "batch", "batch", "batch"):
        made.add_task_definition(family)
    return made


def names(made: Engine, **request: object) -> list[str]:
    """List task definitions as family:revision."""
    arns: list[str] = made.call("ListTaskDefinitions", dict(request))["taskDefinitionArns"]
    return [arn.rpartition("/")[2] for arn in arns]


def test_revisions_are_listed() -> None:
    """By the whole name of their family, in either order, in pages."""
    made = engine()
    assert names(made) == ["batch:1", "batch:2", "batch:3", "web:1"]
    assert names(made, sort="DESC") == ["web:1", "batch:3", "batch:2", "batch:1"]
    assert (names(made, familyPrefix="batch", sort="ASC"), names(made, familyPrefix="bat")) == (
        ["batch:1", "batch:2", "batch:3"], [],
    )  # fmt: skip
    page = made.call("ListTaskDefinitions", {"maxResults": 3})
    last = made.call("ListTaskDefinitions", {"nextToken": page["nextToken"]})
    assert (len(page["taskDefinitionArns"]), len(last["taskDefinitionArns"]), "nextToken" in last) == (3, 1, False)


def test_families_are_listed_by_prefix_and_status() -> None:
    """A family is ACTIVE while one of its revisions is."""
    made = engine()

    def families(**request: object) -> list[str]:
        found: list[str] = made.call("ListTaskDefinitionFamilies", dict(request))["families"]
        return found

    made.call("DeregisterTaskDefinition", {"taskDefinition": "web:1"})
    made.call("DeregisterTaskDefinition", {"taskDefinition": "batch:3"})
    assert (families(), families(status="ALL"), families(familyPrefix="w")) == (
        ["batch", "web"], ["batch", "web"], ["web"],
    )  # fmt: skip
    assert (families(status="ACTIVE"), families(status="INACTIVE")) == (["batch"], ["web"])


def test_a_revision_is_deregistered() -> None:
    """It starts no more tasks and is described as INACTIVE; its running tasks go on."""
    made = engine()
    started = made.call("RunTask", {"taskDefinition": "batch:3"})["tasks"]
    gone = made.call("DeregisterTaskDefinition", {"taskDefinition": "batch:3"})["taskDefinition"]
    assert (gone["status"], gone["deregisteredAt"]) == ("INACTIVE", 1000.0)
    assert made.call("DeregisterTaskDefinition", {"taskDefinition": "batch:3"})["taskDefinition"] == gone
    assert made.answer("RunTask", {"taskDefinition": "batch:3"}).error == "ClientException"
    assert made.call("RunTask", {"taskDefinition": "batch"})["tasks"][0]["taskDefinitionArn"].endswith("batch:2")
    assert names(made, status="INACTIVE") == ["batch:3"]
    assert made.call("DescribeTasks", {"tasks": [started[0]["taskArn"]]})["tasks"][0]["lastStatus"] == "RUNNING"
    assert made.call("RegisterTaskDefinition", {**gone, "tags": []})["taskDefinition"]["revision"] == 4


@pytest.mark.parametrize("name", [None, "batch", "batch:9", "gone:1", "batch:x"])
def test_only_a_revision_is_deregistered(name: str | None) -> None:
    """A family alone is not enough."""
    assert engine().answer("DeregisterTaskDefinition", {"taskDefinition": name}).error == "ClientException"


def test_inactive_revisions_are_deleted() -> None:
    """The others are failures, each with its reason."""
    made = engine()
    made.call("DeregisterTaskDefinition", {"taskDefinition": "batch:1"})
    answer = made.call("DeleteTaskDefinitions", {"taskDefinitions": ["batch:1", "batch:2", "batch", "gone:1"]})
    assert [each["status"] for each in answer["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert ["still in ACTIVE" in each["reason"] for each in answer["failures"]] == [True, False, False]
    assert names(made, status="DELETE_IN_PROGRESS") == ["batch:1"]
    for given in ([], ["batch:1"] * 11):
        assert made.answer("DeleteTaskDefinitions", {"taskDefinitions": given}).error == "InvalidParameterException"
