"""EventBridge's "ECS Task State Change", as it comes: bare, or in the envelopes of SQS, SNS and Lambda.

Its `detail` resembles a Task with ISO 8601 times. Delivery is at least once and out of order; `detail.version` counts
a task's changes and orders them. [AmazonECS/latest/developerguide/ecs_task_events.html]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from aioecs._model import arn
from aioecs._model.codec.plain import from_plain
from aioecs._model.shapes.task import Task
from aioecs.errors import InvalidRequest

TASK_STATE_CHANGE = "ECS Task State Change"

# What holds an event, or what holds one: SQS's ReceiveMessage, a Lambda record of SQS, an SNS notification, and a
# Lambda record of SNS.
_ENVELOPES = ("Body", "body", "Message", "Sns")
_MOST_CHANGES = 2**53  # JSON's readers elsewhere keep whole numbers to there; a task has a dozen changes
_DEPTH = 4  # a Lambda record of SQS that holds an SNS notification is three deep


@attrs.frozen
class TaskChange:
    """The task, its version and its place, as one event describes them."""

    cluster: str
    """Name of the task's cluster."""
    id: str
    """ID of the task."""
    version: int
    """Number of this change of the task; the first is 1."""
    detail: Mapping[str, Any] = attrs.field(repr=False)
    """The task as the event describes it; it may hold secrets."""
    region: str = ""
    """Region of the task; None if the event doesn't say."""
    account: str = ""
    """Account of the task; None if the event doesn't say."""

    def expect(self, region: str | None, account: str | None) -> None:
        """Check it against the Region and the account of the client.

        Raises:
            InvalidRequest: it is of a task somewhere else.
        """
        for what, ours, theirs in (("Region", region, self.region), ("account", account, self.account)):
            if ours and theirs and ours != theirs:
                raise InvalidRequest("event.detail.taskArn", f"a task of the {what} {ours}", repr(theirs))

    def task(self) -> Task:
        """Return the task of the event."""
        return from_plain(Task, self.detail)


def read_event(event: Any) -> TaskChange | None:
    """Read one event, given as a dict or as JSON; None if it is a well-formed one about something else.

    Raises:
        InvalidRequest: it is no event, or one that can't be relied on; it names the member and the rule.
    """
    body, path = _unwrapped(event)
    kind = body.get("detail-type")
    if not isinstance(kind, str):
        rule = "a string" if "Records" not in body else "each event by itself: feed the Records of a batch one by one"
        raise InvalidRequest(f"{path}.detail-type", rule, _type_of(kind))
    if kind != TASK_STATE_CHANGE:
        return None
    detail = body.get("detail")
    if not isinstance(detail, Mapping):
        raise InvalidRequest(f"{path}.detail", "an object", _type_of(detail))
    return _change(detail, f"{path}.detail", body)


def _unwrapped(event: Any) -> tuple[Mapping[str, Any], str]:
    """Take the event out of its envelopes; return it and its path in them."""
    path = "event"
    for _ in range(_DEPTH):
        event = _object(event, path)
        inner = None if "detail-type" in event else next((name for name in _ENVELOPES if name in event), None)
        if inner is None:
            return event, path
        event, path = event[inner], f"{path}.{inner}"
    raise InvalidRequest(path, f"at most {_DEPTH - 1} envelopes around an event")


def _object(given: Any, path: str) -> Mapping[str, Any]:
    held = given
    if isinstance(given, (str, bytes, bytearray)):
        try:
            held = json.loads(given)
        except (ValueError, RecursionError):  # undecodable bytes are a ValueError too
            raise InvalidRequest(path, "JSON, where it is text") from None
    if not isinstance(held, Mapping):
        raise InvalidRequest(path, "an object, or JSON that holds one", _type_of(held))
    return held


def _change(detail: Mapping[str, Any], path: str, event: Mapping[str, Any]) -> TaskChange:
    named = arn.task(_text(detail, "taskArn", path), f"{path}.taskArn")
    cluster = named.cluster or arn.cluster_of(_text(detail, "clusterArn", path), f"{path}.clusterArn").name
    version = detail.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidRequest(f"{path}.version", "a whole number, 1 or more", _type_of(version))
    if version > _MOST_CHANGES:
        raise InvalidRequest(f"{path}.version", f"at most {_MOST_CHANGES}: it counts the changes of one task")
    _text(detail, "lastStatus", path)
    containers = detail.get("containers")
    if containers is not None and not (
        isinstance(containers, list) and all(isinstance(each, Mapping) for each in containers)
    ):
        raise InvalidRequest(f"{path}.containers", "a list of objects", _type_of(containers))
    if not _is_moment(started := detail.get("startedAt")):
        raise InvalidRequest(f"{path}.startedAt", "a time in ISO 8601", _type_of(started))
    region, account = named.region or event.get("region"), named.account or event.get("account")
    return TaskChange(cluster, named.name, version, detail, _said(region), _said(account))


def _said(held: Any) -> str:
    return held if isinstance(held, str) else ""


def _is_moment(held: Any) -> bool:
    """Return whether a value is a time, or absent."""
    if isinstance(held, str):
        try:
            datetime.fromisoformat(held)
        except ValueError:
            return False
    return held is None or isinstance(held, str)


def _text(detail: Mapping[str, Any], name: str, path: str) -> str:
    held = detail.get(name)
    if not isinstance(held, str) or not held:
        raise InvalidRequest(f"{path}.{name}", "a string that isn't empty", _type_of(held))
    return held


def _type_of(held: Any) -> str:
    """Describe a value by its type alone: it may hold a secret."""
    return "there" if held is None else f"a {type(held).__name__}"
