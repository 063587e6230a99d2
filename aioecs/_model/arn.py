"""Names of clusters, container instances and tasks: ids, names, and ARNs of both formats."""

from __future__ import annotations

import re
from functools import lru_cache

import attrs

from aioecs.errors import InvalidRequest

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)  # [model] CreateClusterRequest.clusterName
_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ARN = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):ecs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<rest>\S+)", re.ASCII
)


@attrs.frozen
class Named:
    """The parts of a name or an ARN; a part that it doesn't have is empty."""

    partition: str = ""
    region: str = ""
    account: str = ""
    cluster: str = ""
    name: str = ""


def short(name: str) -> str:
    """Return the last part of a name or an ARN: the id that requests and responses are matched by."""
    return name.rpartition("/")[2]


def cluster_of(text: str, path: str) -> Named:
    """Read a cluster's name or ARN; InvalidRequest names `path` if it is neither."""
    named = _cluster(text)
    if named is None:
        raise InvalidRequest(path, "a cluster's name or ARN", repr(text))
    return named


def instance(text: str, path: str) -> Named | None:
    """Read a container instance's id (None: it has no other part) or ARN; InvalidRequest names `path` otherwise.

    An ARN of the old format (before 2018) has no cluster in it.
    """
    if _ID.fullmatch(text):
        return None
    named = _of_kind("container-instance", text)
    if named is None:
        raise InvalidRequest(path, "a container instance's id or ARN, without spaces", repr(text))
    return named


def task(text: str, path: str) -> Named:
    """Read a task's id or ARN; InvalidRequest names `path` if it is neither.

    An id, and an ARN of the old format (before 2018), name no cluster.
    """
    named = Named(name=text) if _ID.fullmatch(text) else _of_kind("task", text)
    if named is None:
        raise InvalidRequest(path, "a task's id or ARN, without spaces", repr(text))
    return named


# A fan-out names the same few clusters and instances thousands of times, so each is read once.


@lru_cache(maxsize=256)
def _cluster(text: str) -> Named | None:
    found = _ARN.fullmatch(text)
    if found and (name := found["rest"].removeprefix("cluster/")) != found["rest"] and _CLUSTER_NAME.fullmatch(name):
        return Named(found["partition"], found["region"], found["account"], name, name)
    return Named(cluster=text, name=text) if _CLUSTER_NAME.fullmatch(text) else None


@lru_cache(maxsize=4096)
def _of_kind(kind: str, text: str) -> Named | None:
    """Read the ARN of a resource in a cluster; None if it is no such ARN."""
    found = _ARN.fullmatch(text)
    named_kind, _, path = (found["rest"] if found else "").partition("/")
    cluster, _, name = path.rpartition("/")
    well_named = _ID.fullmatch(name) and (not cluster or _CLUSTER_NAME.fullmatch(cluster))
    if found and named_kind == kind and well_named:
        return Named(found["partition"], found["region"], found["account"], cluster, name)
    return None
