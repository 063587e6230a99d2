"""Which errors of a read of tasks or task definitions remain when it is sent again."""

from __future__ import annotations

from aioecs.errors import ConfigurationError, ECSError, ECSServiceError


def is_permanent(error: ECSError) -> bool:
    """Return whether another request would fail with this error again."""
    if isinstance(error, ConfigurationError):
        return True
    return isinstance(error, ECSServiceError) and error.rejected and not error.throttled
