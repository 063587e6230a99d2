"""ARNs in their long form, and reading the identifiers in requests.

An identifier is an id or a full ARN. Messages are those that callers report of the service: "Invalid identifier:
Identifier is for cluster a. Your cluster is b" (docker-archive/compose-cli#2086), "Invalid identifier: Unexpected
number of separators", "taskId length should be one of [32,36]". So an ARN of another cluster, account, Region or
partition is an InvalidParameterException, and only a well-formed unknown id can be MISSING.
"""

from __future__ import annotations

import re

import attrs

from aioecs.testing._errors import AwsError, client_error, invalid

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_DEFINITION = re.compile(r"(?P<family>[A-Za-z0-9_-]{1,255})(?::(?P<revision>[0-9]{1,10}))?", re.ASCII)
_MEMBER = {"task": "taskId", "container-instance": "instanceId"}
_ARN_PARTS = 6  # arn:partition:service:region:account:resource


@attrs.frozen
class Arns:
    """Builds and parses the ARNs of one partition, Region and account."""

    partition: str
    region: str
    account_id: str
    prefix: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "prefix", f"arn:{self.partition}:ecs:{self.region}:{self.account_id}")

    def cluster(self, name: str) -> str:
        """Return a cluster's ARN."""
        return f"{self.prefix}:cluster/{name}"

    def instance(self, cluster: str, instance_id: str) -> str:
        """Return a container instance's ARN."""
        return f"{self.prefix}:container-instance/{cluster}/{instance_id}"

    def task(self, cluster: str, task_id: str) -> str:
        """Return a task's ARN."""
        return f"{self.prefix}:task/{cluster}/{task_id}"

    def container(self, cluster: str, task_id: str, container_id: str) -> str:
        """Return the ARN of a container of a task."""
        return f"{self.prefix}:container/{cluster}/{task_id}/{container_id}"

    def definition(self, family: str, revision: int) -> str:
        """Return a task definition's ARN."""
        return f"{self.prefix}:task-definition/{family}:{revision}"

    def provider(self, name: str) -> str:
        """Return a capacity provider's ARN."""
        return f"{self.prefix}:capacity-provider/{name}"

    def cluster_name(self, identifier: str | None) -> str:
        """Read the name of a cluster from a name or ARN; None is `default`.

        Raises:
            AwsError: InvalidParameterException, if it is neither, or the ARN is of another account or Region.
        """
        if not identifier:
            return "default"
        name = identifier
        if identifier.startswith("arn:"):
            kind, separator, name = self._resource(identifier).partition("/")
            if kind != "cluster" or not separator:
                raise invalid(f"Unsupported resource type: {kind}")
        if not _CLUSTER_NAME.fullmatch(name):
            raise invalid("Cluster must match ^[a-zA-Z0-9\\-_]{1,255}$")
        return name

    def id_of(self, kind: str, identifier: str, cluster: str) -> str:
        """Read the id of a "task" or "container-instance" of the cluster from an id or ARN.

        Raises:
            AwsError: InvalidParameterException, if it is malformed or of another cluster, account or Region.
        """
        found = identifier
        if identifier.startswith("arn:"):
            found = self._id_in_arn(kind, identifier, cluster)
        if "/" in found or ":" in found:
            raise invalid("Invalid identifier: Unexpected number of separators")
        if len(found) not in (32, 36):
            raise invalid(f"{_MEMBER[kind]} length should be one of [32,36]")
        if not _ID.fullmatch(found):
            raise invalid(f"Invalid identifier: {_MEMBER[kind]} may hold only letters, digits and hyphens")
        return found

    def definition_name(self, identifier: str | None) -> tuple[str, int | None]:
        """Read family and revision (None: the latest) from `family`, `family:revision` or an ARN.

        Raises:
            AwsError: ClientException, if it is none of these.
        """
        if not identifier:
            raise client_error("TaskDefinition can not be blank.")
        name = identifier
        if identifier.startswith("arn:"):
            kind, _, name = self._resource(identifier).partition("/")
            if kind != "task-definition":
                raise client_error(f"Unsupported resource type: {kind}")
        match = _DEFINITION.fullmatch(name)
        if match is None:
            raise client_error("Invalid revision number or family name in the task definition.")
        revision = match["revision"]
        return match["family"], int(revision) if revision is not None else None

    def _id_in_arn(self, kind: str, arn: str, cluster: str) -> str:
        resource = self._resource(arn).split("/")
        if resource[0] != kind:
            raise invalid(f"Unsupported resource type: {resource[0]}")
        if len(resource) == 2:  # the old ARN format, which names no cluster
            return resource[1]
        if len(resource) != 3:
            raise invalid("Invalid identifier: Unexpected number of separators")
        if resource[1] != cluster:
            raise invalid(f"Invalid identifier: Identifier is for cluster {resource[1]}. Your cluster is {cluster}")
        return resource[2]

    def _resource(self, arn: str) -> str:
        parts = arn.split(":", _ARN_PARTS - 1)
        if len(parts) < _ARN_PARTS or parts[2] != "ecs":
            raise invalid("Invalid identifier: Unexpected number of separators")
        if self.prefix != ":".join(parts[:-1]):
            raise _mismatch(parts, self)
        return parts[-1]


def _mismatch(parts: list[str], ours: Arns) -> AwsError:
    what, mine, theirs = next(
        (what, mine, theirs)
        for what, mine, theirs in (
            ("partition", ours.partition, parts[1]),
            ("region", ours.region, parts[3]),
            ("account", ours.account_id, parts[4]),
        )
        if mine != theirs
    )
    return invalid(f"Invalid identifier: Identifier is for {what} {theirs}. Your {what} is {mine}")
