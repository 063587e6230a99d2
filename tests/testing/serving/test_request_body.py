"""request_body: which bodies are requests of ECS."""

from __future__ import annotations

import pytest

from aioecs.testing import AwsError
from aioecs.testing._serving.request_body import NESTING, json_object, parse

TARGET = "AmazonEC2ContainerServiceV20141113.StartTask"


def test_a_json_object_is_read() -> None:
    """An empty body is an empty request."""
    assert parse(b'{"a": [1]}', TARGET) == {"a": [1]}
    assert parse(b"", TARGET) == {}


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b'{"a": NaN}', b'{"a":' + b"[" * NESTING + b"]" * NESTING + b"}"]
)
def test_another_body_is_refused(body: bytes) -> None:
    """No JSON, no object, a number that JSON doesn't have, and one that is too deep."""
    with pytest.raises(AwsError, match=r"^SerializationException: "):
        parse(body, TARGET)


def test_another_service_is_refused() -> None:
    """The target names the service."""
    with pytest.raises(AwsError, match=r"^UnknownOperationException: "):
        parse(b"{}", "DynamoDB_20120810.PutItem")


@pytest.mark.parametrize(
    ("body", "read"), [(b'{"a": 1}', {"a": 1}), (b"[1]", {}), (b"<html>", {}), (b"\xff", {}), (b"[" * 10**5, {})]
)
def test_json_object(body: bytes, read: object) -> None:
    """What is no object is read as an empty one."""
    assert json_object(body) == read
