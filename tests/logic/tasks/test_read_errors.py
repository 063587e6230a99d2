"""read_errors: which errors of a read remain."""

from __future__ import annotations

import pytest

from aioecs._logic.tasks.read_errors import is_permanent
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    ConfigurationError,
    ConnectionFailed,
    ECSError,
    ServerException,
    ThrottlingException,
)


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (ConfigurationError("no Region"), True),
        (AccessDeniedException("not authorized"), True),
        (ThrottlingException("Rate exceeded"), False),
        (ServerException("try again"), False),
        (ConnectionFailed("no route"), False),
        (AnswerLost("the connection was closed"), False),
    ],
)
def test_what_remains(error: ECSError, permanent: bool) -> None:
    """A refusal and a setting remain; a throttle, a failing server and a lost answer may not."""
    assert is_permanent(error) is permanent
