"""What moto's own tests of ECS look at (clusters, definitions, instances, tasks), asked of both through boto3.

Each case gives a value; where moto's is another than the local ECS's, `DIFFERENCES` says whose side AWS's documents
are on: [model] is the text in botocore's service model, [docs] the developer guide, [reported] what callers quote.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from botocore.exceptions import ClientError

from aioecs.testing import LocalECS
from tests.testing.test_moto import client

# moto's own: werkzeug's server leaves its sockets to the garbage collector, and datetime.utcnow is deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
BOTH = ["FARGATE", "FARGATE_SPOT"]


@attrs.frozen
class Lab:
    """One of the two, with its own cluster and family. ec2: moto requires instances that its EC2 knows."""

    ecs: Any
    name: str
    ec2: Any = None

    def cluster(self, **members: Any) -> Any:
        """Create the cluster."""
        return self.ecs.create_cluster(clusterName=self.name, **members)["cluster"]

    def define(self, *, units: int = 10, **members: Any) -> Any:
        """Register a revision of the family, whose container needs these CPU units."""
        containers = [{"name": "main", "image": "busybox", "cpu": units, "memory": 10}]
        request = {"family": self.name, "containerDefinitions": containers, **members}
        return self.ecs.register_task_definition(**request)["taskDefinition"]

    def instance(self) -> str:
        """Register an instance."""
        machine = "i-0123456789abcdef0"
        if self.ec2 is not None:
            machine = self.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0][
                "InstanceId"
            ]
        document = json.dumps({"instanceId": machine})
        answer = self.ecs.register_container_instance(cluster=self.name, instanceIdentityDocument=document)
        return str(answer["containerInstance"]["containerInstanceArn"])

    def ready(self) -> str:
        """Set up a cluster with an instance, and a definition."""
        self.cluster()
        self.define()
        return self.instance()

    def run(self, **members: Any) -> Any:
        """Run tasks of the family."""
        return self.ecs.run_task(cluster=self.name, taskDefinition=self.name, **members)

    def task(self) -> str:
        """Run one task."""
        return str(self.run()["tasks"][0]["taskArn"])

    def error(self, call: Callable[[], Any]) -> str | None:
        """Return the code of the error that a call raises, or None."""
        try:
            call()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    def result_of(self, call: Callable[[], Any]) -> Any:
        """Return the value of a call, or the code of its error."""
        try:
            return call()
        except ClientError as error:
            return error.response["Error"]["Code"]


Case = Callable[[Lab], Any]
CASES: dict[str, Case] = {}


def case(check: Case) -> Case:
    """Add a case to the table."""
    CASES[check.__name__.removeprefix("case_")] = check
    return check


@case
def case_cluster_created(lab: Lab) -> Any:
    made = lab.cluster(tags=[{"key": "k", "value": "v"}])
    return [made[name] for name in ("clusterName", "status", "runningTasksCount", "activeServicesCount", "tags")]


@case
def case_cluster_created_with_everything(lab: Lab) -> Any:
    settings = [{"name": "containerInsights", "value": "enabled"}]
    items = [{"capacityProvider": "FARGATE", "weight": 1, "base": 1}]
    lab.cluster(settings=settings, capacityProviders=BOTH, defaultCapacityProviderStrategy=items)
    (made,) = lab.ecs.describe_clusters(clusters=[lab.name], include=["SETTINGS"])["clusters"]
    return [made["settings"], made["capacityProviders"], made["defaultCapacityProviderStrategy"]]


@case
def case_cluster_listed(lab: Lab) -> Any:
    return lab.cluster()["clusterArn"] in lab.ecs.list_clusters()["clusterArns"]


@case
def case_cluster_unknown(lab: Lab) -> Any:
    return [each["reason"] for each in lab.ecs.describe_clusters(clusters=[lab.name])["failures"]]


@case
def case_cluster_deleted(lab: Lab) -> Any:
    lab.cluster()
    return lab.ecs.delete_cluster(cluster=lab.name)["cluster"]["status"]


@case
def case_cluster_with_instances_deleted(lab: Lab) -> Any:
    lab.ready()
    return lab.error(lambda: lab.ecs.delete_cluster(cluster=lab.name))


@case
def case_cluster_updated(lab: Lab) -> Any:
    lab.cluster()
    settings = [{"name": "containerInsights", "value": "enabled"}]
    return lab.ecs.update_cluster(cluster=lab.name, settings=settings)["cluster"]["settings"]


@case
def case_cluster_given_providers(lab: Lab) -> Any:
    lab.cluster()
    items = [{"capacityProvider": "FARGATE_SPOT", "weight": 2, "base": 0}]
    made = lab.ecs.put_cluster_capacity_providers(
        cluster=lab.name, capacityProviders=BOTH, defaultCapacityProviderStrategy=items
    )["cluster"]
    return [made["capacityProviders"], made["defaultCapacityProviderStrategy"]]


@case
def case_cluster_tagged_and_untagged(lab: Lab) -> Any:
    arn = lab.cluster(tags=[{"key": "a", "value": "1"}])["clusterArn"]
    lab.ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "2"}, {"key": "b", "value": "3"}])
    lab.ecs.untag_resource(resourceArn=arn, tagKeys=["b"])
    return lab.ecs.list_tags_for_resource(resourceArn=arn)["tags"]


@case
def case_definition_revisions(lab: Lab) -> Any:
    return [lab.define()["revision"], lab.define()["revision"]]


@case
def case_definition_without_image(lab: Lab) -> Any:
    return lab.error(lambda: lab.define(containerDefinitions=[{"name": "main", "memory": 10}]))


@case
def case_definition_without_memory(lab: Lab) -> Any:
    return lab.error(lambda: lab.define(containerDefinitions=[{"name": "main", "image": "busybox"}]))


@case
def case_definition_for_fargate_without_size(lab: Lab) -> Any:
    return lab.error(lambda: lab.define(requiresCompatibilities=["FARGATE"], networkMode="awsvpc"))


@case
def case_definition_for_fargate_in_bridge_mode(lab: Lab) -> Any:
    size: dict[str, Any] = {"cpu": "256", "memory": "512"}
    return lab.error(lambda: lab.define(requiresCompatibilities=["FARGATE"], networkMode="bridge", **size))


@case
def case_definition_of_an_odd_fargate_size(lab: Lab) -> Any:
    size: dict[str, Any] = {"cpu": "1024", "memory": "512"}
    return lab.error(lambda: lab.define(requiresCompatibilities=["FARGATE"], networkMode="awsvpc", **size))


@case
def case_definitions_listed_by_family(lab: Lab) -> Any:
    lab.define()
    listed = [
        lab.ecs.list_task_definitions(familyPrefix=prefix)["taskDefinitionArns"] for prefix in (lab.name, lab.name[:-1])
    ]
    return [len(arns) for arns in listed]


@case
def case_families_listed_by_prefix(lab: Lab) -> Any:
    lab.define()
    return lab.ecs.list_task_definition_families(familyPrefix=lab.name[:-1])["families"]


@case
def case_definition_deregistered(lab: Lab) -> Any:
    arn = lab.define()["taskDefinitionArn"]
    gone = lab.ecs.deregister_task_definition(taskDefinition=arn)["taskDefinition"]
    described = lab.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    return [
        gone["status"],
        described["status"],
        lab.ecs.list_task_definitions(familyPrefix=lab.name)["taskDefinitionArns"],
    ]


@case
def case_definition_deregistered_runs_no_more(lab: Lab) -> Any:
    lab.ready()
    revision = f"{lab.name}:1"
    lab.ecs.deregister_task_definition(taskDefinition=revision)
    return lab.error(lambda: lab.ecs.run_task(cluster=lab.name, taskDefinition=revision))


@case
def case_definition_deleted_while_active(lab: Lab) -> Any:
    arn = lab.define()["taskDefinitionArn"]
    answer = lab.ecs.delete_task_definitions(taskDefinitions=[arn])
    return [len(answer["taskDefinitions"]), len(answer["failures"])]


@case
def case_definition_latest(lab: Lab) -> Any:
    lab.define()
    lab.define()
    return lab.ecs.describe_task_definition(taskDefinition=lab.name)["taskDefinition"]["revision"]


@case
def case_definition_unknown(lab: Lab) -> Any:
    return lab.error(lambda: lab.ecs.describe_task_definition(taskDefinition=lab.name))


@case
def case_instance_registered(lab: Lab) -> Any:
    arn = lab.ready()
    (found,) = lab.ecs.describe_container_instances(cluster=lab.name, containerInstances=[arn])["containerInstances"]
    return [found["status"], found["agentConnected"], found["runningTasksCount"]]


@case
def case_instance_unknown(lab: Lab) -> Any:
    lab.cluster()

    def reasons() -> Any:
        answer = lab.ecs.describe_container_instances(cluster=lab.name, containerInstances=["f" * 32])
        return [each["reason"] for each in answer["failures"]]

    return lab.result_of(reasons)


@case
def case_instances_none_described(lab: Lab) -> Any:
    lab.cluster()
    return lab.error(lambda: lab.ecs.describe_container_instances(cluster=lab.name, containerInstances=[]))


@case
def case_instance_with_tasks_deregistered(lab: Lab) -> Any:
    arn = lab.ready()
    lab.run()
    call = lab.ecs.deregister_container_instance
    refused = lab.error(lambda: call(cluster=lab.name, containerInstance=arn))
    gone = call(cluster=lab.name, containerInstance=arn, force=True)["containerInstance"]
    return [refused, gone["status"], lab.ecs.list_container_instances(cluster=lab.name)["containerInstanceArns"]]


@case
def case_instance_drained(lab: Lab) -> Any:
    arn = lab.ready()
    call = lab.ecs.update_container_instances_state
    drained = call(cluster=lab.name, containerInstances=[arn], status="DRAINING")["containerInstances"]
    refused = lab.error(lambda: call(cluster=lab.name, containerInstances=[arn], status="test_status"))
    draining = lab.ecs.list_container_instances(cluster=lab.name, status="DRAINING")["containerInstanceArns"]
    return [drained[0]["status"], refused, draining == [arn]]


@case
def case_attributes(lab: Lab) -> Any:
    arn = lab.ready()
    lab.ecs.put_attributes(cluster=lab.name, attributes=[{"name": "rack", "value": "7", "targetId": arn}])

    def found() -> list[str]:
        answer = lab.ecs.list_attributes(
            cluster=lab.name, targetType="container-instance", attributeName="rack", attributeValue="7"
        )
        return [each["value"] for each in answer["attributes"]]

    before = found()
    named = {"name": "rack", "value": "7", "targetId": arn.split("/")[-1], "targetType": "container-instance"}
    lab.ecs.delete_attributes(cluster=lab.name, attributes=[named])
    return [before, found()]


@case
def case_tasks_run(lab: Lab) -> Any:
    arn = lab.ready()
    tasks = lab.run(count=2, startedBy="moto")["tasks"]
    return [len(tasks), {task["containerInstanceArn"] == arn for task in tasks} == {True}, tasks[0]["desiredStatus"],
            tasks[0]["startedBy"], tasks[0]["launchType"]]  # fmt: skip


@case
def case_tasks_run_without_instances(lab: Lab) -> Any:
    lab.cluster()
    lab.define()
    return lab.error(lab.run)


@case
def case_tasks_run_without_capacity(lab: Lab) -> Any:
    lab.cluster()
    lab.define(units=3000)
    lab.instance()
    answer = lab.run(count=2)
    return [len(answer["tasks"]), [each["reason"] for each in answer["failures"]]]


@case
def case_task_of_an_unknown_definition(lab: Lab) -> Any:
    lab.cluster()
    return lab.error(lab.run)


@case
def case_fargate_task_without_a_network(lab: Lab) -> Any:
    lab.cluster()
    lab.ecs.register_task_definition(
        family=lab.name, networkMode="awsvpc", cpu="256", memory="512", requiresCompatibilities=["FARGATE"],
        containerDefinitions=[{"name": "main", "image": "busybox"}],
    )  # fmt: skip
    return lab.error(lambda: lab.run(launchType="FARGATE"))


@case
def case_eleven_tasks(lab: Lab) -> Any:
    lab.ready()
    return lab.error(lambda: lab.run(count=11))


@case
def case_task_stopped(lab: Lab) -> Any:
    lab.ready()
    task = lab.ecs.stop_task(cluster=lab.name, task=lab.task(), reason="moto testing")["task"]
    return [task["lastStatus"], task["desiredStatus"], task["stoppedReason"]]


@case
def case_task_stopped_is_not_listed_as_running(lab: Lab) -> Any:
    lab.ready()
    lab.ecs.stop_task(cluster=lab.name, task=lab.task())
    listed = [lab.ecs.list_tasks(cluster=lab.name, **more)["taskArns"] for more in ({}, {"desiredStatus": "STOPPED"})]
    return [len(arns) for arns in listed]


@case
def case_task_unknown(lab: Lab) -> Any:
    lab.cluster()
    answer = lab.ecs.describe_tasks(cluster=lab.name, tasks=["f" * 32])
    return [each["reason"] for each in answer["failures"]]


@case
def case_task_unknown_stopped(lab: Lab) -> Any:
    lab.cluster()
    return lab.error(lambda: lab.ecs.stop_task(cluster=lab.name, task="f" * 32))


@case
def case_tasks_none_described(lab: Lab) -> Any:
    lab.cluster()
    return lab.error(lambda: lab.ecs.describe_tasks(cluster=lab.name, tasks=[]))


@case
def case_tasks_of_an_unknown_cluster(lab: Lab) -> Any:
    return [lab.error(lambda: lab.ecs.list_tasks(cluster=lab.name)), lab.error(lab.run)]


@case
def case_task_tags(lab: Lab) -> Any:
    lab.ready()
    arn = lab.run(tags=[{"key": "k", "value": "v"}])["tasks"][0]["taskArn"]
    return [
        lab.ecs.describe_tasks(cluster=lab.name, tasks=[arn], **more)["tasks"][0].get("tags", [])
        for more in ({}, {"include": ["TAGS"]})
    ]


@case
def case_task_takes_resources(lab: Lab) -> Any:
    arn = lab.ready()

    def cpu() -> int:
        found = lab.ecs.describe_container_instances(cluster=lab.name, containerInstances=[arn])["containerInstances"]
        return next(int(each["integerValue"]) for each in found[0]["remainingResources"] if each["name"] == "CPU")

    free = cpu()
    task = lab.task()
    taken = free - cpu()
    lab.ecs.stop_task(cluster=lab.name, task=task)
    return [taken, free - cpu()]


DIFFERENCES: dict[str, tuple[Any, Any, str]] = {
    "cluster_with_instances_deleted": (
        "ClusterContainsContainerInstancesException",
        None,
        "[model] DeleteCluster: You must deregister all container instances … before you may delete it.",
    ),
    "definition_for_fargate_without_size": (
        "ClientException",
        None,
        "[model] RegisterTaskDefinition.cpu and memory: This field is required for Fargate.",
    ),
    "definition_of_an_odd_fargate_size": (
        "ClientException",
        None,
        "[model] RegisterTaskDefinition.memory: you must use one of the following values.",
    ),
    "definition_for_fargate_in_bridge_mode": (
        "ClientException",
        None,
        "[model] RegisterTaskDefinition.networkMode: … on Fargate, the awsvpc network mode is required.",
    ),
    "definition_deregistered_runs_no_more": (
        "ClientException",
        None,
        "[model] DeregisterTaskDefinition: You can't use an INACTIVE task definition to run new tasks.",
    ),
    "instance_unknown": (
        ["MISSING"],
        "500",
        "[docs] API failure reasons: MISSING, the container instance is not registered in the cluster.",
    ),
    "instances_none_described": (
        "InvalidParameterException",
        "ClientException",
        "[reported] Container Instances cannot be empty.",
    ),
    "instance_with_tasks_deregistered": (
        ["InvalidParameterException", "INACTIVE", []],
        ["InvalidParameterException", "ACTIVE", []],
        "[model] ContainerInstance.status: The instance then transitions to an INACTIVE status.",
    ),
    "tasks_run": (
        [2, True, "RUNNING", "moto", "EC2"],
        [2, True, "RUNNING", "moto", ""],
        "[model] Task.launchType: The infrastructure where your task runs on.",
    ),
    "tasks_run_without_instances": (
        "InvalidParameterException",
        "500",
        "[reported] No Container Instances were found in your cluster.",
    ),
    "tasks_run_without_capacity": (
        [1, ["RESOURCE:CPU"]],
        [1, []],
        "[docs] API failure reasons: RESOURCE:CPU, the resource requested by the task is unavailable on the instance.",
    ),
    "fargate_task_without_a_network": (
        "InvalidParameterException",
        "500",
        "[reported] Network Configuration must be provided when networkMode 'awsvpc' is specified.",
    ),
    "eleven_tasks": (
        "InvalidParameterException",
        None,
        "[model] RunTask.count: You can specify up to 10 tasks for each call.",
    ),
    "task_stopped_is_not_listed_as_running": (
        [0, 1],
        [1, 1],
        "[model] ListTasks.desiredStatus: The default status filter is RUNNING.",
    ),
    "task_unknown": (
        ["MISSING"],
        [],
        "[docs] API failure reasons: MISSING, the task is not found.",
    ),
    "task_unknown_stopped": (
        "InvalidParameterException",
        "500",
        "[reported] The referenced task was not found.",
    ),
}
"""The result of the local ECS, that of moto, and the AWS document that decides between them."""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Run moto's server on a free port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def answers(moto: str, name: str) -> tuple[Any, Any]:
    """Run a case on both."""
    keys = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    theirs = Lab(client(endpoint_url=moto, **keys), name, client("ec2", endpoint_url=moto, **keys))
    async with LocalECS(instances=0) as local:
        ours = Lab(client(**local.client_kwargs()), name)
        return await asyncio.to_thread(CASES[name], ours), await asyncio.to_thread(CASES[name], theirs)


@pytest.mark.parametrize("name", CASES)
async def test_both_give_the_same_or_aws_decides(name: str, moto: str) -> None:
    """Each difference is in the table, so that a change in moto is noticed."""
    ours, theirs = await answers(moto, name)
    expected = DIFFERENCES.get(name)
    assert (ours, theirs) == ((ours, ours) if expected is None else expected[:2])


def test_each_difference_has_a_case_and_a_reason() -> None:
    """From the model, the developer guide, or what callers report."""
    assert DIFFERENCES.keys() <= CASES.keys()
    assert all(why.startswith(("[model] ", "[docs] ", "[reported] ")) for _, _, why in DIFFERENCES.values())
