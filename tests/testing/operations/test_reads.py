"""reads: the lists and descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing import AwsError, Behaviour, Engine

Json = dict[str, Any]


class Lab:
    """An engine with two instances and a clock that the test sets."""

    def __init__(self, **behaviour: Any) -> None:
        self.now = 1000.0
        self.engine = Engine(clock=lambda: self.now, behaviour=Behaviour(**behaviour))
        self.engine.add_cluster()
        self.hosts = self.engine.add_instances(2)
        self.engine.add_task_definition("demo")
        self.engine.add_task_definition("other")

    def start(self, count: int = 1, host: int = 0, family: str = "demo", **members: Any) -> list[str]:
        """Start tasks and return their ARNs in order of starting."""
        for at in range(0, count, 10):
            request = {
                "taskDefinition": family,
                "containerInstances": [self.hosts[host]] * min(10, count - at),
                **members,
            }
            self.engine.call("StartTask", request)
        return [task.arn for task in self.engine.truth.tasks()][-count:]

    def list(self, **members: Any) -> list[str]:
        """List tasks."""
        arns: list[str] = self.engine.call("ListTasks", members)["taskArns"]
        return arns

    def describe(self, *arns: str, **members: Any) -> Json:
        """Describe tasks."""
        return self.engine.call("DescribeTasks", {"tasks": list(arns), **members})


def test_running_tasks_are_listed_by_default() -> None:
    """desiredStatus is RUNNING by default, and PENDING never finds a task."""
    lab = Lab(pending_seconds=5.0)
    kept, stopped = lab.start(2)
    lab.engine.call("StopTask", {"task": stopped})
    assert lab.list() == lab.list(desiredStatus="RUNNING") == [kept]
    assert lab.list(desiredStatus="STOPPED") == [stopped]
    assert lab.list(desiredStatus="PENDING") == []
    lab.now += 3600
    assert lab.list(desiredStatus="STOPPED") == []


def test_filters_combine() -> None:
    """Cluster, instance, family, service, launch type: a task must match all."""
    lab = Lab()
    (a,) = lab.start(group="service:web")
    (b,) = lab.start(host=1)
    (c,) = lab.start(host=1, family="other")
    assert lab.list(containerInstance=lab.hosts[1]) == [b, c]
    assert lab.list(containerInstance=lab.hosts[1].rsplit("/", 1)[-1], family="other") == [c]
    assert lab.list(family="demo") == [a, b]
    assert lab.list(family="nobody") == []
    assert lab.list(serviceName="web") == lab.list(daemonName="web") == [a]
    assert lab.list(launchType="EC2") == [a, b, c]
    assert lab.list(launchType="FARGATE") == []
    with pytest.raises(AwsError, match="The specified container instance does not exist"):
        lab.list(containerInstance="f" * 32)


@pytest.mark.parametrize(
    ("reading", "found"),
    [("allow", ["stopped"]), ("ignore", ["running"]), ("reject", None)],
)
def test_started_by_with_stopped_has_three_behaviours(reading: str, found: list[str] | None) -> None:
    """AWS's documentation and its users disagree; each behavior can be chosen."""
    lab = Lab(started_by_with_status=reading)
    names = dict(zip(lab.start(2, startedBy="token"), ("running", "stopped"), strict=True))
    lab.engine.call("StopTask", {"task": list(names)[1]})
    assert [names[arn] for arn in lab.list(startedBy="token")] == ["running"]
    assert [names[arn] for arn in lab.list(startedBy="token", desiredStatus="RUNNING")] == ["running"]
    if found is None:
        with pytest.raises(AwsError, match="cannot specify startedBy with other arguments"):
            lab.list(startedBy="token", desiredStatus="STOPPED")
    else:
        assert [names[arn] for arn in lab.list(startedBy="token", desiredStatus="STOPPED")] == found


def test_started_by_allows_no_other_filter() -> None:
    """Except the cluster; the long ones of RunTask can be listed."""
    lab = Lab()
    (arn,) = lab.start(startedBy="token")
    assert lab.list(startedBy="token", cluster="default") == [arn]
    assert lab.list(startedBy="x" * 128) == []
    for mark in ("AWS Step Functions", "ecs-svc/1234567890", "x" * 300):  # those of AWS services: a start refuses them
        assert lab.list(startedBy=mark) == []
    for name, value in {
        "family": "demo",
        "containerInstance": lab.hosts[0],
        "launchType": "EC2",
        "serviceName": "s",
    }.items():
        with pytest.raises(AwsError, match="cannot specify startedBy with other arguments"):
            lab.list(startedBy="token", **{name: value})


