"""The wire format of records, as in the responses of Describe*, StartTask, RunTask and StopTask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aioecs.testing._operations.members import Json
from aioecs.testing._placement import fargate
from aioecs.testing._placement.capacity import RESERVED_TCP
from aioecs.testing._placement.strategy import strategy_on_wire
from aioecs.testing._state.arns import Arns
from aioecs.testing._state.records import PENDING, PROVISIONING, STOPPED, Cluster, ContainerPlan, Instance, Task


def tags_on_wire(tags: dict[str, str]) -> list[Json]:
    """Return tags in their form on the wire."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def attributes_on_wire(attributes: dict[str, str | None]) -> list[Json]:
    """Return attributes in their form on the wire; one without a value has no `value`."""
    return [{"name": name} if value is None else {"name": name, "value": value} for name, value in attributes.items()]


def task_on_wire(task: Task, arns: Arns, *, tags: bool) -> Json:
    """Return a task; members for what has not happened yet are absent, not null."""
    wire: Json = {
        "attachments": _attachments(task),
        "attributes": [],
        "clusterArn": task.cluster.arn,
        "containers": [
            _container(task, plan, container_id, arns)
            for plan, container_id in zip(task.definition.containers, task.container_ids, strict=True)
        ],
        "cpu": str(task.need.cpu),
        "createdAt": round(task.created_at, 3),
        "desiredStatus": task.desired_status,
        "enableExecuteCommand": task.enable_execute_command,
        "group": task.group,
        "healthStatus": task.health,
        "lastStatus": task.last_status,
        "launchType": task.launch_type,
        "memory": str(task.need.memory),
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **task.overrides},
        "tags": tags_on_wire(task.tags) if tags else [],
        "taskArn": task.arn,
        "taskDefinitionArn": task.definition.arn,
        "version": task.version,
    }
    wire.update(_on_fargate(task) if task.platform_version is not None else _on_instance(task))
    if task.capacity_provider is not None:
        wire["capacityProviderName"] = task.capacity_provider
    if task.started_by is not None:
        wire["startedBy"] = task.started_by
    for name, moment in _moments(task).items():
        if moment is not None:
            wire[name] = round(moment, 3)
    if task.stop_code is not None:
        wire["stopCode"], wire["stoppedReason"] = task.stop_code, task.stopped_reason
    return wire


def _on_instance(task: Task) -> Json:
    """Return the members that a task has from its container instance; none while it waits for one."""
    if task.instance is None:
        return {}
    wire: Json = {
        "connectivity": "CONNECTED" if task.instance.agent_connected else "DISCONNECTED",
        "connectivityAt": round(task.created_at, 3),
        "containerInstanceArn": task.instance.arn,
    }
    attributes = task.instance.attributes
    if (architecture := attributes.get("ecs.cpu-architecture")) is not None:
        wire["attributes"] = [{"name": "ecs.cpu-architecture", "value": architecture}]
    if (zone := attributes.get("ecs.availability-zone")) is not None:
        wire["availabilityZone"] = zone
    return wire


def _on_fargate(task: Task) -> Json:
    wire: Json = {
        "attributes": [{"name": "ecs.cpu-architecture", "value": fargate.architecture(task.definition)}],
        "availabilityZone": task.zone,
        "platformVersion": task.platform_version,
        "platformFamily": fargate.family(task.definition),
        "ephemeralStorage": {"sizeInGiB": fargate.storage(task.definition, task.overrides)},
    }
    if task.last_status != PROVISIONING:
        wire |= {"connectivity": "CONNECTED", "connectivityAt": round(task.created_at, 3)}
    return wire


def _moments(task: Task) -> dict[str, float | None]:
    return {
        "pullStartedAt": task.started_at,
        "pullStoppedAt": task.started_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "executionStoppedAt": task.stopped_at if task.started_at is not None else None,
        "stoppedAt": task.stopped_at,
    }


def _container(task: Task, plan: ContainerPlan, container_id: str, arns: Arns) -> Json:
    wire: Json = {
        "containerArn": arns.container(task.cluster.name, task.id, container_id),
        "taskArn": task.arn,
        "name": plan.name,
        "image": plan.image,
        "lastStatus": task.last_status,
        "networkInterfaces": _interfaces(task),
        "healthStatus": task.health,
        "cpu": str(plan.cpu),
    }
    if plan.memory is not None:
        wire["memory"] = str(plan.memory)
    if plan.memory_reservation is not None:
        wire["memoryReservation"] = str(plan.memory_reservation)
    if plan.gpus:
        wire["gpuIds"] = list(task.gpu_ids)
    if task.started_at is not None:
        wire["runtimeId"] = container_id.replace("-", "") * 2
        # A task with its own network interface binds no port of the host. [docs, awsvpc]
        wire["networkBindings"] = _bindings(task, plan) if task.network is None else []
    if task.exit_code is not None:
        wire["exitCode"] = task.exit_code
    elif task.last_status == STOPPED:
        wire["reason"] = task.stopped_reason
    return wire


def _bindings(task: Task, plan: ContainerPlan) -> list[Json]:
    """Return the bound ports; a port that the agent chooses is from 32768 on and differs for each task. [docs]"""
    return [
        {
            "bindIP": "0.0.0.0",  # noqa: S104 - a field of the answer: nothing is bound to it here
            "containerPort": port.container,
            "hostPort": port.host or 32768 + task.seq % 28000 + at,
            "protocol": port.protocol,
        }
        for at, port in enumerate(plan.ports)
    ]


def _interfaces(task: Task) -> list[Json]:
    if task.network is None or task.last_status == PROVISIONING:
        return []
    return [{"attachmentId": _attachment_id(task), "privateIpv4Address": _address(task)}]


