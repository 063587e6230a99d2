"""Container instances: registering and deregistering them, and their attributes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, flag, integer, structure, structures, text, texts
from aioecs.testing._operations.reads import paged
from aioecs.testing._operations.wire_format import instance_on_wire
from aioecs.testing._state.account import Account
from aioecs.testing._state.records import Cluster, Instance

# What the agent of an ECS-optimized AMI reports, as far as task definitions require it. [docs, agent capabilities]
CAPABILITIES = (
    "com.amazonaws.ecs.capability.docker-remote-api.1.17",
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "com.amazonaws.ecs.capability.docker-remote-api.1.25",
    "com.amazonaws.ecs.capability.task-iam-role",
    "com.amazonaws.ecs.capability.logging-driver.awslogs",
    "ecs.capability.task-eni",
    "ecs.capability.execution-role-ecr-pull",
)
CPU, MEMORY = 4096, 16384  # of an instance that registers no resources
ATTRIBUTES = 10  # [model] PutAttributes "up to 10 custom attributes for each resource", and in a single call
_KIND = "container-instance"
_NAME = re.compile(r"[A-Za-z0-9_/\\.-]{1,128}", re.ASCII)  # [model] Attribute.name
_VALUE = re.compile(r"[A-Za-z0-9_.@/\\: -]{0,128}", re.ASCII)  # [model] Attribute.value


def make(
    account: Account,
    cluster: Cluster,
    *,
    cpu: int = CPU,
    memory: int = MEMORY,
    gpus: Iterable[str] = (),
    enis: int | None = None,
    attributes: Mapping[str, str | None] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Instance:
    """Return a new instance that is not in its cluster yet; instances alternate between three Availability Zones."""
    instance_id = account.new_id()
    zone = f"{account.arns.region}{'abc'[len(cluster.instances) % 3]}"
    return Instance(
        seq=account.next_seq(),
        id=instance_id,
        arn=account.arns.instance(cluster.name, instance_id),
        ec2_instance_id=f"i-{account.new_id()[:17]}",
        cpu=cpu,
        memory=memory,
        gpu_ids=tuple(gpus),
        enis=enis,
        attributes={**_reported(zone), **(attributes or {})},
        registered_at=account.clock(),
        tags=dict(tags or {}),
    )


def _reported(zone: str) -> dict[str, str | None]:
    """Return the attributes that the agent of an ECS-optimized AMI reports."""
    named: dict[str, str | None] = {
        "ecs.availability-zone": zone,
        "ecs.instance-type": "m5.xlarge",
        "ecs.cpu-architecture": "x86_64",
        "ecs.os-type": "linux",
        "ecs.ami-id": "ami-00000000000000000",
    }
    return {**named, **dict.fromkeys(CAPABILITIES)}


def register(account: Account, request: Json, _: float, __: int) -> Json:
    """Register an instance as its agent does, or again under its ARN."""
    cluster = account.cluster(request)
    tags = rules.check_tags(request)
    attributes = dict(_attribute(each) for each in structures(request, "attributes"))
    document = _document(text(request, "instanceIdentityDocument"))
    sizes = {text(each, "name"): each for each in structures(request, "totalResources")}
    arn = text(request, "containerInstanceArn")
    instance = _found(account, cluster, arn) if arn else make(account, cluster, tags=tags)
    instance.attributes |= attributes
    instance.ec2_instance_id = document.get("instanceId") or instance.ec2_instance_id
    instance.cpu = _whole(sizes.get("CPU"), instance.cpu)
    instance.memory = _whole(sizes.get("MEMORY"), instance.memory)
    instance.gpu_ids = tuple(texts(sizes.get("GPU", {}), "stringSetValue")) or instance.gpu_ids
    instance.agent_version = text(structure(request, "versionInfo") or {}, "agentVersion") or instance.agent_version
    instance.status, instance.agent_connected = "ACTIVE", True
    instance.version += bool(arn)
    cluster.instances[instance.id] = instance
    return {"containerInstance": instance_on_wire(instance, tags=True, health=False)}


def _whole(resource: Json | None, otherwise: int) -> int:
    value = integer(resource or {}, "integerValue")
    return otherwise if value is None else max(0, value)


def _document(given: str | None) -> dict[str, str]:
    """Parse the EC2 instance identity document, which is JSON in a string."""
    try:
        document: Any = json.loads(given or "{}")
    except (ValueError, RecursionError):
        raise invalid("Unable to process the instance identity document.") from None
    if not isinstance(document, dict) or not isinstance(cast("Json", document).get("instanceId", ""), str):
        raise invalid("Unable to process the instance identity document.")
    return cast("dict[str, str]", document)


def deregister(account: Account, request: Json, _: float, __: int) -> Json:
    """Deregister an instance; one with tasks only with `force`, and its tasks run on. [model]"""
    cluster = account.cluster(request)
    instance = _found(account, cluster, text(request, "containerInstance"))
    if instance.task_index.live and not flag(request, "force"):
        raise invalid("Found running tasks on the instance.")
    retire(instance)
    return {"containerInstance": instance_on_wire(instance, tags=False, health=False)}


def retire(instance: Instance) -> None:
    """Set an instance INACTIVE and its agent disconnected."""
    instance.status, instance.agent_connected = "INACTIVE", False
    instance.version += 1


def _found(account: Account, cluster: Cluster, identifier: str | None) -> Instance:
    instance = account.instance(cluster, identifier or "")
    if instance is None:
        raise invalid("The referenced container instance was not found.")
    return instance


def put_attributes(account: Account, request: Json, _: float, __: int) -> Json:
    """Create or replace custom attributes of instances."""
    pairs = _targets(account, request)
    for instance, (name, value) in pairs:
        if name not in instance.custom and len(instance.custom) >= ATTRIBUTES:
            raise AwsError(
                "AttributeLimitExceededException", f"A resource can have at most {ATTRIBUTES} custom attributes."
            )
        instance.attributes[name] = value
        instance.custom.add(name)
    return {"attributes": [_on_wire(instance, name, value) for instance, (name, value) in pairs]}


def delete_attributes(account: Account, request: Json, _: float, __: int) -> Json:
    """Delete custom attributes of instances; those that the agent reports are kept."""
    pairs = _targets(account, request)
    for instance, (name, _value) in pairs:
        if name in instance.custom:
            instance.custom.remove(name)
            instance.attributes.pop(name, None)
    return {"attributes": [_on_wire(instance, name, value) for instance, (name, value) in pairs]}


def list_attributes(account: Account, request: Json, _: float, __: int) -> Json:
    """List the attributes of a cluster's instances, by name and value."""
    if text(request, "targetType") != _KIND:
        raise invalid(f"targetType must be {_KIND}.")
    cluster = account.cluster(request)
    wanted, of = text(request, "attributeName"), text(request, "attributeValue")
    found = [
        _on_wire(instance, name, value)
        for instance in cluster.instances.values()
        for name, value in instance.attributes.items()
        if instance.status != "INACTIVE" and (not wanted or name == wanted) and (of is None or value == of)
    ]
    return paged(request, "attributes", found)