def test_pages_are_consistent_while_tasks_start_and_stop() -> None:
    """A hundred a page, or `maxResults`; every task that remains is listed once."""
    lab = Lab()
    arns = lab.start(230)
    first = lab.engine.call("ListTasks", {})
    assert (len(first["taskArns"]), "nextToken" in first) == (100, True)
    for arn in (arns[50], arns[150]):
        lab.engine.call("StopTask", {"task": arn})
    late = lab.start(1)
    second = lab.engine.call("ListTasks", {"nextToken": first["nextToken"]})
    third = lab.engine.call("ListTasks", {"nextToken": second["nextToken"]})
    assert "nextToken" not in third
    seen = first["taskArns"] + second["taskArns"] + third["taskArns"]
    assert seen == [arn for arn in arns if arn != arns[150]] + late
    assert len(lab.engine.call("ListTasks", {"maxResults": 7})["taskArns"]) == 7


@pytest.mark.parametrize("token", ["nonsense", "ä", "YWlvZWNzOm90aGVyOjE=", "YWlvZWNzOmRlZmF1bHQ6eA=="])
def test_an_invalid_page_token_is_refused(token: str) -> None:
    """So is a token of another cluster."""
    lab = Lab()
    for operation in ("ListTasks", "ListContainerInstances"):
        with pytest.raises(AwsError, match="InvalidParameterException: Invalid token"):
            lab.engine.call(operation, {"nextToken": token})


@pytest.mark.parametrize(
    ("behaviour", "listed", "described"),
    [
        ({}, 0.0, 0.0),
        ({"visibility_lag": 2.0}, 2.0, 2.0),
        ({"visibility_lag": 2.0, "describe_lag": 0.0}, 2.0, 0.0),
        ({"describe_lag": 3.0}, 0.0, 3.0),
    ],
)
def test_a_new_task_is_visible_late(behaviour: Json, listed: float, described: float) -> None:
    """ListTasks and DescribeTasks lag, each by its own time; StopTask doesn't."""
    lab = Lab(**behaviour)
    (arn,) = lab.start(startedBy="token")
    for at in (0.0, 1.5, 2.0, 3.0):
        lab.now = 1000.0 + at
        for filters in ({}, {"startedBy": "token"}, {"containerInstance": lab.hosts[0]}):
            assert bool(lab.list(**filters)) is (at >= listed)
        answer = lab.describe(arn)
        assert bool(answer["tasks"]) is (at >= described)
        assert answer["failures"] == ([] if at >= described else [{"arn": arn, "reason": "MISSING"}])
    lab.start()
    lab.engine.call("StopTask", {"task": lab.engine.truth.tasks()[-1].arn})


def test_describes_tasks_once_each_in_another_order() -> None:
    """By id or ARN; unknown ones are MISSING; tags only if included."""
    lab = Lab()
    a, b = lab.start(2, tags=[{"key": "k", "value": "v"}])
    answer = lab.describe(a, b.rsplit("/", 1)[-1], a, "f" * 32, b.rsplit("/", 1)[0] + "/" + "e" * 32)
    assert [task["taskArn"] for task in answer["tasks"]] == [b, a]
    assert [each["arn"][-1] for each in answer["failures"]] == ["f", "e"]
    assert {each["reason"] for each in answer["failures"]} == {"MISSING"}
    assert {task["lastStatus"] for task in answer["tasks"]} == {"RUNNING"}
    assert [task["tags"] for task in answer["tasks"]] == [[], []]
    assert lab.describe(a, include=["TAGS"])["tasks"][0]["tags"] == [{"key": "k", "value": "v"}]


@pytest.mark.parametrize(
    ("operation", "member", "title"),
    [("DescribeTasks", "tasks", "Tasks"), ("DescribeContainerInstances", "containerInstances", "Container Instances")],
)
def test_describes_up_to_a_hundred(operation: str, member: str, title: str) -> None:
    """And at least one."""
    engine = Lab().engine
    assert len(engine.call(operation, {member: [f"{at:032d}" for at in range(100)]})["failures"]) == 100
    with pytest.raises(AwsError, match="can have at most 100 items"):
        engine.call(operation, {member: ["f" * 32] * 101})
    with pytest.raises(AwsError, match=f"{title} cannot be empty"):
        engine.call(operation, {})


