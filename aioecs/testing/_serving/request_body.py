"""Reads the body of a request: a JSON object that is not nested deeper than any request of ECS."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from aioecs.testing._errors import AwsError, malformed
from aioecs.testing._operations.members import Json
from aioecs.testing._serving.backend import LOGS_TARGET, TARGET

NESTING = 64  # levels of a request's body; the deepest structure in the service model has nine


def parse(body: bytes, target: str) -> Json:
    """Read the body of a request.

    Raises:
        AwsError: UnknownOperationException for the target of another service, SerializationException for a body that is
            not a JSON object.
    """
    if not target.startswith((TARGET, LOGS_TARGET)):
        raise AwsError("UnknownOperationException", "The X-Amz-Target is not one of Amazon ECS.")
    try:
        sent: Any = json.loads(body or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise malformed("The body is not JSON, or too deep.") from None
    if not isinstance(sent, dict):
        raise malformed("Start of structure or map found where not expected.")
    if _too_deep(sent):
        raise malformed(f"The body is nested more than {NESTING} levels deep.")
    return cast("Json", sent)


def json_object(body: bytes) -> Json:
    """Read a JSON object; return an empty one if the body is something else."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("Json", found) if isinstance(found, dict) else {}


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _too_deep(sent: object) -> bool:
    """Return whether a value is nested deeper than any request of ECS; works without recursion."""
    level: list[object] = [sent]
    for _ in range(NESTING):
        level = [inner for outer in level if isinstance(outer, (dict, list)) for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(outer: dict[str, object] | list[object]) -> Iterable[object]:
    return outer.values() if isinstance(outer, dict) else outer