def _attachments(task: Task) -> list[Json]:
    if task.network is None:
        return []
    status = {PROVISIONING: "PRECREATED", PENDING: "PRECREATED", STOPPED: "DELETED"}.get(task.last_status, "ATTACHED")
    subnets = task.network["subnets"]
    details: list[Json] = [
        {"name": "subnetId", "value": subnets[task.seq % len(subnets)]},
        {"name": "networkInterfaceId", "value": f"eni-{task.id[:17]}"},
        {"name": "macAddress", "value": _mac(task)},
        {"name": "privateDnsName", "value": f"ip-{_address(task).replace('.', '-')}.ec2.internal"},
        {"name": "privateIPv4Address", "value": _address(task)},
    ]
    return [{"id": _attachment_id(task), "type": "ElasticNetworkInterface", "status": status, "details": details}]


def _attachment_id(task: Task) -> str:
    return f"{task.id[:8]}-{task.id[8:12]}-{task.id[12:16]}-{task.id[16:20]}-{task.id[20:]}"


def _mac(task: Task) -> str:
    return ":".join(["0a", *(task.id[at : at + 2] for at in range(0, 10, 2))])


def _address(task: Task) -> str:
    return f"10.0.{task.seq // 250 % 250}.{task.seq % 250 + 4}"


def instance_on_wire(instance: Instance, *, tags: bool, health: bool) -> Json:
    """Return a container instance. PORTS lists what is *in use*, in both registered and remaining resources. [docs]"""
    wire: Json = {
        "containerInstanceArn": instance.arn,
        "ec2InstanceId": instance.ec2_instance_id,
        "version": instance.version,
        "versionInfo": {
            "agentVersion": instance.agent_version,
            "agentHash": "0000000",
            "dockerVersion": "DockerVersion: 25.0.8",
        },
        "remainingResources": _resources(
            instance,
            instance.cpu - instance.used_cpu,
            instance.memory - instance.used_memory,
            sorted(instance.used_tcp),
            sorted(instance.used_udp),
            [gpu for gpu in instance.gpu_ids if gpu not in instance.used_gpus],
        ),
        "registeredResources": _resources(instance, instance.cpu, instance.memory, [], [], list(instance.gpu_ids)),
        "status": instance.status,
        "agentConnected": instance.agent_connected,
        "runningTasksCount": instance.running,
        "pendingTasksCount": instance.pending,
        "attributes": attributes_on_wire(instance.attributes),
        "registeredAt": round(instance.registered_at, 3),
        "attachments": [],
        "tags": tags_on_wire(instance.tags) if tags else [],
        **instance.members,
    }
    if instance.provider is not None:
        wire["capacityProviderName"] = instance.provider
    if health:
        wire["healthStatus"] = _health(instance)
    return wire


def _resources(
    instance: Instance, cpu: int, memory: int, tcp: list[int], udp: list[int], gpus: list[str]
) -> list[Json]:
    found = [
        _resource("CPU", "INTEGER", cpu),
        _resource("MEMORY", "INTEGER", memory),
        _resource("PORTS", "STRINGSET", [str(port) for port in (*RESERVED_TCP, *tcp)]),
        _resource("PORTS_UDP", "STRINGSET", [str(port) for port in udp]),
    ]
    if instance.gpu_ids:
        found.append(_resource("GPU", "STRINGSET", gpus))
    return found


def _resource(name: str, kind: str, value: int | list[str]) -> Json:
    wire: Json = {"name": name, "type": kind, "doubleValue": 0.0, "longValue": 0, "integerValue": 0}
    wire["integerValue" if kind == "INTEGER" else "stringSetValue"] = value
    return wire


def _health(instance: Instance) -> Json:
    state = "OK" if instance.agent_connected else "IMPAIRED"
    return {"overallStatus": state, "details": [{"type": "CONTAINER_RUNTIME", "status": state}]}


def cluster_on_wire(cluster: Cluster, include: Collection[str]) -> Json:
    """Return a cluster; settings, configuration, statistics, attachments and tags only if included."""
    wire: Json = {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": sum(each.status != "INACTIVE" for each in cluster.instances.values()),
        "runningTasksCount": cluster.running,
        "pendingTasksCount": cluster.pending,
        "activeServicesCount": 0,
        "statistics": _statistics(cluster) if "STATISTICS" in include else [],
        "tags": tags_on_wire(cluster.tags) if "TAGS" in include else [],
        "settings": [],
        "capacityProviders": list(cluster.providers),
        "defaultCapacityProviderStrategy": strategy_on_wire(cluster.strategy),
    }
    if "SETTINGS" in include:
        wire["settings"] = [{"name": name, "value": value} for name, value in cluster.settings.items()]
    if "CONFIGURATIONS" in include and cluster.configuration is not None:
        wire["configuration"] = cluster.configuration
    if "ATTACHMENTS" in include:
        wire["attachments"] = []
    if cluster.service_connect is not None:
        wire["serviceConnectDefaults"] = cluster.service_connect
    return wire


def _statistics(cluster: Cluster) -> list[Json]:
    """Return the numbers of tasks by status and launch type. [model]"""
    live = list(cluster.task_index.live.values())
    counts = {
        f"{state}{kind}TasksCount": sum(
            task.launch_type == kind.upper() and (task.last_status == "RUNNING") is (state != "pending")
            for task in live
        )
        for state, kind in (("running", "EC2"), ("Running", "Fargate"), ("pending", "EC2"), ("pending", "Fargate"))
    }
    return [{"name": name, "value": str(value)} for name, value in counts.items()]


def failure(arn: str, reason: str, detail: str | None = None) -> Json:
    """Return an entry of `failures`."""
    wire: dict[str, Any] = {"arn": arn, "reason": reason}
    if detail is not None:
        wire["detail"] = detail
    return wire
