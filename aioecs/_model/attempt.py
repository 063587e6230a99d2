"""The result of one attempt: what the transport reports, and all that the decisions know of it."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from aioecs.errors import ECSError, ECSServiceError

R = TypeVar("R", covariant=True)


@attrs.frozen
class Answered(Generic[R]):
    """ECS acted on the request, and this is its response."""

    answer: R
    request_id: str | None = None


@attrs.frozen
class Rejected:
    """ECS rejected the request and did nothing. `error.throttled` says whether it was throttled."""

    error: ECSServiceError


@attrs.frozen
class NotSent:
    """No byte of the request's body was written: ECS can't have acted on it."""

    error: ECSError


@attrs.frozen
class Lost:
    """It was sent, and no response came that can be believed: ECS may have acted on it."""

    error: ECSError


Attempt = Answered[R] | Rejected | NotSent | Lost
