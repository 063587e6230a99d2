"""starts: StartTask, RunTask and StopTask."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs.testing import AwsError, Behaviour, Engine
from aioecs.testing._operations.starts import reorder

Json = dict[str, Any]


def engine(instances: int = 3, *, behaviour: Behaviour | None = None, **members: Any) -> Engine:
    """Return an engine with so many instances and the definition `demo`."""
    made = Engine(clock=lambda: 1000.0, behaviour=behaviour)
    made.add_cluster()
    made.add_instances(instances, **members)
    made.add_task_definition("demo", tags={"of": "definition"})
    return made


def start(made: Engine, instances: list[str], definition: str = "demo", **members: Any) -> Json:
    """Call StartTask."""
    return made.call("StartTask", {"taskDefinition": definition, "containerInstances": instances, **members})


def hosts(answer: Json) -> list[str]:
    """List the instances of the tasks in an answer."""
    return [task["containerInstanceArn"] for task in answer["tasks"]]


def test_one_task_per_entry_in_another_order() -> None:
    """A repeated instance gets one task each time; ids and ARNs may be mixed."""
    made = engine()
    one, two, three = made.instance_arns()
    asked = [one, two.rsplit("/", 1)[-1], three, one]
    answer = start(made, asked)
    assert Counter(hosts(answer)) == {one: 2, two: 1, three: 1}
    assert hosts(answer) != [one, two, three, one]
    assert answer["failures"] == []
    assert len({task["taskArn"] for task in answer["tasks"]}) == 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Engine.deregister_instance, "INACTIVE"),
        (Engine.drain, "INACTIVE"),
        (partial(Engine.set_agent, connected=False), "AGENT"),
    ],
)
def test_an_unavailable_instance_is_a_failure(change: Any, reason: str) -> None:
    """Tasks on the other instances start."""
    made = engine()
    one, two, three = made.instance_arns()
    change(made, two)
    answer = start(made, [one, two, three])
    assert set(hosts(answer)) == {one, three}
    assert [(each["arn"], each["reason"]) for each in answer["failures"]] == [(two, reason)]


@pytest.mark.parametrize(
    ("host", "definition", "reason"),
    [
        ({"cpu": 9}, {}, "RESOURCE:CPU"),
        ({"memory": 9}, {}, "RESOURCE:MEMORY"),
        ({}, {"host_ports": [22]}, "RESOURCE:PORTS"),
        ({"gpus": 1}, {"gpus": 2}, "RESOURCE:GPU"),
        ({}, {"requires": ["ssd"]}, "ATTRIBUTE"),
        ({"attributes": {"ssd": "no"}}, {"requires": {"ssd": "yes"}}, "ATTRIBUTE"),
    ],
)
def test_a_task_that_does_not_fit_is_a_failure(host: Json, definition: Json, reason: str) -> None:
    """Nothing is started, and no resources are reserved."""
    made = engine(1, **host)
    made.add_task_definition("big", **definition)
    answer = start(made, made.instance_arns(), "big")
    assert (answer["tasks"], answer["failures"]) == ([], [{"arn": made.instance_arns()[0], "reason": reason}])


def test_capacity_runs_out_within_a_call() -> None:
    """Of five tasks three fit and two are refused; a stopped task frees its resources."""
    made = engine(1, cpu=30)
    (one,) = made.instance_arns()
    answer = start(made, [one] * 5)
    assert len(answer["tasks"]) == 3
    assert [each["reason"] for each in answer["failures"]] == ["RESOURCE:CPU"] * 2
    made.call("StopTask", {"task": answer["tasks"][0]["taskArn"]})
    assert len(start(made, [one] * 2)["tasks"]) == 1


def test_a_fixed_port_allows_one_task_per_instance() -> None:
    """Until the task is stopped."""
    made = engine(1)
    made.add_task_definition("web", host_ports=[8080])
    (one,) = made.instance_arns()
    answer = start(made, [one, one], "web")
    assert [each["reason"] for each in answer["failures"]] == ["RESOURCE:PORTS"]
    made.call("StopTask", {"task": answer["tasks"][0]["taskArn"]})
    assert len(start(made, [one], "web")["tasks"]) == 1


def test_interfaces_limit_awsvpc_tasks() -> None:
    """RESOURCE:ENI if an instance has no free interface."""
    made = engine(1, enis=1)
    made.add_task_definition("net", network_mode="awsvpc")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    answer = start(made, made.instance_arns() * 2, "net", networkConfiguration=network)
    assert (len(answer["tasks"]), answer["failures"][0]["reason"]) == (1, "RESOURCE:ENI")


def test_an_unknown_instance_is_missing() -> None:
    """The failure has its ARN, or the ARN in the request."""
    made = engine(1)
    arn = made.instance_arns()[0].rsplit("/", 1)[0] + "/" + "e" * 32
    failures = start(made, ["f" * 32, arn])["failures"]
    assert {each["reason"] for each in failures} == {"MISSING"}
    assert {each["arn"] for each in failures} == {arn, arn.replace("e" * 32, "f" * 32)}
    assert [each["arn"] for each in failures] != [arn.replace("e" * 32, "f" * 32), arn]


def test_a_malformed_instance_starts_nothing() -> None:
    """An InvalidParameterException means that no task exists."""
    made = engine(1)
    with pytest.raises(AwsError, match="InvalidParameterException"):
        start(made, [*made.instance_arns(), "i with spaces"])
    assert made.truth.tasks() == []


def test_a_draining_instance_can_accept_tasks() -> None:
    """ECS doesn't document its behavior."""
    made = engine(1, behaviour=Behaviour(draining="accept"))
    made.drain(made.instance_arns()[0])
    assert len(start(made, made.instance_arns())["tasks"]) == 1
    made.activate(made.instance_arns()[0])
    assert len(start(made, made.instance_arns())["tasks"]) == 1
    refusing = engine(1)
    refusing.drain(refusing.instance_arns()[0])
    assert start(refusing, refusing.instance_arns())["failures"][0]["detail"] == "The container instance is DRAINING."


