"""Reads the files of task definitions and of faults that a local ECS or a fault proxy is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aioecs.cli._options import UsageError

if TYPE_CHECKING:
    from aioecs.testing import Fault


def read_definitions(path: Path) -> list[dict[str, Any]]:
    """Read a file of one task definition or a list of them: RegisterTaskDefinition's input, or what describes one.

    Raises:
        UsageError: it can't be read, or ECS would refuse one; names the file.
    """
    from aioecs.testing import AwsError, Engine

    engine = Engine()
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8-sig"))
        definitions = [_definition(each) for each in (found if isinstance(found, list) else [found])]
        for definition in definitions:
            engine.call("RegisterTaskDefinition", definition)
    except OSError as error:
        raise UsageError(f"--task-definition: {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError, AwsError) as error:
        raise UsageError(f"--task-definition: {path}: {error}") from error
    return definitions


def _definition(given: Any) -> dict[str, Any]:
    """Unwrap the answer of DescribeTaskDefinition, which `aws ecs describe-task-definition` prints."""
    inner = given["taskDefinition"] if isinstance(given, dict) and "taskDefinition" in given else given
    if not isinstance(inner, dict):
        raise ValueError(f"expected an object, not {type(inner).__name__}")
    return inner if inner is given else {**inner, "tags": given.get("tags")}


def read_faults(path: Path) -> list[Fault]:
    """Read a file of faults.

    Raises:
        UsageError: it can't be read, or is not one; names the line.
    """
    from aioecs.testing import faults_from_script

    try:
        return faults_from_script(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--faults: {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"--faults: {path}: {error}") from error
