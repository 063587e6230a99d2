"""Addresses the tasks of a wait: tasks, ARNs and ids, resolved into cluster and id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from aioecs._model import arn
from aioecs._model.shapes.task import Task
from aioecs.errors import InvalidRequest

Key = tuple[str, str]
"""A task: the name of its cluster, and its id."""


@attrs.frozen
class Address:
    """One task to wait for."""

    key: Key
    name: str
    """Its ARN or id, as the caller passed it."""
    task: Task | None = None
    """The task itself, where the caller passed one."""

    @property
    def cluster(self) -> str:
        """The name of its cluster."""
        return self.key[0]


def addressed(
    tasks: Iterable[Task | str], cluster: str | None, *, region: str | None, partition: str | None
) -> list[Address]:
    """Resolve tasks, ARNs and ids, mixed, in their order; `cluster` is for those that don't name theirs.

    `region` and `partition` are the client's own; ARNs must name the same, unless they are None.

    Raises:
        InvalidRequest: one of them is neither, names no cluster when none was passed, or is of another Region.
    """
    passed: Any = tasks
    if isinstance(passed, (str, bytes, Task)) or not isinstance(passed, Iterable):
        raise InvalidRequest("tasks", "tasks or ARNs in a list", f"a {type(passed).__name__}")
    fallback = _cluster(cluster)
    found = [_address(each, f"tasks[{at}]", fallback) for at, each in enumerate(tasks)]
    for at, (address, named) in enumerate(found):
        for what, ours, theirs in (("Region", region, named.region), ("partition", partition, named.partition)):
            if ours and theirs and ours != theirs:
                raise InvalidRequest(f"tasks[{at}]", f"a task of the {what} {ours}", repr(address.name))
    return [address for address, _ in found]


def _cluster(given: Any) -> str:
    if given is None:
        return ""
    if not isinstance(given, str):
        raise InvalidRequest("cluster", "a cluster's name or ARN", f"a {type(given).__name__}")
    return arn.cluster_of(given, "cluster").name


def _address(given: Any, path: str, fallback: str) -> tuple[Address, arn.Named]:
    if isinstance(given, str):
        name, task_cluster, task = given, None, None
    elif isinstance(given, Task) and isinstance(given.task_arn, str):
        name, task_cluster, task, path = given.task_arn, given.cluster_arn, given, f"{path}.task_arn"
    elif isinstance(given, Task):
        raise InvalidRequest(f"{path}.task_arn", "is required")
    else:
        raise InvalidRequest(path, "a task, or a task's ARN or id", f"a {type(given).__name__}")
    named = arn.task(name, path)
    cluster = named.cluster or (
        arn.cluster_of(task_cluster, "cluster_arn").name if isinstance(task_cluster, str) else fallback
    )
    if not cluster:
        raise InvalidRequest(path, "an ARN that names the cluster, or an id beside `cluster`", repr(name))
    return Address((cluster, named.name), name, task), named
