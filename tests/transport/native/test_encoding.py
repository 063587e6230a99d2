"""encoding: the bytes of a body are those that `json.dumps` gives for that request alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioecs._model import ContainerOverride, KeyValuePair, ListTasksRequest, StartTaskRequest, TaskOverride
from aioecs._model.codec.plain import to_plain
from aioecs._transport.native.encoding import body_of
from aioecs._transport.transport import ALL_OPERATIONS
from tests.scenarios.test_both_transports import RandomValues
from tests.transport.native.test_native_transport import REQUEST


def overriding(value: str) -> TaskOverride:
    environment = [KeyValuePair(name="PASSWORD", value=value)]
    return TaskOverride(container_overrides=[ContainerOverride(name="main", environment=environment)])


def test_it_encodes_as_one_alone_would() -> None:
    """Of a thousand random requests in any order, each body is the JSON of that request and of no other."""
    random_values = RandomValues(7)
    requests = [random_values.shape(StartTaskRequest) for _ in range(100)]
    for request in (random_values.choice(requests) for _ in range(1000)):
        moved = request.replace(
            container_instances=[f"{random_values.random()}"], started_by=f"t{random_values.random()}"
        )
        assert body_of(moved) == json.dumps(to_plain(moved)).encode()


@pytest.mark.parametrize("operation", ALL_OPERATIONS, ids=lambda each: each.name)
def test_each_operation_s_requests_are_encoded(operation: Any) -> None:
    """Whatever the operation, the body is the JSON of the request."""
    random_values = RandomValues(11)
    for request in (random_values.request(operation) for _ in range(100)):
        assert body_of(request) == json.dumps(to_plain(request)).encode()


def test_requests_that_differ_in_one_override_share_nothing() -> None:
    """A body is made of the request's own overrides, whatever was encoded before."""
    for value in ("1", "2", "1"):
        request = REQUEST.replace(overrides=overriding(value))
        assert json.loads(body_of(request)) == to_plain(request)


def test_what_only_python_takes_for_equal_shares_nothing() -> None:
    """A member that aioecs doesn't know, anywhere in a request, is sent as it is spelled."""
    for held in (True, 1, 1.0, 0.0, -0.0, True):
        request = REQUEST.replace(overrides=TaskOverride(extra={"newer": [held]}))
        assert body_of(request) == json.dumps(to_plain(request)).encode()


def test_what_is_written_whole() -> None:
    """Other operations, members that aioecs doesn't know, a request without a mark, and a NUL in a value."""
    unmarked = StartTaskRequest(task_definition="demo", container_instances=["a"])
    odd = REQUEST.replace(overrides=overriding("\0"), extra={"newer": "\0"})
    for request in (ListTasksRequest(), REQUEST.replace(extra={"newer": 1}), unmarked, odd):
        assert body_of(request) == json.dumps(to_plain(request)).encode()
