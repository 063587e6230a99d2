"""Controls for tests: changes that no operation of ECS makes, and short forms of those that one makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aioecs.testing._errors import AwsError
from aioecs.testing._operations import admin, families
from aioecs.testing._operations import instances as _instances
from aioecs.testing._operations.members import Json
from aioecs.testing._placement import providers
from aioecs.testing._state.account import Account, unknown_task
from aioecs.testing._state.records import Cluster, Instance, Task


class Controls:
    """Adds and changes clusters, task definitions, instances and tasks from Python."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def add_cluster(self, name: str = "default", **members: Any) -> str:
        """Add a cluster and return its ARN; an existing one is not changed. members: those of CreateCluster."""
        request = {"clusterName": name, **members}
        arn: str = admin.create_cluster(self._account, request, 0, 0)["cluster"]["clusterArn"]
        return arn

    def add_task_definition(
        self,
        family: str,
        *,
        containers: Sequence[str | Json] = ("main",),
        image: str = "public.ecr.aws/docker/library/busybox:latest",
        cpu: int = 10,
        memory: int = 10,
        host_ports: Sequence[int] = (),
        gpus: int = 0,
        network_mode: str = "bridge",
        task_size: tuple[int, int] | None = None,
        requires: Mapping[str, str | None] | Iterable[str] = (),
        tags: Mapping[str, str] | None = None,
        fails_to_start: str | None = None,
        **members: Any,
    ) -> str:
        """Register the next revision of a family and return its ARN.

        containers: names, or container definitions as in RegisterTaskDefinition (`image` may be left out); cpu (units),
        memory (MiB), host_ports and gpus go to the first container that is given by name.  requires: attributes that
        an instance must have, by name or with their value.  fails_to_start: a `stoppedReason` with which its
        tasks stop instead of running.  task_size: CPU units and MiB of the whole task, which Fargate requires.
        members: further members of RegisterTaskDefinition.

        Raises:
            AwsError: the definition breaks a rule.
        """
        first: Json = {"cpu": cpu, "memory": memory}
        first["portMappings"] = [{"containerPort": port, "hostPort": port, "protocol": "tcp"} for port in host_ports]
        if gpus:
            first["resourceRequirements"] = [{"type": "GPU", "value": str(gpus)}]
        described: list[Json] = []
        for container in containers:
            if isinstance(container, str):
                described.append({"name": container, "image": image, **first})
                first = {"cpu": 0, "memory": 4}
            else:
                described.append({"image": image, **container})
        needed = dict(requires) if isinstance(requires, Mapping) else dict.fromkeys(requires)
        request: Json = {
            "family": family,
            "containerDefinitions": described,
            "networkMode": network_mode,
            "requiresAttributes": [{"name": name, "value": value} for name, value in needed.items()],
            "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()],
            **members,
        }
        if task_size is not None:
            request["cpu"], request["memory"] = map(str, task_size)
        definition = admin.register(self._account, request, self._account.advance())
        definition.fails_to_start = fails_to_start
        return definition.arn

    def deregister_task_definition(self, task_definition: str) -> None:
        """Set a revision INACTIVE: no more tasks can be started from it.

        Raises:
            AwsError: it is unknown.
        """
        families.deactivate(self._account.definition(task_definition), self._account.advance())

    def add_instances(
        self,
        count: int = 1,
        *,
        cluster: str = "default",
        cpu: int = 4096,
        memory: int = 16384,
        gpus: int = 0,
        enis: int | None = None,
        attributes: Mapping[str, str | None] | None = None,
        agent_connected: bool = True,
        status: str = "ACTIVE",
        capacity_provider: str | None = None,
        tags: Mapping[str, str] | None = None,
        **members: Any,
    ) -> list[str]:
        """Register container instances and return their ARNs; they alternate between three Availability Zones.

        cpu: units.  memory: MiB.  enis: network interfaces for awsvpc tasks, None for no limit.  attributes: added
        to those that an ECS-optimized AMI reports, which they override.  capacity_provider: of the instances.
        members: further members of their descriptions (statusReason, agentUpdateStatus …).

        Raises:
            AwsError: ClusterNotFoundException.
        """
        found = self._cluster(cluster)
        account = self._account
        for _ in range(count):
            made = _instances.make(
                account,
                found,
                cpu=cpu,
                memory=memory,
                gpus=[f"GPU-{account.new_id()}" for _ in range(gpus)],
                enis=enis,
                attributes=attributes,
                tags=tags,
            )
            made.agent_connected, made.status, made.members = agent_connected, status, members
            made.provider = capacity_provider
            found.instances[made.id] = made
        return [each.arn for each in list(found.instances.values())[len(found.instances) - count :]]

    def add_capacity_provider(
        self,
        name: str,
        *,
        cluster: str = "default",
        cpu: int = 4096,
        memory: int = 16384,
        enis: int | None = None,
        instances: int | None = None,
        managed: bool = True,
    ) -> str:
        """Add a capacity provider of an Auto Scaling group to a cluster and return its ARN.

        cpu, memory, enis: of each instance that it launches.  instances: the maximum number, None for no limit.
        managed: whether it launches instances when capacity is short; otherwise tasks wait for `add_instances`.

        Raises:
            AwsError: the name is invalid or in use, or there is no such cluster.
        """
        found = self._cluster(cluster)
        group: Json = {
            "autoScalingGroupArn": f"{self._account.arns.prefix.replace(':ecs:', ':autoscaling:')}:autoScalingGroup:"
            f"00000000-0000-4000-8000-000000000000:autoScalingGroupName/{name}",
            "managedScaling": {"status": "ENABLED" if managed else "DISABLED"},
        }
        made = providers.add(self._account, name, group, {})
        made.cpu, made.memory, made.enis, made.instances = cpu, memory, enis, instances
        found.providers.append(name)
        return made.arn

    def instance_arns(self, cluster: str = "default") -> list[str]:
        """List the ARNs of a cluster's container instances in order of registering, without deregistered ones."""
        return [each.arn for each in self._cluster(cluster).instances.values() if each.status != "INACTIVE"]

    def set_agent(self, instance: str, *, connected: bool, cluster: str | None = None) -> None:
        """Connect or disconnect the agent of an instance, named by id or ARN."""
        found = self._find(instance, cluster)
        found.agent_connected = connected
        found.version += 1

    def drain(self, instance: str, *, cluster: str | None = None) -> None:
        """Set an instance DRAINING."""
        admin.set_status(self._find(instance, cluster), "DRAINING")

    def activate(self, instance: str, *, cluster: str | None = None) -> None:
        """Set an instance ACTIVE again."""
        admin.set_status(self._find(instance, cluster), "ACTIVE")

    def deregister_instance(self, instance: str, *, cluster: str | None = None) -> None:
        """Deregister an instance: it becomes INACTIVE, its agent is disconnected, and its tasks run on."""
        _instances.retire(self._find(instance, cluster))

    def end_task(
        self, task: str, *, exit_code: int = 0, code: str = "EssentialContainerExited", reason: str | None = None
    ) -> None:
        """End a task as if its container exited; has no effect on one that is stopping already.

        Raises:
            AwsError: it is unknown.
        """
        now = self._account.advance()
        self._account.end(self._task(task), now, code, reason or "Essential container in task exited", exit_code)

    def set_health(self, task: str, health: str) -> None:
        """Set what the container health checks of a task come to: HEALTHY, UNHEALTHY or UNKNOWN.

        Raises:
            AwsError: it is unknown.
        """
        self._account.advance()
        self._task(task).health = health

    def write_log(self, task: str, line: str, *, container: str | None = None) -> None:
        """Write a line to the log of a task's container, by default the first, as of now.

        Raises:
            AwsError: the task is unknown, or the container has no log in CloudWatch Logs.
        """
        now = self._account.advance()
        if not self._account.log_streams.write(self._task(task), container, line, now):
            raise AwsError("ResourceNotFoundException", "The container doesn't log to CloudWatch Logs by awslogs.")

    def _cluster(self, name: str) -> Cluster:
        return self._account.cluster({"cluster": name})

    def _find(self, instance: str, cluster: str | None) -> Instance:
        named = cluster or (instance.split("/")[1] if instance.startswith("arn:") else "default")
        found = self._account.instance(self._cluster(named), instance)
        if found is None:
            raise AwsError("ClientException", f"No container instance {instance} in cluster {named}.")
        return found

    def _task(self, identifier: str) -> Task:
        named = identifier.split("/")[1] if identifier.startswith("arn:") else "default"
        found = self._account.task(self._cluster(named), identifier)
        if found is None:
            raise unknown_task()
        return found
