"""What AWS Fargate takes: task sizes, members of a task definition, platform versions.

Sizes are those of the developer guide, "Task CPU and memory" [docs], also in the service model's text on
RegisterTaskDefinition.memory [model]; unsupported members are those of "Amazon ECS task definition differences for
Fargate" [docs].
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations.members import Json, flag, record, records, text, texts, whole
from aioecs.testing._world.state import Definition, Need

SIZES: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {
        256: (512, 1024, 2048),
        512: tuple(range(1024, 4096 + 1, 1024)),
        1024: tuple(range(2048, 8192 + 1, 1024)),
        2048: tuple(range(4096, 16384 + 1, 1024)),
        4096: tuple(range(8192, 30720 + 1, 1024)),
        8192: tuple(range(16384, 61440 + 1, 4096)),
        16384: tuple(range(32768, 122880 + 1, 8192)),
    }
)
"""The memory, in MiB, that goes with each number of CPU units."""

PLATFORMS = ("LATEST", "1.4.0", "1.3.0")  # [docs] Linux platform versions that still start tasks
NO_CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


def objection(request: Json, mode: str, cpu: int | None, memory: int | None) -> str | None:
    """Say why a task definition can't run on Fargate, or None if it can. Messages for sizes and mode are [reported]."""
    if mode != "awsvpc":
        return "Fargate only supports network mode 'awsvpc'."
    for name, size in (("cpu", cpu), ("memory", memory)):
        if size is None:
            return f"Fargate requires that '{name}' be defined at the task level."
    if no_size(cpu or 0, memory or 0):
        return unknown_size(cpu or 0, memory or 0)
    return _unsupported_member(request) or _unsupported_container(records(request, "containerDefinitions"))


def no_size(cpu: int, memory: int) -> bool:
    """Tell whether CPU units and memory (MiB) are no documented combination."""
    return memory not in SIZES.get(cpu, ())


def unknown_size(cpu: int, memory: int) -> str:
    """Say that a combination is none. [reported]"""
    return f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory."


def _unsupported_member(request: Json) -> str | None:
    if text(request, "pidMode") == "host":
        return "Fargate does not support pidMode 'host'."
    if text(request, "ipcMode") is not None:
        return "Fargate does not support ipcMode."
    if records(request, "placementConstraints"):
        return "Fargate does not support placement constraints."
    for volume in records(request, "volumes"):
        if record(volume, "dockerVolumeConfiguration") or text(record(volume, "host") or {}, "sourcePath"):
            return f"Fargate does not support the configuration of volume '{text(volume, 'name')}'."
    return None


def _unsupported_container(containers: list[Json]) -> str | None:
    for each in containers:
        if flag(each, "privileged"):
            return "Fargate does not support privileged containers."
        if texts(each, "links"):
            return "Links are not supported when networkMode=awsvpc."
        if any(need.get("type") == "GPU" for need in records(each, "resourceRequirements")):
            return "Fargate does not support GPU resource requirements."
    return None


def check_run(request: Json, definition: Definition, need: Need) -> str:
    """Hold a RunTask against what Fargate takes; return the platform version that its tasks get.

    Raises:
        AwsError: InvalidParameterException, PlatformUnknownException or PlatformTaskDefinitionIncompatibilityException.
    """
    if "FARGATE" not in definition.wire["compatibilities"]:
        raise invalid("Task definition does not support launch_type FARGATE.")  # [reported]
    if no_size(need.cpu, need.memory):
        raise invalid(unknown_size(need.cpu, need.memory))
    for name, title in (("placementConstraints", "constraints"), ("placementStrategy", "strategies")):
        if records(request, name):
            raise invalid(f"Placement {title} are not supported with FARGATE launch type.")
    return _platform(text(request, "platformVersion") or "LATEST", definition)


def _platform(version: str, definition: Definition) -> str:
    windows = (record(definition.wire, "runtimePlatform") or {}).get("operatingSystemFamily", "").startswith("WINDOWS")
    if version not in (("LATEST", "1.0.0") if windows else PLATFORMS):
        raise AwsError("PlatformUnknownException", "The specified platform does not exist.")
    if version == "1.3.0" and any(definition.wire.get(name) for name in ("ephemeralStorage", "pidMode")):
        raise AwsError(
            "PlatformTaskDefinitionIncompatibilityException",
            "One or more of the requested capabilities are not supported.",
        )
    return {"LATEST": "1.0.0" if windows else "1.4.0"}.get(version, version)


def family(definition: Definition) -> str:
    """Name the platform family of a definition's tasks: `Linux`, or the Windows release."""
    named: str = (record(definition.wire, "runtimePlatform") or {}).get("operatingSystemFamily", "LINUX")
    return "Linux" if named == "LINUX" else named


def architecture(definition: Definition) -> str:
    """Name the CPU architecture of a definition's tasks as attributes spell it."""
    named = (record(definition.wire, "runtimePlatform") or {}).get("cpuArchitecture")
    return "arm64" if named == "ARM64" else "x86_64"


def storage(definition: Definition, overrides: Json) -> int:
    """Tell the GiB of ephemeral storage of a task; 20 where nothing is said. [model]"""
    asked = record(overrides, "ephemeralStorage") or record(definition.wire, "ephemeralStorage") or {}
    return whole(asked, "sizeInGiB") or 20