def _targets(account: Account, request: Json) -> list[tuple[Instance, tuple[str, str | None]]]:
    """Return the attributes of a request, each with its instance; raises before anything is changed."""
    cluster = account.cluster(request)
    given = structures(request, "attributes")
    if not given:
        raise invalid("Attributes can not be empty.")
    if len(given) > ATTRIBUTES:
        raise invalid(f"attributes can have at most {ATTRIBUTES} items.")
    return [(_target(account, cluster, each), _attribute(each)) for each in given]


def _target(account: Account, cluster: Cluster, attribute: Json) -> Instance:
    identifier = text(attribute, "targetId") or ""
    if not identifier.startswith("arn:") and text(attribute, "targetType") != _KIND:
        raise invalid("targetType is required where targetId is not a full ARN.")
    instance = account.instance(cluster, identifier)
    if instance is None or instance.status == "INACTIVE":
        raise AwsError("TargetNotFoundException", "The specified target wasn't found.")
    return instance


def _attribute(given: Json) -> tuple[str, str | None]:
    name, value = text(given, "name") or "", text(given, "value")
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid attribute name {name[:128]!r}.")
    if value is not None and not _VALUE.fullmatch(value):
        raise invalid(f"Invalid value of attribute {name!r}.")
    return name, value


def _on_wire(instance: Instance, name: str, value: str | None) -> Json:
    wire: Json = {"name": name, "targetType": _KIND, "targetId": instance.arn}
    return wire if value is None else {**wire, "value": value}
