"""What AWS Fargate accepts: task sizes, members of a task definition, platform versions.

Sizes are those in the developer guide, "Task CPU and memory" [docs], also in the service model's text on
RegisterTaskDefinition.memory [model]; unsupported members are those in "Amazon ECS task definition differences for
Fargate" [docs].
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations.members import Json, flag, integer, structure, structures, text, texts
from aioecs.testing._state.records import Definition, Need

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


def incompatibility(request: Json, mode: str, cpu: int | None, memory: int | None) -> str | None:
    """Return why a task definition can't run on Fargate, or None. Messages for sizes and mode are [reported]."""
    if mode != "awsvpc":
        return "Fargate only supports network mode 'awsvpc'."
    for name, size in (("cpu", cpu), ("memory", memory)):
        if size is None:
            return f"Fargate requires that '{name}' be defined at the task level."
    if is_unsupported_size(cpu or 0, memory or 0):
        return unsupported_size(cpu or 0, memory or 0)
    return _unsupported_member(request) or _unsupported_container(structures(request, "containerDefinitions"))


def is_unsupported_size(cpu: int, memory: int) -> bool:
    """Return whether CPU units and memory (MiB) are not a documented combination."""
    return memory not in SIZES.get(cpu, ())


def unsupported_size(cpu: int, memory: int) -> str:
    """Return the message for an unsupported combination. [reported]"""
    return f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory."


def _unsupported_member(request: Json) -> str | None:
    if text(request, "pidMode") == "host":
        return "Fargate does not support pidMode 'host'."
    if text(request, "ipcMode") is not None:
        return "Fargate does not support ipcMode."
    if structures(request, "placementConstraints"):
        return "Fargate does not support placement constraints."
    for volume in structures(request, "volumes"):
        if structure(volume, "dockerVolumeConfiguration") or text(structure(volume, "host") or {}, "sourcePath"):
            return f"Fargate does not support the configuration of volume '{text(volume, 'name')}'."
    return None


def _unsupported_container(containers: list[Json]) -> str | None:
    for each in containers:
        if flag(each, "privileged"):
            return "Fargate does not support privileged containers."
        if texts(each, "links"):
            return "Links are not supported when networkMode=awsvpc."
        if any(need.get("type") == "GPU" for need in structures(each, "resourceRequirements")):
            return "Fargate does not support GPU resource requirements."
    return None


def check_run(request: Json, definition: Definition, need: Need) -> str:
    """Check a RunTask against what Fargate accepts; return the platform version of its tasks.

    Raises:
        AwsError: InvalidParameterException, PlatformUnknownException or PlatformTaskDefinitionIncompatibilityException.
    """
    if "FARGATE" not in definition.wire["compatibilities"]:
        raise invalid("Task definition does not support launch_type FARGATE.")  # [reported]
    if is_unsupported_size(need.cpu, need.memory):
        raise invalid(unsupported_size(need.cpu, need.memory))
    for name, title in (("placementConstraints", "constraints"), ("placementStrategy", "strategies")):
        if structures(request, name):
            raise invalid(f"Placement {title} are not supported with FARGATE launch type.")
    return _platform(text(request, "platformVersion") or "LATEST", definition)


def _platform(version: str, definition: Definition) -> str:
    windows = (
        (structure(definition.wire, "runtimePlatform") or {}).get("operatingSystemFamily", "").startswith("WINDOWS")
    )
    if version not in (("LATEST", "1.0.0") if windows else PLATFORMS):
        raise AwsError("PlatformUnknownException", "The specified platform does not exist.")
    if version == "1.3.0" and any(definition.wire.get(name) for name in ("ephemeralStorage", "pidMode")):
        raise AwsError(
            "PlatformTaskDefinitionIncompatibilityException",
            "One or more of the requested capabilities are not supported.",
        )
    return {"LATEST": "1.0.0" if windows else "1.4.0"}.get(version, version)


def family(definition: Definition) -> str:
    """Return the platform family of a definition's tasks: `Linux`, or the Windows release."""
    named: str = (structure(definition.wire, "runtimePlatform") or {}).get("operatingSystemFamily", "LINUX")
    return "Linux" if named == "LINUX" else named


def architecture(definition: Definition) -> str:
    """Return the CPU architecture of a definition's tasks, as in attributes."""
    named = (structure(definition.wire, "runtimePlatform") or {}).get("cpuArchitecture")
    return "arm64" if named == "ARM64" else "x86_64"


def storage(definition: Definition, overrides: Json) -> int:
    """Return the ephemeral storage of a task in GiB; 20 by default. [model]"""
    requested = structure(overrides, "ephemeralStorage") or structure(definition.wire, "ephemeralStorage") or {}
    return integer(requested, "sizeInGiB") or 20
