"""fargate: what Fargate accepts."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing._errors import AwsError
from aioecs.testing._operations.definitions import make
from aioecs.testing._placement.fargate import check_run, family, incompatibility, is_unsupported_size
from aioecs.testing._state.arns import Arns
from aioecs.testing._state.records import Definition, Need

ARNS = Arns("aws", "us-east-1", "123456789012")


def definition(**members: Any) -> Definition:
    """Return a definition for Fargate."""
    request = {
        "family": "f",
        "containerDefinitions": [{"name": "c", "image": "i"}],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        **members,
    }
    return make(request, ARNS, 1, 0.0, {})


@pytest.mark.parametrize(
    ("cpu", "memory", "sizes"),
    [
        (256, (512, 1024, 2048), 3),
        (512, (1024, 4096), 4),
        (1024, (2048, 8192), 7),
        (2048, (4096, 16384), 13),
        (4096, (8192, 30720), 23),
        (8192, (16384, 20480, 61440), 12),
        (16384, (32768, 40960, 122880), 12),
    ],
)
def test_the_documented_sizes(cpu: int, memory: tuple[int, ...], sizes: int) -> None:
    """The first and last of each row, the number of sizes, and no others."""
    assert not any(is_unsupported_size(cpu, size) for size in memory)
    assert sum(not is_unsupported_size(cpu, size) for size in range(0, 262144, 256)) == sizes
    assert is_unsupported_size(cpu + 1, memory[0])


@pytest.mark.parametrize(
    "members",
    [
        {"pidMode": "host"},
        {"ipcMode": "none"},
        {"placementConstraints": [{"type": "memberOf", "expression": "x"}]},
        {"volumes": [{"name": "v", "host": {"sourcePath": "/x"}}]},
        {"volumes": [{"name": "v", "dockerVolumeConfiguration": {"driver": "local"}}]},
        {"containerDefinitions": [{"privileged": True}]},
        {"containerDefinitions": [{"links": ["other"]}]},
        {"containerDefinitions": [{"resourceRequirements": [{"type": "GPU", "value": "1"}]}]},
    ],
)
def test_members_that_fargate_does_not_support(members: dict[str, Any]) -> None:
    """Each by itself; without them there is no incompatibility."""
    assert incompatibility({}, "awsvpc", 256, 512) is None
    assert incompatibility({"pidMode": "task", "volumes": [{"name": "v", "host": {}}]}, "awsvpc", 256, 512) is None
    assert incompatibility(members, "awsvpc", 256, 512) is not None


@pytest.mark.parametrize(
    ("members", "request_", "code"),
    [
        ({"networkMode": "bridge"}, {}, "InvalidParameterException"),
        ({}, {"placementConstraints": [{"type": "distinctInstance"}]}, "InvalidParameterException"),
        ({}, {"placementStrategy": [{"type": "random"}]}, "InvalidParameterException"),
        ({}, {"platformVersion": "9.9.9"}, "PlatformUnknownException"),
        (
            {"ephemeralStorage": {"sizeInGiB": 30}},
            {"platformVersion": "1.3.0"},
            "PlatformTaskDefinitionIncompatibilityException",
        ),
    ],
)
def test_a_run_that_fargate_refuses(members: dict[str, Any], request_: dict[str, Any], code: str) -> None:
    """With the error code of ECS."""
    made = definition(**members)
    with pytest.raises(AwsError) as raised:
        check_run(request_, made, made.need)
    assert raised.value.code == code


def test_an_override_must_be_a_size_too() -> None:
    """The size with overrides counts."""
    with pytest.raises(AwsError, match="No Fargate configuration exists for given values: 256 CPU, 4096 memory"):
        check_run({}, definition(), Need(cpu=256, memory=4096))


@pytest.mark.parametrize(
    ("system", "asked", "version", "named"),
    [
        ("LINUX", None, "1.4.0", "Linux"),
        ("LINUX", "1.3.0", "1.3.0", "Linux"),
        ("WINDOWS_SERVER_2022_CORE", None, "1.0.0", "WINDOWS_SERVER_2022_CORE"),
    ],
)
def test_the_platform_of_a_task(system: str, asked: str | None, version: str, named: str) -> None:
    """The latest one of its operating system, or the requested one."""
    made = definition(runtimePlatform={"operatingSystemFamily": system})
    assert check_run({"platformVersion": asked}, made, made.need) == version
    assert family(made) == named
