"""The public API as type checkers see it: compiled by mypy and pyright, both strict, and never run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, assert_type

import anyio

import aioecs
import aioecs.otel
import aioecs.sync
import aioecs.worker
from aioecs.testing import Fault, LocalECS

# Requests ------------------------------------------------------------------------------------------------------------

request = aioecs.StartTaskRequest(
    cluster="render",
    task_definition="frame:42",
    container_instances=["4c543eed", "9f2a"],
    enable_ecs_managed_tags=True,
    propagate_tags=aioecs.types.PropagateTags.TASK_DEFINITION,
    tags=[aioecs.Tag(key="scene", value="17")],
    network_configuration=aioecs.NetworkConfiguration(
        awsvpc_configuration=aioecs.AwsVpcConfiguration(
            subnets=("subnet-1",), security_groups=[], assign_public_ip=aioecs.types.AssignPublicIp.DISABLED
        )
    ),
    overrides=aioecs.TaskOverride(
        cpu="256",
        ephemeral_storage=aioecs.EphemeralStorage(size_in_gib=30),
        inference_accelerator_overrides=[aioecs.InferenceAcceleratorOverride(device_name="a", device_type="eia1")],
        container_overrides=[
            aioecs.ContainerOverride(
                name="main",
                command=("render", "17"),
                environment=[aioecs.KeyValuePair(name="FRAME", value="17")],
                environment_files=[aioecs.EnvironmentFile(value="arn", type=aioecs.types.EnvironmentFileType.S3)],
                resource_requirements=[aioecs.ResourceRequirement(value="1", type=aioecs.types.ResourceType.GPU)],
            )
        ],
    ),
    volume_configurations=[
        aioecs.TaskVolumeConfiguration(
            name="scratch",
            managed_ebs_volume=aioecs.TaskManagedEBSVolumeConfiguration(
                role_arn="arn:aws:iam::1:role/ebs",
                size_in_gib=10,
                filesystem_type=aioecs.types.TaskFilesystemType.EXT4,
                tag_specifications=[
                    aioecs.types.EBSTagSpecification(
                        resource_type=aioecs.types.EBSResourceType.VOLUME, tags=[aioecs.Tag(key="k")]
                    )
                ],
                termination_policy=aioecs.types.TaskManagedEBSVolumeTerminationPolicy(delete_on_termination=True),
            ),
        )
    ],
    extra={"memberOfANewerECS": 1},
)
assert_type(request, aioecs.StartTaskRequest)
assert_type(request.container_instances, Sequence[str])
assert_type(request.propagate_tags, aioecs.types.PropagateTags | str | None)
assert_type(request.replace(cluster="other"), aioecs.StartTaskRequest)
assert_type(request.extra, Mapping[str, Any])

run = aioecs.RunTaskRequest(
    task_definition="frame",
    count=2,
    launch_type=aioecs.types.LaunchType.EC2,
    capacity_provider_strategy=[aioecs.CapacityProviderStrategyItem(capacity_provider="spot", weight=1)],
    placement_constraints=[aioecs.PlacementConstraint(type=aioecs.types.PlacementConstraintType.DISTINCT_INSTANCE)],
    placement_strategy=[aioecs.PlacementStrategy(type=aioecs.types.PlacementStrategyType.SPREAD, field="host")],
)
some_tasks = aioecs.DescribeTasksRequest(tasks=["arn"], include=[aioecs.types.TaskField.TAGS])
some_hosts = aioecs.DescribeContainerInstancesRequest(
    container_instances=["arn"], include=[aioecs.types.ContainerInstanceField.TAGS]
)
definition = aioecs.DescribeTaskDefinitionRequest(
    task_definition="frame", include=[aioecs.types.TaskDefinitionField.TAGS]
)
running = aioecs.ListTasksRequest(started_by="us", desired_status=aioecs.types.DesiredStatus.RUNNING)
active = aioecs.ListContainerInstancesRequest(status=aioecs.types.ContainerInstanceStatus.ACTIVE)
stop = aioecs.StopTaskRequest(task="arn", reason="done")

# The client ----------------------------------------------------------------------------------------------------------

on_cancel: aioecs.OnCancel = "keep"
delivery: aioecs.Delivery = "at_least_once"
restart: aioecs.types.Restart = "if_failed"
policy: Literal["stop", "keep", "abandon"] = on_cancel


def received(starts: tuple[aioecs.StartResult, ...], reason: str | None) -> None:
    """Receive outcomes that no caller is left to receive."""


def on_event(event: aioecs.Event) -> None:
    """Receive the events of a start."""
    match event:
        case aioecs.types.CallBegun() | aioecs.types.CallSettled():
            assert_type(event.token, str)
        case aioecs.types.RequestRateLimited():
            assert_type(event.call, int | None)
        case aioecs.types.RequestSent() | aioecs.types.RequestThrottled():
            assert_type(event.rate, float)
        case aioecs.types.StopSettled() | aioecs.types.WaitSettled() | aioecs.types.JobAttempted():
            assert_type(event.seconds, float)
        case aioecs.types.RequestAnswered() | aioecs.types.TaskAdopted():
            assert_type(event.task_arns, tuple[str, ...])
        case aioecs.types.RequestRejected():
            assert_type(event.code, str)
        case aioecs.types.RequestNotSent() | aioecs.types.CallAmbiguous():
            assert_type(event.error, str)
        case aioecs.types.LookupCompleted():
            assert_type(event.error, str | None)
        case aioecs.types.StartSettled():
            assert_type(event.outcome, aioecs.Outcome)


client = aioecs.Client(
    "eu-west-1",
    endpoint_url=None,
    profile_name=None,
    session=None,
    config=None,
    aws_access_key_id=None,
    aws_secret_access_key=None,
    aws_session_token=None,
    timeouts=aioecs.Timeouts(connect=3, attempt=15, call=90, settle=10, consistency=30, drain=30),
    retries=aioecs.Retries(max_attempts=5, initial_backoff=0.1, max_backoff=5),
    pacing=aioecs.Pacing(burst=100, rate=40),
    max_in_flight=50,
    on_cancel=on_cancel,
    delivery=delivery,
    on_settled=received,
    on_event=on_event,
    tag_tokens=False,
    transport="auto",
)


async def requests() -> AsyncIterator[aioecs.StartTaskRequest]:
    """Yield requests as they come."""
    yield request


def key(asked: aioecs.StartTaskRequest) -> str:
    """Give a request a key of its own."""
    return asked.task_definition


def lacking(demand: aioecs.CapacityDemand) -> None:
    """Receive what is lacking."""
    assert_type(demand.memory, int)
    assert_type(demand.attributes, tuple[tuple[str, str | None], ...])


async def starting(ecs: aioecs.Client, token: aioecs.CancelToken, scope: anyio.CancelScope) -> None:
    """Start one, many, and where there is capacity."""
    assert_type(await ecs.start_task(request), aioecs.StartTaskResponse)
    assert_type(await ecs.start_task(request, timeout=2.5), aioecs.StartTaskResponse)
    assert_type(await ecs.start_task(request, scope, idempotency_key="job", on_cancel="stop"), aioecs.StartTaskResponse)
    assert_type(await ecs.start_task(request, cancel_scope=token, delivery="at_most_once"), aioecs.StartTaskResponse)
    assert_type(await ecs.start_tasks([request], token, idempotency_key=key, on_cancel="abandon"), aioecs.BatchReport)
    assert_type(await ecs.start_tasks(requests()), aioecs.BatchReport)
    placed = await ecs.place_tasks(
        request,
        token,
        count=200,
        placement=aioecs.Binpack("memory"),
        constraints=[aioecs.DistinctInstance(), aioecs.MemberOf("attribute:ecs.os-type == linux")],
        instances=["9f2a"],
        wait_for_capacity=10,
        confirm_refusals=True,
    )
    assert_type(placed, aioecs.BatchReport)
    await ecs.place_tasks(request, count=1, placement=aioecs.Random())
    await ecs.place_tasks(requests(), scope, idempotency_key=key, on_capacity_shortage=lacking)
    assert_type(await ecs.place_task(request, token, idempotency_key="job"), aioecs.StartTaskResponse)
    async with ecs.batch(idempotency_key=key, window=0.01, drain=30) as batch:
        assert_type(batch, aioecs.Batch)
        assert_type(await batch.start_task(request, token, idempotency_key="job"), aioecs.StartTaskResponse)
        async for start in batch.start_tasks(requests(), scope):
            assert_type(start, aioecs.StartResult)
        async for start in batch.place_tasks(request, count=10, placement=aioecs.Spread("host")):
            assert_type(start.outcome, aioecs.Outcome)
        assert_type(batch.statistics(), aioecs.Statistics)
        assert_type(batch.open_starts(), tuple[aioecs.StartResult, ...])


async def operations(ecs: aioecs.Client) -> None:
    """Do what stands beside."""
    async with ecs as entered:
        assert_type(entered, aioecs.Client)
    assert_type(await ecs.stop_task(stop), aioecs.StopTaskResponse)
    token = aioecs.CancelToken()
    ran = await ecs.run_task(run, token, idempotency_key="job", on_cancel="keep")
    assert_type(ran, aioecs.RunTaskResponse)
    assert_type((ran.request_id, ran.token, ran.attempts, ran.found), tuple[str | None, str, int, bool])
    ran.raise_for_failures()
    assert_type(await ecs.run_tasks([run], token, wait_for_capacity=60), aioecs.BatchReport)
    assert_type(await ecs.look_up("aioecs-token"), tuple[aioecs.Task, ...])
    await ecs.start_task(request, idempotency_key="job", restart=restart)
    assert_type(await ecs.describe_tasks(some_tasks), aioecs.DescribeTasksResponse)
    assert_type(await ecs.describe_container_instances(some_hosts), aioecs.DescribeContainerInstancesResponse)
    assert_type(await ecs.describe_task_definition(definition), aioecs.DescribeTaskDefinitionResponse)
    assert_type(ecs.list_tasks(), aioecs.Listing[aioecs.ListTasksResponse])
    assert_type(await ecs.list_tasks(running), aioecs.ListTasksResponse)
    assert_type((await ecs.list_container_instances(active)).container_instance_arns, Sequence[str])
    assert_type(await ecs.list_container_instances(), aioecs.ListContainerInstancesResponse)
    async for arn in ecs.list_tasks():
        assert_type(arn, str)
    assert_type(ecs.raw, Any)
    assert_type(await aioecs.Client().aopen(), aioecs.Client)
    await ecs.aclose()
    assert_type(await ecs.batch().aopen(), aioecs.Batch)


async def cancelling(token: aioecs.CancelToken) -> None:
    """Cancel from anywhere."""
    token.cancel("enough")
    token.cancel_after(30)
    assert_type(token.cancelled, bool)
    assert_type(token.reason, str | None)
    assert_type(token.deadline, float | None)
    token.raise_if_cancelled()
    token.add_callback(print)
    token.remove_callback(print)
    assert_type(aioecs.CancelToken.linked(token, aioecs.CancelToken()), aioecs.CancelToken)
    assert_type(await token.wait(), str | None)


async def waiting(ecs: aioecs.Client, token: aioecs.CancelToken, tasks: Sequence[aioecs.Task]) -> None:
    """Wait, watch, and feed events."""
    assert_type(await ecs.wait_until_running(tasks, token, timeout=60), list[aioecs.Task])
    assert_type(await ecs.wait_until_stopped(["arn", *tasks], timeout=None, cluster="render"), list[aioecs.Task])
    async for task in ecs.watch(tasks, timeout=60):
        assert_type(task, aioecs.Task)
    assert_type(ecs.feed({"detail-type": "ECS Task State Change"}), bool)
    assert_type(ecs.timeouts, aioecs.Timeouts)


async def working(ecs: aioecs.Client, ledger: aioecs.worker.Ledger) -> None:
    """Start each job once."""

    def to_request(message: aioecs.worker.Message) -> aioecs.StartTaskRequest:
        return request.replace(cluster=message.id)

    worker = aioecs.worker.Worker(ecs, "https://queue", to_request, ledger=ledger, concurrency=10)
    assert_type(await worker.run(aioecs.CancelToken()), aioecs.worker.WorkerStatistics)
    to_the_end = aioecs.worker.Worker(ecs, "https://queue", to_request, ledger=ledger, until="stopped", retry_failed=2)
    assert_type(to_the_end.healthy, bool)
    events = aioecs.worker.TaskEvents(ecs, "https://queue", lambda result: result.succeeded, ledger=ledger)
    assert_type(await events.run(aioecs.CancelToken()), aioecs.worker.TaskEventStatistics)
    response = await aioecs.worker.start_records(ecs, {"Records": []}, to_request, ledger=aioecs.worker.MemoryLedger())
    assert_type(response, aioecs.worker.BatchResponse)
    assert_type(response["batchItemFailures"], list[aioecs.worker.ItemFailure])
    _ledgers: list[aioecs.worker.Ledger] = [
        aioecs.worker.SQLiteLedger("jobs.db"),
        aioecs.worker.DynamoDBLedger("jobs"),
    ]
    _held: type[aioecs.worker.Claimed | aioecs.worker.Entry | aioecs.worker.ClaimOutcome] = aioecs.worker.Claimed
    _failing: list[type[aioecs.ECSError]] = [
        aioecs.worker.LedgerError,
        aioecs.worker.EntryError,
        aioecs.worker.QueueError,
    ]


async def traced() -> None:
    """Hand the events over to OpenTelemetry."""
    async with aioecs.Client("eu-west-1", on_event=aioecs.otel.Instrumentation()) as ecs:
        await ecs.start_task(request)


# Without a loop ------------------------------------------------------------------------------------------------------


def blocking(token: aioecs.CancelToken) -> None:
    """Do the same in a thread."""
    with aioecs.sync.Client("eu-west-1", timeouts=aioecs.Timeouts(settle=5), max_in_flight=10) as ecs:
        assert_type(ecs, aioecs.sync.Client)
        assert_type(ecs.start_task(request, token, idempotency_key="job"), aioecs.StartTaskResponse)
        assert_type(ecs.start_task(request, timeout=2.5), aioecs.StartTaskResponse)
        assert_type(ecs.start_tasks((one for one in [request]), token, idempotency_key=key), aioecs.BatchReport)
        assert_type(ecs.place_tasks(request, token, count=3, placement=aioecs.Random()), aioecs.BatchReport)
        future = ecs.begin_start_task(request, token, on_cancel="keep")
        assert_type(future, Future[aioecs.StartTaskResponse])
        assert_type(ecs.end_start_task(future), aioecs.StartTaskResponse)
        assert_type(ecs.stop_task(stop), aioecs.StopTaskResponse)
        assert_type(ecs.run_task(run, token), aioecs.RunTaskResponse)
        assert_type(ecs.run_tasks([run], token), aioecs.BatchReport)
        assert_type(ecs.describe_tasks(some_tasks), aioecs.DescribeTasksResponse)
        assert_type(ecs.describe_container_instances(some_hosts), aioecs.DescribeContainerInstancesResponse)
        assert_type(ecs.describe_task_definition(definition), aioecs.DescribeTaskDefinitionResponse)
        assert_type(ecs.list_tasks(), aioecs.ListTasksResponse)
        assert_type(ecs.list_container_instances(active), aioecs.ListContainerInstancesResponse)
        assert_type(ecs.wait_until_running(["arn"], token, timeout=60), list[aioecs.Task])
        assert_type(ecs.wait_until_stopped(["arn"], timeout=None), list[aioecs.Task])
        for task in ecs.watch(["arn"], token, timeout=60):
            assert_type(task, aioecs.Task)
        assert_type(ecs.feed("{}"), bool)
        assert_type(ecs.timeouts.settle, float)
    ecs.close()


def misused(ecs: aioecs.sync.Client) -> None:
    """The checker reports it: an `ignore` that nothing needs is an error too."""
    aioecs.sync.Client(regoin_name="eu-west-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    aioecs.Client(on_cancel="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ecs.describe_tasks(stop)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aioecs.StartTaskRequest(cluster="render")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    request.cluster = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# Answers -------------------------------------------------------------------------------------------------------------


def answered(response: aioecs.StartTaskResponse, report: aioecs.BatchReport) -> None:
    """Read what came of it."""
    assert_type(response.tasks, Sequence[aioecs.Task])
    assert_type(response.failures, Sequence[aioecs.Failure])
    assert_type(response.request_id, str | None)
    assert_type(response.token, str)
    assert_type(response.attempts, int)
    response.raise_for_failures()
    for starts in (report.starts, report.started, report.refused, report.not_sent, report.stopped, report.unknown):
        assert_type(starts, tuple[aioecs.StartResult, ...])
    assert_type(report.tasks, tuple[aioecs.Task, ...])
    assert_type(report.statistics.rate, float)
    report.raise_for_failures()
    start = report.starts[0]
    assert_type(start.request, aioecs.StartTaskRequest | aioecs.RunTaskRequest)
    assert_type(start.container_instance, str)
    assert_type(start.task, aioecs.Task | None)
    assert_type(start.failure, aioecs.Failure | None)
    assert_type(start.error, aioecs.ECSError | None)
    assert_type((start.token, start.attempts, start.siblings_found), tuple[str, int, bool])
    assert_type(start.outcome.severity, int)


def of_tasks(task: aioecs.Task, container: aioecs.types.Container, host: aioecs.types.ContainerInstance) -> None:
    """Read what DescribeTasks and DescribeContainerInstances answer."""
    assert_type(task.attachments, Sequence[aioecs.types.Attachment])
    assert_type(task.attributes, Sequence[aioecs.types.Attribute])
    assert_type(task.containers, Sequence[aioecs.types.Container])
    assert_type(task.connectivity, aioecs.types.Connectivity | str | None)
    assert_type(task.health_status, aioecs.types.HealthStatus | str | None)
    assert_type(task.stop_code, aioecs.types.TaskStopCode | str | None)
    assert_type(task.ephemeral_storage, aioecs.EphemeralStorage | None)
    assert_type(task.fargate_ephemeral_storage, aioecs.types.TaskEphemeralStorage | None)
    assert_type(task.inference_accelerators, Sequence[aioecs.types.InferenceAccelerator])
    assert_type(task.overrides, aioecs.TaskOverride | None)
    assert_type(task.created_at, dt.datetime | None)
    assert_type(container.managed_agents, Sequence[aioecs.types.ManagedAgent])
    assert_type(container.managed_agents[0].name, aioecs.types.ManagedAgentName | str | None)
    assert_type(container.network_bindings, Sequence[aioecs.types.NetworkBinding])
    assert_type(container.network_interfaces, Sequence[aioecs.types.NetworkInterface])
    assert_type(host.version_info, aioecs.types.VersionInfo | None)
    assert_type(host.registered_resources, Sequence[aioecs.types.Resource])
    assert_type(host.agent_update_status, aioecs.types.AgentUpdateStatus | str | None)
    assert_type(host.health_status, aioecs.types.ContainerInstanceHealthStatus | None)
    assert_type(host.attributes[0].target_type, aioecs.types.TargetType | str | None)


def of_health(health: aioecs.types.ContainerInstanceHealthStatus) -> None:
    """Read how a host is."""
    assert_type(health.details, Sequence[aioecs.types.InstanceHealthCheckResult])
    assert_type(health.overall_status, aioecs.types.InstanceHealthCheckState | str | None)
    assert_type(health.details[0].type, aioecs.types.InstanceHealthCheckType | str | None)


def of_definitions(
    task: aioecs.types.TaskDefinition, container: aioecs.types.ContainerDefinition, volume: aioecs.types.Volume
) -> None:
    """Read what DescribeTaskDefinition answers."""
    assert_type(task.container_definitions, Sequence[aioecs.types.ContainerDefinition])
    assert_type(task.compatibilities, Sequence[aioecs.types.Compatibility | str])
    assert_type(task.ipc_mode, aioecs.types.IpcMode | str | None)
    assert_type(task.pid_mode, aioecs.types.PidMode | str | None)
    assert_type(task.network_mode, aioecs.types.NetworkMode | str | None)
    assert_type(task.placement_constraints, Sequence[aioecs.types.TaskDefinitionPlacementConstraint])
    assert_type(task.placement_constraints[0].type, aioecs.types.TaskDefinitionPlacementConstraintType | str | None)
    assert_type(task.proxy_configuration, aioecs.types.ProxyConfiguration | None)
    assert_type(task.runtime_platform, aioecs.types.RuntimePlatform | None)
    assert_type(task.status, aioecs.types.TaskDefinitionStatus | str | None)
    assert_type(task.volumes, Sequence[aioecs.types.Volume])
    assert_type(container.depends_on, Sequence[aioecs.types.ContainerDependency])
    assert_type(container.depends_on[0].condition, aioecs.types.ContainerCondition | str | None)
    assert_type(container.extra_hosts, Sequence[aioecs.types.HostEntry])
    assert_type(container.firelens_configuration, aioecs.types.FirelensConfiguration | None)
    assert_type(container.health_check, aioecs.types.HealthCheck | None)
    assert_type(container.linux_parameters, aioecs.types.LinuxParameters | None)
    assert_type(container.log_configuration, aioecs.types.LogConfiguration | None)
    assert_type(container.mount_points, Sequence[aioecs.types.MountPoint])
    assert_type(container.port_mappings, Sequence[aioecs.types.PortMapping])
    assert_type(container.repository_credentials, aioecs.types.RepositoryCredentials | None)
    assert_type(container.restart_policy, aioecs.types.ContainerRestartPolicy | None)
    assert_type(container.secrets, Sequence[aioecs.types.Secret])
    assert_type(container.system_controls, Sequence[aioecs.types.SystemControl])
    assert_type(container.ulimits, Sequence[aioecs.types.Ulimit])
    assert_type(container.ulimits[0].name, aioecs.types.UlimitName | str | None)
    assert_type(container.version_consistency, aioecs.types.VersionConsistency | str | None)
    assert_type(container.volumes_from, Sequence[aioecs.types.VolumeFrom])
    assert_type(volume.host, aioecs.types.HostVolumeProperties | None)
    assert_type(volume.docker_volume_configuration, aioecs.types.DockerVolumeConfiguration | None)
    assert_type(volume.efs_volume_configuration, aioecs.types.EFSVolumeConfiguration | None)
    assert_type(
        volume.fsx_windows_file_server_volume_configuration, aioecs.types.FSxWindowsFileServerVolumeConfiguration | None
    )
    assert_type(volume.s3files_volume_configuration, aioecs.types.S3FilesVolumeConfiguration | None)


def of_containers(
    docker: aioecs.types.DockerVolumeConfiguration,
    efs: aioecs.types.EFSVolumeConfiguration,
    fsx: aioecs.types.FSxWindowsFileServerVolumeConfiguration,
    firelens: aioecs.types.FirelensConfiguration,
    linux: aioecs.types.LinuxParameters,
    logs: aioecs.types.LogConfiguration,
    ports: aioecs.types.PortMapping,
    proxy: aioecs.types.ProxyConfiguration,
    platform: aioecs.types.RuntimePlatform,
) -> None:
    """Read the rest."""
    assert_type(docker.scope, aioecs.types.Scope | str | None)
    assert_type(efs.authorization_config, aioecs.types.EFSAuthorizationConfig | None)
    assert_type(efs.transit_encryption, aioecs.types.EFSTransitEncryption | str | None)
    assert_type(aioecs.types.EFSAuthorizationConfig().iam, aioecs.types.EFSAuthorizationConfigIAM | str | None)
    assert_type(fsx.authorization_config, aioecs.types.FSxWindowsFileServerAuthorizationConfig | None)
    assert_type(firelens.type, aioecs.types.FirelensConfigurationType | str | None)
    assert_type(linux.capabilities, aioecs.types.KernelCapabilities | None)
    assert_type(linux.devices, Sequence[aioecs.types.Device])
    assert_type(linux.devices[0].permissions, Sequence[aioecs.types.DeviceCgroupPermission | str])
    assert_type(linux.tmpfs, Sequence[aioecs.types.Tmpfs])
    assert_type(logs.log_driver, aioecs.types.LogDriver | str | None)
    assert_type(ports.protocol, aioecs.types.TransportProtocol | str | None)
    assert_type(ports.app_protocol, aioecs.types.ApplicationProtocol | str | None)
    assert_type(proxy.type, aioecs.types.ProxyConfigurationType | str | None)
    assert_type(platform.cpu_architecture, aioecs.types.CPUArchitecture | str | None)
    assert_type(platform.operating_system_family, aioecs.types.OSFamily | str | None)


short_form = aioecs.TaskOverride.for_container("main", command=["render"], environment={"FRAME": "17"}, cpu=256)
assert_type(short_form, aioecs.TaskOverride)
assert_type(aioecs.ContainerOverride(environment={"A": "1"}).environment, Sequence[aioecs.KeyValuePair] | None)
aioecs.ContainerOverride(environment={"A": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
assert_type(aioecs.StartTaskRequest.from_dict({"taskDefinition": "frame:42"}), aioecs.StartTaskRequest)
assert_type(request.to_dict(), dict[str, Any])
assert_type(request.redacted(), aioecs.StartTaskRequest)
ALLOWED_BY_NOW: type[UserWarning] = aioecs.RequestWarning


def ended(task: aioecs.Task, definition: aioecs.types.TaskDefinition | None) -> None:
    """Judge how a task ended."""
    assert_type((task.arn, task.id), tuple[str, str])
    result = aioecs.task_result(task, definition, container="main")
    assert_type(result, aioecs.TaskResult)
    assert_type(result.raise_for_status(), aioecs.TaskResult)
    assert_type((result.succeeded, result.exit_code), tuple[bool | None, int | None])
    assert_type(result.cause, aioecs.TaskEndCause | str | None)
    assert_type(result.containers, tuple[aioecs.ContainerResult, ...])
    assert_type(aioecs.task_result(task).containers[0].essential, bool | None)


async def to_the_end(ecs: aioecs.Client, one: aioecs.StartTaskRequest, run_one: aioecs.RunTaskRequest) -> None:
    """Run tasks to their ends."""
    token = aioecs.CancelToken()
    assert_type(await ecs.run(one, token, timeout=600, on_timeout="keep", container="main"), aioecs.TaskResult)
    report = await ecs.run_all([one, run_one], token, timeout=600, max_running=10, idempotency_key=lambda _: "k")
    assert_type(report, aioecs.RunReport)
    assert_type(report.failed, tuple[aioecs.Run, ...])
    assert_type(report.runs[0].result, aioecs.TaskResult | None)
    assert_type(report.raise_for_status(), aioecs.RunReport)
    assert_type(await ecs.wait_for_results(["arn"], token, timeout=60, cluster="render"), list[aioecs.TaskResult])
    async for line in ecs.logs("arn", token, follow=True, container="main", cluster="render"):
        assert_type((line.container, line.text), tuple[str, str])
        assert_type(line, aioecs.LogLine)
    assert_type(await ecs.log_tail(report.results[0], 5), tuple[aioecs.LogLine, ...])
    assert_type(await ecs.wait_until_healthy(["arn"], token, timeout=60, cluster="render"), list[aioecs.Task])
    instances = await ecs.wait_for_instances("render", 3, token, timeout=60)
    assert_type(instances, list[aioecs.types.ContainerInstance])
    assert_type(await ecs.task_result(report.results[0].task, container="main"), aioecs.TaskResult)


# Errors --------------------------------------------------------------------------------------------------------------


def refused_by_run_task(error: aioecs.ECSServiceError) -> tuple[str, ...]:
    """Distinguish RunTask's own errors."""
    match error:
        case aioecs.ConflictException():
            return error.resource_ids
        case aioecs.BlockedException() | aioecs.PlatformUnknownException():
            return ()
        case aioecs.PlatformTaskDefinitionIncompatibilityException():
            return ()
        case _:
            return ()