def test_a_task_has_the_members_of_its_request() -> None:
    """Overrides, group, tags, startedBy; defaults for absent members."""
    made = engine(1)
    overrides = {"containerOverrides": [{"name": "main", "cpu": 20, "environment": [{"name": "A", "value": "b"}]}]}
    (task,) = start(
        made, made.instance_arns(), overrides=overrides, group="g", startedBy="who", enableExecuteCommand=True,
        tags=[{"key": "k", "value": "v"}], propagateTags="TASK_DEFINITION", enableECSManagedTags=True,
    )["tasks"]  # fmt: skip
    assert task["overrides"]["containerOverrides"] == overrides["containerOverrides"]
    assert (task["group"], task["startedBy"], task["enableExecuteCommand"], task["cpu"]) == ("g", "who", True, "20")
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == {
        "of": "definition", "k": "v", "aws:ecs:clusterName": "default",
    }  # fmt: skip
    (plain,) = start(made, made.instance_arns())["tasks"]
    assert (plain["group"], plain["tags"], plain["launchType"], plain["version"]) == ("family:demo", [], "EC2", 1)
    assert (plain["lastStatus"], plain["desiredStatus"]) == ("PENDING", "RUNNING")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"containerInstances": []}, "InvalidParameterException"),
        ({"containerInstances": ["f" * 32] * 11}, "InvalidParameterException"),
        ({"startedBy": "x" * 37}, "InvalidParameterException"),
        ({"cluster": "nowhere"}, "ClusterNotFoundException"),
        ({"taskDefinition": "unknown"}, "ClientException"),
        ({"taskDefinition": None}, "ClientException"),
        ({"overrides": {"containerOverrides": [{"name": "nobody"}]}}, "InvalidParameterException"),
        ({"networkConfiguration": {}}, "InvalidParameterException"),
        ({"volumeConfigurations": [{"name": "v"}]}, "InvalidParameterException"),
        ({"tags": [{"key": "aws:x"}]}, "InvalidParameterException"),
        ({"group": 3}, "SerializationException"),
    ],
)
def test_a_start_that_breaks_a_rule_starts_nothing(members: Json, code: str) -> None:
    """For each rule."""
    made = engine(1)
    request = {"taskDefinition": "demo", "containerInstances": made.instance_arns(), **members}
    assert made.answer("StartTask", request).error == code
    assert made.truth.tasks() == []


