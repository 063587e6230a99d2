"""task_address: which tasks a wait is about."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs._logic.tasks.task_address import Address, addressed
from aioecs._model.shapes.task import Task
from aioecs.errors import InvalidRequest

ID = "4c543eed" * 4
ARN = f"arn:aws:ecs:eu-west-1:123456789012:task/render/{ID}"
OLD = f"arn:aws:ecs:eu-west-1:123456789012:task/{ID}"
CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/render"


def read(tasks: Any, cluster: Any = None, region: str | None = "eu-west-1") -> list[Address]:
    return addressed(tasks, cluster, region=region, partition="aws")


@pytest.mark.parametrize(
    ("given", "cluster", "key"),
    [
        (ARN, None, ("render", ID)),
        (ARN, "other", ("render", ID)),
        (OLD, "render", ("render", ID)),
        (OLD, CLUSTER, ("render", ID)),
        (ID, "render", ("render", ID)),
        (Task(task_arn=ARN), None, ("render", ID)),
        (Task(task_arn=OLD, cluster_arn=CLUSTER), None, ("render", ID)),
        (Task(task_arn=OLD, cluster_arn=CLUSTER), "other", ("render", ID)),
        (Task(task_arn=OLD), "render", ("render", ID)),
    ],
)
def test_a_task_s_address(given: Any, cluster: str | None, key: tuple[str, str]) -> None:
    """The cluster is the one that the ARN or the task names, else the one beside it; a Task is kept."""
    (address,) = read([given], cluster)
    if isinstance(given, Task):
        assert address == Address(key, given.task_arn or "", given)
    else:
        assert address == Address(key, given)


def test_many_keep_their_order() -> None:
    """Mixed, of several clusters, repeats included; any iterable will do."""
    other = ARN.replace("render", "bake")
    addresses = read(iter([other, Task(task_arn=ARN), ID, other]), "render")
    assert [address.key for address in addresses] == [("bake", ID), ("render", ID), ("render", ID), ("bake", ID)]
    assert read([]) == []


@pytest.mark.parametrize(
    ("tasks", "cluster", "path", "rule"),
    [
        (ARN, None, "tasks", "tasks or ARNs in a list"),
        (Task(task_arn=ARN), None, "tasks", "tasks or ARNs in a list"),
        (b"a", None, "tasks", "tasks or ARNs in a list"),
        (None, None, "tasks", "tasks or ARNs in a list"),
        ([ARN, 5], None, "tasks[1]", "a task, or a task's ARN or id"),
        ([ARN, Task()], None, "tasks[1].task_arn", "is required"),
        ([ID], None, "tasks[0]", "an ARN that names the cluster, or an id beside `cluster`"),
        ([ARN, OLD], None, "tasks[1]", "an ARN that names the cluster, or an id beside `cluster`"),
        (["no id"], "render", "tasks[0]", "a task's id or ARN, without spaces"),
        ([""], "render", "tasks[0]", "a task's id or ARN, without spaces"),
        ([CLUSTER], None, "tasks[0]", "a task's id or ARN, without spaces"),
        ([Task(task_arn="no id")], None, "tasks[0].task_arn", "a task's id or ARN, without spaces"),
        ([ARN], "no name", "cluster", "a cluster's name or ARN"),
        ([ARN], 5, "cluster", "a cluster's name or ARN"),
        ([ARN, ARN.replace("eu-west-1", "us-east-1")], None, "tasks[1]", "a task of the Region eu-west-1"),
        ([ARN.replace("arn:aws:", "arn:aws-cn:")], None, "tasks[0]", "a task of the partition aws"),
    ],
)
def test_what_is_no_address(tasks: Any, cluster: Any, path: str, rule: str) -> None:
    """The error names the one that it is about."""
    with pytest.raises(InvalidRequest) as caught:
        read(tasks, cluster)
    assert (caught.value.path, caught.value.rule) == (path, rule)


def test_an_endpoint_of_one_s_own_has_any_region() -> None:
    """Where the Region isn't known to be the endpoint's, no ARN is compared with it."""
    assert read([ARN], region=None)[0].key == ("render", ID)
