"""task_event: EventBridge's events as they come, in whatever envelope, and rubbish."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from aioecs._model.task_event import read_event
from aioecs.errors import InvalidRequest

ID = "4c543eed" * 4
ARN = f"arn:aws:ecs:eu-west-1:123456789012:task/render/{ID}"
SECRET = "hunter2-and-more"

DETAIL: dict[str, Any] = {
    "taskArn": ARN,
    "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/render",
    "lastStatus": "STOPPED",
    "desiredStatus": "STOPPED",
    "version": 4,
    "startedAt": "2026-11-25T10:00:00.5Z",
    "stopCode": "EssentialContainerExited",
    "containers": [{"name": "main", "exitCode": 3, "lastStatus": "STOPPED"}],
    "overrides": {"containerOverrides": [{"name": "main", "environment": [{"name": "KEY", "value": SECRET}]}]},
    "updatedAt": "2026-11-25T10:01:00Z",
}
EVENT: dict[str, Any] = {
    "version": "0",
    "detail-type": "ECS Task State Change",
    "source": "aws.ecs",
    "detail": DETAIL,
}
SNS = {"Type": "Notification", "Message": json.dumps(EVENT)}


def with_detail(**members: Any) -> dict[str, Any]:
    """Give the event with these members of its detail changed; None leaves one out."""
    detail = {**DETAIL, **members}
    return {**EVENT, "detail": {name: held for name, held in detail.items() if held is not None}}


def test_an_event_describes_a_task() -> None:
    """Its cluster, its id, and the task as it has become; ISO times are moments, unknown members are kept."""
    change = read_event(EVENT)
    assert change is not None
    assert (change.cluster, change.id, change.version) == ("render", ID, 4)
    task = change.task()
    assert (task.task_arn, task.last_status, task.version) == (ARN, "STOPPED", 4)
    assert task.started_at == datetime(2026, 11, 25, 10, 0, 0, 500_000, UTC)
    assert task.containers[0].exit_code == 3
    assert task.extra == {"updatedAt": DETAIL["updatedAt"]}
    assert SECRET not in repr(change)
    assert SECRET not in repr(task)


@pytest.mark.parametrize(
    "wrapped",
    [
        json.dumps(EVENT),
        json.dumps(EVENT).encode(),
        bytearray(json.dumps(EVENT).encode()),
        {"MessageId": "1", "Body": json.dumps(EVENT)},
        {"messageId": "1", "body": json.dumps(EVENT), "eventSource": "aws:sqs"},
        {"body": EVENT},
        SNS,
        json.dumps(SNS),
        {"EventSource": "aws:sns", "Sns": SNS},
        {"Body": json.dumps(SNS)},
    ],
    ids=["str", "bytes", "bytearray", "sqs", "lambda-sqs", "parsed", "sns", "sns-str", "lambda-sns", "sns-in-sqs"],
)
def test_envelopes(wrapped: Any) -> None:
    """SQS's, SNS's and Lambda's come off, as text or parsed."""
    assert read_event(wrapped) == read_event(EVENT)


def test_an_old_arn() -> None:
    """The cluster of a task whose ARN doesn't name it comes from the cluster's ARN."""
    old = f"arn:aws:ecs:eu-west-1:123456789012:task/{ID}"
    change = read_event(with_detail(taskArn=old))
    assert change is not None
    assert (change.cluster, change.id) == ("render", ID)


@pytest.mark.parametrize(
    "event",
    [
        {**EVENT, "detail-type": "ECS Container Instance State Change"},
        {"detail-type": "EC2 Instance State-change Notification", "detail": None},
        {"detail-type": "Scheduled Event"},
    ],
)
def test_other_events_are_passed_over(event: dict[str, Any]) -> None:
    """Whatever their detail is."""
    assert read_event(event) is None