def run(made: Engine, **members: Any) -> Json:
    """Call RunTask."""
    return made.call("RunTask", {"taskDefinition": "demo", **members})


def test_run_task_spreads_over_the_instances_that_fit() -> None:
    """Evenly, and not on draining ones or those without an agent."""
    made = engine(4)
    made.set_agent(made.instance_arns()[0], connected=False)
    made.drain(made.instance_arns()[1])
    answer = run(made, count=6)
    assert Counter(hosts(answer)) == {made.instance_arns()[2]: 3, made.instance_arns()[3]: 3}
    assert answer["failures"] == []
    assert len(run(made)["tasks"]) == 1


def test_run_task_has_a_failure_for_each_full_instance() -> None:
    """What fits is started."""
    made = engine(2, cpu=10)
    answer = run(made, count=3)
    assert len(answer["tasks"]) == 2
    assert {(each["arn"], each["reason"]) for each in answer["failures"]} == {
        (arn, "RESOURCE:CPU") for arn in made.instance_arns()
    }


def test_run_task_applies_constraints() -> None:
    """memberOf of request and definition, and distinctInstance; startedBy may be longer than StartTask's."""
    made = engine(3)
    chosen = made.call("DescribeContainerInstances", {"containerInstances": made.instance_arns()[1:2]})
    host = chosen["containerInstances"][0]["ec2InstanceId"]
    member = {"type": "memberOf", "expression": f"ec2InstanceId == {host}"}
    answer = run(made, count=2, placementConstraints=[member], startedBy="x" * 128, launchType="EC2")
    assert set(hosts(answer)) == {made.instance_arns()[1]}
    answer = run(made, count=4, group="apart", placementConstraints=[{"type": "distinctInstance"}])
    assert sorted(hosts(answer)) == sorted(made.instance_arns())
    assert {each["reason"] for each in answer["failures"]} == {"DistinctInstance placement constraint unsatisfied."}
    zone = {"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1c"}
    made.add_task_definition("zoned", placementConstraints=[zone])
    assert hosts(run(made, taskDefinition="zoned")) == made.instance_arns()[2:]
    cpu = {"cpu": "5000"}
    assert run(made, overrides=cpu)["failures"][0]["reason"] == "RESOURCE:CPU"


@pytest.mark.parametrize(
    ("agents", "expression", "reason"),
    [(True, "attribute:gone exists", "MemberOf placement constraint unsatisfied."), (False, None, "AGENT")],
)
def test_run_task_without_a_candidate(*, agents: bool, expression: str | None, reason: str) -> None:
    """The failure names the cluster."""
    made = engine(1, agent_connected=agents)
    constraints = [{"type": "memberOf", "expression": expression}] if expression else []
    assert run(made, placementConstraints=constraints)["failures"] == [
        {"arn": "arn:aws:ecs:us-east-1:123456789012:cluster/default", "reason": reason}
    ]


def test_a_definition_whose_attributes_no_instance_has() -> None:
    """Each instance is a failure with ATTRIBUTE."""
    made = engine(1)
    made.add_task_definition("ssd", requires=["ssd"])
    assert run(made, taskDefinition="ssd")["failures"][0]["reason"] == "ATTRIBUTE"


@pytest.mark.parametrize(
    ("instances", "members"),
    [(0, {}), (1, {"count": 11}), (1, {"placementConstraints": [{"type": "memberOf", "expression": "what?"}]})],
)
def test_run_task_that_can_not_be_placed_is_invalid(instances: int, members: Json) -> None:
    """No instance at all, too many tasks, no expression."""
    with pytest.raises(AwsError, match="InvalidParameterException"):
        run(engine(instances), **members)


def engine_with_two_clusters() -> tuple[Engine, list[float]]:
    """Return an engine with a second cluster, and its time, which the test can change."""
    now = [1000.0]
    made = Engine(clock=lambda: now[0])
    for cluster in ("default", "other"):
        made.add_cluster(cluster)
        made.add_instances(2, cluster=cluster)
    made.add_task_definition("demo")
    return made, now