def test_lists_instances_by_status_and_query() -> None:
    """Without a status all except the deregistered, draining ones included."""
    lab = Lab()
    third, fourth = lab.engine.add_instances(2, attributes={"stack": "prod", "bare": None})
    lab.engine.drain(third)
    lab.engine.deregister_instance(fourth)
    lab.start(host=1)

    def listed(**members: Any) -> list[str]:
        arns: list[str] = lab.engine.call("ListContainerInstances", members)["containerInstanceArns"]
        return arns

    assert listed() == [*lab.hosts, third]
    assert listed(status="ACTIVE") == lab.hosts
    assert listed(status="DRAINING") == listed(filter="attribute:stack == prod") == [third]
    assert listed(filter="attribute:bare exists") == [third]
    assert listed(filter="task:group == family:demo and agentConnected == true") == [lab.hosts[1]]
    assert listed(filter="runningTasksCount == 0") == [lab.hosts[0], third]
    assert listed(filter="attribute:ecs.availability-zone in [us-east-1b, us-east-1c]") == [lab.hosts[1], third]
    assert listed(filter="registeredAt < 2018-01-01 and agentVersion > 1.0") == [*lab.hosts, third]
    (chosen,) = lab.engine.call("DescribeContainerInstances", {"containerInstances": [third]})["containerInstances"]
    assert listed(filter=f"ec2InstanceId == {chosen['ec2InstanceId']}") == [third]
    with pytest.raises(AwsError, match="InvalidParameterException: Invalid filter expression"):
        listed(filter="attribute:stack is prod")
    with pytest.raises(AwsError, match="InvalidParameterException: status must be one of"):
        listed(status="INACTIVE")


def test_instances_are_listed_in_pages() -> None:
    """A hundred at most; new instances come last."""
    lab = Lab()
    lab.engine.add_instances(148)
    first = lab.engine.call("ListContainerInstances", {})
    lab.engine.add_instances(1)
    second = lab.engine.call("ListContainerInstances", {"nextToken": first["nextToken"]})
    assert (len(first["containerInstanceArns"]), len(second["containerInstanceArns"])) == (100, 51)
    assert "nextToken" not in second
    assert first["containerInstanceArns"] + second["containerInstanceArns"] == lab.engine.instance_arns()


def test_describes_instances_deregistered_ones_too() -> None:
    """Unknown ones are MISSING; ids and ARNs may be mixed."""
    lab = Lab()
    lab.engine.deregister_instance(lab.hosts[1])
    arn = lab.hosts[0].rsplit("/", 1)[0] + "/" + "e" * 32
    named = [lab.hosts[0].rsplit("/", 1)[-1], lab.hosts[1], "f" * 32, arn]
    answer = lab.engine.call("DescribeContainerInstances", {"containerInstances": named})
    assert [each["status"] for each in answer["containerInstances"]] == ["INACTIVE", "ACTIVE"]
    assert [each["arn"] for each in answer["failures"]] == [arn.replace("e" * 32, "f" * 32), arn]


def test_describes_a_definition_with_its_tags_if_included() -> None:
    """By family, revision or ARN."""
    engine = Lab().engine
    arn = engine.add_task_definition("tagged", tags={"k": "v"})
    assert "tags" not in engine.call("DescribeTaskDefinition", {"taskDefinition": "tagged"})
    answer = engine.call("DescribeTaskDefinition", {"taskDefinition": arn, "include": ["TAGS"]})
    assert (answer["taskDefinition"]["taskDefinitionArn"], answer["tags"]) == (arn, [{"key": "k", "value": "v"}])
    with pytest.raises(AwsError, match="ClientException"):
        engine.call("DescribeTaskDefinition", {})


def test_a_filter_accepts_what_a_start_is_refused_for() -> None:
    """AWS's own values of startedBy, of any length, and unknown statuses and launch types."""
    lab = Lab()
    (arn,) = lab.start(1)
    task = lab.engine.truth.task(arn)
    assert task is not None
    for name in ("AWS Step Functions", "ecs-svc/0123456789", "events-rule/a b", "x" * 200):
        assert lab.list(startedBy=name) == []
    assert lab.list(launchType="MOON") == lab.list(desiredStatus="LATER") == []
    assert lab.engine.call("ListContainerInstances", {"status": "RESTING"})["containerInstanceArns"] == []