def cut_short(error: aioecs.CallCancelled) -> None:
    """What a cancelled call raises says why."""
    assert_type(error.reason, str | None)


def failed(error: Exception) -> str | None:
    """Distinguish them."""
    assert_type(aioecs.is_retry_safe(error), bool)
    assert_type(aioecs.find_start_error(error), aioecs.StartCancelled | None)
    match error:
        case aioecs.StartTimeout():
            assert_type(error.starts, tuple[aioecs.StartResult, ...])
        case aioecs.StartCancelled():
            assert_type((error.reason, error.source), tuple[str | None, object])
        case aioecs.StartUnknown():
            assert_type(error.candidates, tuple[aioecs.Task, ...])
        case aioecs.StartRefused():
            assert_type(error.response, aioecs.StartTaskResponse | aioecs.RunTaskResponse | None)
        case aioecs.StartIncomplete() | aioecs.IdempotencyMismatch() | aioecs.CallTimeout() | aioecs.StartError():
            assert_type(error.token, str)
        case aioecs.TaskStopped():
            assert_type((error.task, error.exit_codes), tuple[aioecs.Task | None, dict[str, int | None]])
        case aioecs.TaskFailed():
            assert_type((error.result, error.exit_code), tuple[aioecs.TaskResult | None, int | None])
            assert_type(error.cause, aioecs.TaskEndCause | str | None)
        case aioecs.TaskMissing() | aioecs.WaitCancelled() | aioecs.WaitTimeout() | aioecs.WaitError():
            assert_type((error.known, error.waiting_for), tuple[tuple[aioecs.Task, ...], tuple[str, ...]])
        case aioecs.CallCancelled():
            assert_type((error.reason, error.source), tuple[str | None, object])
        case aioecs.ConflictException():
            assert_type(error.resource_ids, tuple[str, ...])
        case aioecs.ECSServiceError():
            assert_type((error.code, error.message, error.operation), tuple[str, str, str])
            assert_type((error.request_id, error.status), tuple[str | None, int | None])
            assert_type((error.throttled, error.rejected), tuple[bool, bool])
        case aioecs.InvalidRequest():
            assert_type((error.path, error.rule, error.found), tuple[str, str, Any])
        case aioecs.ECSError():
            assert_type(error.retry_safe, bool | None)
            assert_type(error.starts, tuple[aioecs.StartResult, ...])
            assert_type(error.outcome, aioecs.Outcome | None)
            assert_type(error.tasks, tuple[aioecs.Task, ...])
            assert_type(error.failures, tuple[aioecs.Failure, ...])
        case _:
            return None
    return str(error)


