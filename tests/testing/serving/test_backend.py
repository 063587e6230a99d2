"""backend: the operation in a request's target."""

from __future__ import annotations

import pytest

from aioecs.testing._serving.backend import operation_of


@pytest.mark.parametrize(
    ("target", "operation"),
    [
        ("AmazonEC2ContainerServiceV20141113.StartTask", "StartTask"),
        ("Logs_20140328.GetLogEvents", "GetLogEvents"),
        ("DynamoDB_20120810.PutItem", "DynamoDB_20120810.PutItem"),
    ],
)
def test_operation_of(target: str, operation: str) -> None:
    """It is without the service, and for other services the whole target."""
    assert operation_of({"X-Amz-Target": target}) == operation


def test_operation_of_no_target() -> None:
    """A request without a target has none."""
    assert operation_of({}) == ""
