"""Public names: a class says the module that it is imported from, not the private one that defines it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def publish(module: str, names: Iterable[str], namespace: Mapping[str, Any]) -> None:
    """Set `__module__` of public classes and functions, for reprs, tracebacks and pickles."""
    for name in names:
        public = namespace[name]
        if getattr(public, "__module__", "").startswith("aioecs._"):
            public.__module__ = module
