"""Read the members of a request by type, as the service's deserializer does: null counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from aioecs.testing._errors import malformed

Json = dict[str, Any]
"""A JSON object: a request, a response, or a structure in one."""


def text(request: Mapping[str, Any], name: str) -> str | None:
    """Read a string."""
    value = request.get(name)
    if value is None or isinstance(value, str):
        return value
    raise malformed(f"{name}: expected a string")


def texts(request: Mapping[str, Any], name: str) -> list[str]:
    """Read a list of strings; empty if absent."""
    values = _list(request, name)
    if not all(isinstance(value, str) for value in values):
        raise malformed(f"{name}: expected a list of strings")
    return cast("list[str]", values)


def structures(request: Mapping[str, Any], name: str) -> list[Json]:
    """Read a list of structures; empty if absent."""
    values = _list(request, name)
    if not all(isinstance(value, dict) for value in values):
        raise malformed(f"{name}: expected a list of structures")
    return cast("list[Json]", values)


def structure(request: Mapping[str, Any], name: str) -> Json | None:
    """Read a structure."""
    value = request.get(name)
    if value is None or isinstance(value, dict):
        return cast("Json | None", value)
    raise malformed(f"{name}: expected a structure")


def integer(request: Mapping[str, Any], name: str) -> int | None:
    """Read a whole number."""
    value = request.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise malformed(f"{name}: expected a whole number")


def flag(request: Mapping[str, Any], name: str) -> bool:
    """Read a boolean; False if absent."""
    value = request.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise malformed(f"{name}: expected a boolean")


def _list(request: Mapping[str, Any], name: str) -> list[Any]:
    value = request.get(name)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise malformed(f"{name}: expected a list")
