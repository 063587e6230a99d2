"""Checks that clusters and container instances belong together, and to the Region that the client sends to."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from aioecs._model import arn
from aioecs._model.checks.table import INSTANCES
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs.errors import InvalidRequest


def fits(request: StartTaskRequest, region: str | None, partition: str | None) -> bool:
    """Return whether it names at least one instance, and only instances of its cluster, in the client's Region."""
    cluster, instances = request.cluster, request.container_instances
    if type(instances) is not tuple:
        return False
    for each in instances:
        if type(each) is not str or not _belongs(cluster, each, region, partition):
            return False
    return bool(instances)


def _check_cluster(given: str | None, region: str | None, partition: str | None) -> arn.Named:
    """Read the cluster, `default` where none is given, and check its ARN against where the client sends."""
    if given is None:
        return arn.Named(cluster="default", name="default")
    cluster = arn.cluster_of(given, "cluster")
    _check_place("cluster", "a cluster", given, ("partition", partition, cluster.partition))
    _check_place("cluster", "a cluster", given, ("Region", region, cluster.region))
    return cluster


def check_instances(request: StartTaskRequest, region: str | None, partition: str | None) -> None:
    """Check that the instances belong to the cluster, and both to where the client sends; an id alone is not checked.

    Raises:
        InvalidRequest: one does not.
    """
    cluster = _check_cluster(request.cluster, region, partition)
    if cast("object", request.container_instances) is None:
        raise InvalidRequest("container_instances", INSTANCES.rule)
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


@lru_cache(maxsize=4096)  # many requests name the same few instances
def _belongs(cluster: str | None, instance: str, region: str | None, partition: str | None) -> bool:
    """Return whether an instance belongs to the cluster, and both to where the client sends."""
    try:
        _check_instance(instance, "", _check_cluster(cluster, region, partition), region, partition)
    except InvalidRequest:
        return False
    return True


def _check_place(where: str, what: str, given: str, fact: tuple[str, str | None, str]) -> None:
    """Check one fact: its name, what it is where the client sends, and what the ARN says; an unknown one fits."""
    name, ours, theirs = fact
    if ours and theirs and ours != theirs:
        raise InvalidRequest(where, f"{what} of the {name} {ours}", repr(given))