def arns(answer: Json) -> set[str]:
    """Return the ARNs of the tasks in an answer."""
    return {task["taskArn"] for task in answer["tasks"]}


def test_a_client_token_returns_its_tasks() -> None:
    """In their present state, for a day. Another request is a conflict; another cluster has its own tokens."""
    made, now = engine_with_two_clusters()
    first = run(made, count=2, clientToken="key")
    again = run(made, count=2, clientToken="key", cluster="default", overrides=None)
    assert arns(again) == arns(first)
    assert {task["lastStatus"] for task in again["tasks"]} == {"RUNNING"}
    with pytest.raises(AwsError, match="ConflictException") as raised:
        run(made, count=1, clientToken="key")
    assert set(raised.value.members["resourceIds"]) == arns(first)
    assert not arns(run(made, count=1, clientToken="key", cluster="other")) & arns(first)
    now[0] += 86400
    assert arns(run(made, count=2, clientToken="key")) == arns(first)
    now[0] += 1
    assert len(run(made, count=1, clientToken="key")["tasks"]) == 1
    assert len(made.truth.tasks()) == 4


def test_a_client_token_returns_three_members_of_a_stopped_task() -> None:
    """For an hour after the last of its tasks stopped."""
    made, now = engine_with_two_clusters()
    first = run(made, count=2, clientToken="key")["tasks"]
    made.call("StopTask", {"task": first[0]["taskArn"]})
    by_arn = {task["taskArn"]: task for task in run(made, count=2, clientToken="key")["tasks"]}
    assert by_arn[first[0]["taskArn"]] == {
        "taskArn": first[0]["taskArn"],
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
    }
    assert by_arn[first[1]["taskArn"]]["startedAt"] == 1000.0
    now[0] += 7200
    made.call("StopTask", {"task": first[1]["taskArn"]})
    now[0] += 3600
    assert arns(run(made, count=2, clientToken="key")) == by_arn.keys()
    now[0] += 1
    assert not arns(run(made, count=2, clientToken="key")) & by_arn.keys()


def test_a_client_token_without_tasks_can_be_used_again() -> None:
    """Once there is capacity."""
    made = engine(1, cpu=1)
    assert run(made, clientToken="key")["tasks"] == []
    made.add_instances(1)
    assert len(run(made, clientToken="key")["tasks"]) == 1


def test_stop_task_stops_and_removes_the_tags() -> None:
    """By id or ARN; the reason has a default; a stopped task is not changed."""
    made = engine(1)
    first, second = start(made, made.instance_arns() * 2, tags=[{"key": "k", "value": "v"}])["tasks"]
    task = made.call("StopTask", {"task": first["taskArn"], "reason": "why"})["task"]
    assert (task["lastStatus"], task["desiredStatus"], task["stopCode"]) == ("STOPPED", "STOPPED", "UserInitiated")
    assert (task["stoppedReason"], task["tags"], task["containers"][0]["exitCode"]) == ("why", [], 137)
    assert made.call("StopTask", {"task": first["taskArn"], "reason": "again"})["task"] == task
    bare = made.call("StopTask", {"task": second["taskArn"].rsplit("/", 1)[-1]})["task"]
    assert bare["stoppedReason"] == "Task stopped by user"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (None, "Task Identifier is invalid"),
        ("f" * 32, "The referenced task was not found."),
        ("short", "taskId length"),
        ("arn:aws:ecs:us-east-1:123456789012:task/other/" + "f" * 32, "Identifier is for cluster other"),
    ],
)
def test_a_task_that_can_not_be_stopped(task: str | None, message: str) -> None:
    """It is always an InvalidParameterException."""
    with pytest.raises(AwsError, match=f"InvalidParameterException: .*{message}"):
        engine().call("StopTask", {"task": task})


@given(st.lists(st.sampled_from("abc"), max_size=10), st.integers())
def test_an_answer_is_never_in_the_requested_order(keys: list[str], seed: int) -> None:
    """If two instances differ; and every value is kept."""
    values = list(enumerate(keys))
    shuffled = reorder(values, keys, random.Random(seed))
    assert sorted(shuffled) == values
    if len(set(keys)) > 1:
        assert [key for _, key in shuffled] != keys
    elif len(keys) > 1:
        assert shuffled != values