@pytest.mark.parametrize(
    ("event", "path", "rule"),
    [
        (None, "event", "an object, or JSON that holds one"),
        ([EVENT], "event", "an object, or JSON that holds one"),
        (17, "event", "an object, or JSON that holds one"),
        ("[1]", "event", "an object, or JSON that holds one"),
        ("", "event", "JSON, where it is text"),
        ("{", "event", "JSON, where it is text"),
        (b"\xff\xfe\x00", "event", "JSON, where it is text"),
        ("[" * 100_000, "event", "JSON, where it is text"),
        ({}, "event.detail-type", "a string"),
        ({"detail-type": 5}, "event.detail-type", "a string"),
        ({"Records": [EVENT]}, "event.detail-type", "each event by itself: feed the Records of a batch one by one"),
        ({"Body": "no"}, "event.Body", "JSON, where it is text"),
        ({"Body": json.dumps({"Message": "{}"})}, "event.Body.Message.detail-type", "a string"),
        ({"body": {"body": {"body": SNS}}}, "event.body.body.body.Message", "at most 3 envelopes around an event"),
        ({**EVENT, "detail": None}, "event.detail", "an object"),
        ({**EVENT, "detail": "STOPPED"}, "event.detail", "an object"),
        ({"Body": json.dumps({**EVENT, "detail": []})}, "event.Body.detail", "an object"),
        (with_detail(taskArn=None), "event.detail.taskArn", "a string that isn't empty"),
        (with_detail(taskArn=["a"]), "event.detail.taskArn", "a string that isn't empty"),
        (with_detail(taskArn="arn:aws:s3:::bucket"), "event.detail.taskArn", "a task's id or ARN, without spaces"),
        (with_detail(taskArn=ID, clusterArn=None), "event.detail.clusterArn", "a string that isn't empty"),
        (with_detail(taskArn=ID, clusterArn="a b"), "event.detail.clusterArn", "a cluster's name or ARN"),
        (with_detail(version=None), "event.detail.version", "a whole number, 1 or more"),
        (with_detail(version="4"), "event.detail.version", "a whole number, 1 or more"),
        (with_detail(version=True), "event.detail.version", "a whole number, 1 or more"),
        (with_detail(version=0), "event.detail.version", "a whole number, 1 or more"),
        (with_detail(lastStatus=None), "event.detail.lastStatus", "a string that isn't empty"),
        (with_detail(lastStatus={}), "event.detail.lastStatus", "a string that isn't empty"),
        (with_detail(startedAt="soon"), "event.detail.startedAt", "a time in ISO 8601"),
        (with_detail(startedAt=17), "event.detail.startedAt", "a time in ISO 8601"),
        (with_detail(startedAt={}), "event.detail.startedAt", "a time in ISO 8601"),
        (with_detail(containers="main"), "event.detail.containers", "a list of objects"),
        (with_detail(containers=["main"]), "event.detail.containers", "a list of objects"),
    ],
)  # fmt: skip
def test_rubbish_is_named(event: Any, path: str, rule: str) -> None:
    """The error names the member and the rule."""
    with pytest.raises(InvalidRequest) as caught:
        read_event(event)
    assert (caught.value.path, caught.value.rule) == (path, rule)


def test_rubbish_is_not_repeated() -> None:
    """What stands in the wrong place is named by its type, for it may be a secret."""
    with pytest.raises(InvalidRequest) as caught:
        read_event(with_detail(version=SECRET))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("version", [2**53 + 1, 10**18])
def test_a_version_that_counts_nothing(version: int) -> None:
    """No task changes so often: such an event would outlive every true one."""
    with pytest.raises(InvalidRequest, match=r"detail\.version"):
        read_event(with_detail(version=version))


def test_where_its_task_is() -> None:
    """The ARN decides, else the event; another Region or account than the client's is refused, not an unknown one."""
    change = read_event(EVENT)
    assert change is not None
    assert (change.region, change.account) == ("eu-west-1", "123456789012")
    for ours in ((None, None), ("", ""), ("eu-west-1", None), ("eu-west-1", "123456789012")):
        change.expect(*ours)
    for region, account in (("us-east-1", None), (None, "210987654321")):
        with pytest.raises(InvalidRequest, match="a task of the"):
            change.expect(region, account)
    by_id = read_event({**with_detail(taskArn=ID), "region": "us-east-1", "account": 17})
    assert by_id is not None
    assert (by_id.region, by_id.account) == ("us-east-1", "")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_json_is_no_event(text: str) -> None:
    """It is named as what it is, and is no RecursionError."""
    with pytest.raises(InvalidRequest, match="JSON"):
        read_event(text)
