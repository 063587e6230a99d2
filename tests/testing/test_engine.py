"""_engine: requests and their answers or errors."""

from __future__ import annotations

import json
import random
from typing import Any

import attrs
import botocore.session
import pytest

from aioecs.testing import AwsError, Behaviour, Bucket, Engine
from aioecs.testing._engine import OPERATIONS, throttled


def engine(**members: Any) -> Engine:
    """Return an engine with an instance and a fixed time."""
    made = Engine(clock=lambda: 1000.0, **members)
    made.add_cluster()
    made.add_instances(1)
    made.add_task_definition("demo")
    return made


def start(made: Engine) -> dict[str, Any]:
    """Return a valid StartTask request."""
    return {"taskDefinition": "demo", "containerInstances": made.instance_arns()}


def test_an_answer_is_a_status_and_a_body() -> None:
    """An error is an answer too; the call's number identifies it in `truth`."""
    made = engine()
    good = made.answer("StartTask", start(made))
    assert (good.status, good.error, good.call, len(good.body["tasks"])) == (200, None, 1, 1)
    bad = made.answer("StartTask", {})
    assert (bad.status, bad.error, bad.call) == (400, "InvalidParameterException", 2)
    assert bad.body == {"__type": "InvalidParameterException", "message": "Container Instances cannot be empty."}
    assert made.answer("ListTasks", {}).call == 0


def test_call_raises_the_error_of_an_answer() -> None:
    """With code, message, status and the further members."""
    made = engine()
    made.call("RunTask", {"taskDefinition": "demo", "clientToken": "k"})
    with pytest.raises(AwsError) as raised:
        made.call("RunTask", {"taskDefinition": "demo", "clientToken": "k", "count": 2})
    error = raised.value
    assert (error.code, error.status, list(error.members)) == ("ConflictException", 400, ["resourceIds"])
    assert made.call("ListClusters") == {"clusterArns": ["arn:aws:ecs:us-east-1:123456789012:cluster/default"]}


def test_an_unknown_operation_is_an_error() -> None:
    """Whatever its request."""
    answer = engine().answer("Fly", {})
    assert (answer.status, answer.error) == (400, "UnknownOperationException")


@pytest.mark.parametrize("operation", ["CreateService", "DescribeServices", "CreateTaskSet", "DescribeTaskSets"])
def test_services_and_task_sets_are_unsupported(operation: str) -> None:
    """The message says so."""
    answer = engine().answer(operation, {})
    assert (answer.status, answer.error) == (400, "UnsupportedFeatureException")
    assert answer.body["message"] == f"{operation}: the local ECS has no services and no task sets."


def test_an_expired_key_is_refused() -> None:
    """Other keys are accepted; the set can be changed at any time."""
    made = engine(expired_keys=["OLD"])
    assert made.answer("StartTask", start(made), access_key="OLD").error == "ExpiredTokenException"
    assert made.answer("StartTask", start(made), access_key="NEW").error is None
    made.expired_keys.clear()
    assert made.answer("StartTask", start(made), access_key="OLD").error is None
    assert [call.executed for call in made.truth.calls()] == [False, True, True]