SERVICE: list[type[aioecs.ECSServiceError]] = [
    aioecs.AccessDeniedException,
    aioecs.BlockedException,
    aioecs.PlatformTaskDefinitionIncompatibilityException,
    aioecs.PlatformUnknownException,
    aioecs.ClientException,
    aioecs.ClusterNotFoundException,
    aioecs.InvalidParameterException,
    aioecs.NamespaceNotFoundException,
    aioecs.ServerException,
    aioecs.ThrottlingException,
    aioecs.UnsupportedFeatureException,
]
RUNTIME: list[type[RuntimeError]] = [aioecs.ClientStateError]
VALUE: list[type[ValueError]] = [aioecs.ConfigurationError, aioecs.InvalidRequest]
CONNECTION: list[type[ConnectionError]] = [aioecs.AnswerLost, aioecs.ConnectionFailed]
TIMEOUT: list[type[TimeoutError]] = [aioecs.CallTimeout, aioecs.WaitTimeout]

# Testing -------------------------------------------------------------------------------------------------------------


async def tested() -> None:
    """Reach a local ECS with what it says."""
    async with LocalECS(instances=2, faults=[Fault("reset", when="after")], denied=["StopTask"]) as local:
        async with aioecs.Client(**local.client_kwargs()) as ecs:
            await ecs.start_task(request)
        assert_type(local.instance_arns, list[str])
        assert_type([task.arn for task in local.truth.running()], list[str])
