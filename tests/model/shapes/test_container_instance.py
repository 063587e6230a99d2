"""Container instances: how one shows itself."""

from __future__ import annotations

import pytest

from aioecs.types import ContainerInstance

ARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/render/92c2"


@pytest.mark.parametrize(
    ("instance", "shown"),
    [
        (ContainerInstance(container_instance_arn=ARN, status="ACTIVE"), "<ContainerInstance 92c2 ACTIVE>"),
        (ContainerInstance(), "<ContainerInstance ? ?>"),
    ],
)
def test_it_shows_itself_in_one_line(instance: ContainerInstance, shown: str) -> None:
    """By its id and its status."""
    assert repr(instance) == shown