def test_a_denied_operation_names_the_action() -> None:
    """As IAM does."""
    made = engine(denied=["StopTask"])
    answer = made.answer("StopTask", {"task": "f" * 32})
    assert answer.error == "AccessDeniedException"
    assert "is not authorized to perform: ecs:StopTask because" in answer.body["message"]
    assert made.answer("ListTasks", {}).error is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"denied": "StopTask"}, "denied: a list of names, not 'StopTask'"),
        ({"denied": ["StopTasks"]}, "denied: 'StopTasks' is no operation of the local ECS"),
        ({"denied": ["ecs:StopTask"]}, "denied: 'ecs:StopTask' is no operation of the local ECS"),
        ({"expired_keys": "OLD"}, "expired_keys: a list of names, not 'OLD'"),
        ({"throttle": "published"}, "throttle: buckets by category, 'documented' or None, not 'published'"),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(settings: dict[str, Any], message: str) -> None:
    """A test that relies on it would pass for the wrong reason."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        engine(**settings)


def test_an_empty_bucket_throttles_before_execution() -> None:
    """Nothing is started, and `truth` counts the throttle."""
    made = engine(throttle={"modify": Bucket(1, 0)})
    assert made.answer("StartTask", start(made)).error is None
    answer = made.answer("StartTask", start(made))
    assert (answer.status, answer.error, answer.body["message"]) == (400, "ThrottlingException", "Rate exceeded")
    assert len(made.truth.tasks()) == 1
    assert (made.truth.requests["StartTask"], made.truth.throttled["StartTask"]) == (2, 1)
    assert [call.executed for call in made.truth.calls()] == [True, False]
    made.buckets.set(None)
    assert made.answer("StartTask", start(made)).error is None


def test_a_throttle_can_be_disguised() -> None:
    """As an InvalidParameterException with `Rate exceeded` in its message; can be switched on at any time."""
    made = engine(throttle={"read": Bucket(0, 0)})
    assert made.behaviour == Behaviour()
    made.behaviour = attrs.evolve(made.behaviour, disguise_throttle=True)
    answer = made.answer("ListTasks", {})
    assert answer.error == "InvalidParameterException"
    assert "Rate exceeded" in answer.body["message"]
    assert "Error Code: ThrottlingException" in answer.body["message"]
    assert throttled(disguised=False).code == "ThrottlingException"


def test_the_effect_of_a_fault_is_recorded() -> None:
    """A call hit before execution was not executed; one whose answer was lost was."""
    made = engine()
    made.record_not_executed("StartTask", {"startedBy": "a"}, "reset")
    answer = made.answer("StartTask", start(made), fault="close")
    made.record_unanswered(answer.call)
    made.count_throttle("StartTask")
    refused, unanswered = made.truth.calls()
    assert (refused.fault, refused.executed, refused.answered, refused.token) == ("reset", False, False, "a")
    assert (unanswered.fault, unanswered.executed, unanswered.answered, len(unanswered.tasks)) == (
        "close",
        True,
        False,
        1,
    )
    assert made.truth.throttled["StartTask"] == 1


@pytest.mark.parametrize(
    ("partition", "region"),
    [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1"), ("aws", "eu-west-1")],
)
def test_an_engine_is_of_one_partition_and_region(partition: str, region: str) -> None:
    """Its ARNs name them, and ARNs of others are invalid."""
    made = engine(partition=partition, region=region, account_id="999999999999")
    task = made.call("StartTask", start(made))["tasks"][0]
    assert task["taskArn"].startswith(f"arn:{partition}:ecs:{region}:999999999999:task/default/")
    assert task["availabilityZone"] == f"{region}a"
    foreign = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/" + "f" * 32
    answer = made.answer("StartTask", {**start(made), "containerInstances": [foreign]})
    assert answer.error == "InvalidParameterException"


def test_every_operation_handles_an_empty_request() -> None:
    """It answers, or raises an AwsError; no other exception."""
    made = engine()
    for operation in OPERATIONS:
        made.answer(operation, {})


def test_no_request_breaks_the_engine() -> None:
    """Three thousand mutations of valid requests, seeded: each is answered, or refused with a 4xx."""
    rng = random.Random(7)
    made = engine()
    host = made.instance_arns()[0]
    made.add_task_definition("web", network_mode="awsvpc", task_size=(256, 512))
    strings = [
        "demo",
        "web",
        "demo:1",
        "default",
        "container-instance",
        host,
        "FARGATE",
        "EC2",
        "x" * 400,
        "",
        "\ud800",
    ]
    numbers = [0, -1, 3, 10**30, 1.5, True]

    def value(depth: int) -> Any:
        kind = rng.randrange(8 if depth else 4)
        if kind < 3:
            return rng.choice(strings)
        if kind == 3:
            return rng.choice([*numbers, None])
        if kind < 6:
            return [value(depth - 1) for _ in range(rng.randrange(3))]
        return {rng.choice(names): value(depth - 1) for _ in range(rng.randrange(5))}

    services = [
        botocore.session.get_session().get_service_model(name) for name in ("logs", "ecs")
    ]  # the later one wins a name
    models = {name: service.operation_model(name) for service in services for name in service.operation_names}
    names = sorted({name for operation in OPERATIONS for name in models[operation].input_shape.members})
    names += ["name", "value", "type", "field", "expression", "image", "memory", "subnets", "awsvpcConfiguration"]
    for _ in range(3000):
        operation = rng.choice(list(OPERATIONS))
        members = list(models[operation].input_shape.members)
        request = {name: value(3) for name in members if rng.random() < 0.5}
        answer = made.answer(operation, request)
        assert answer.status < 500
        json.dumps(answer.body)
