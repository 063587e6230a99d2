"""What one attempt came to: the only words in which the world tells the decisions what happened."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from aioecs.errors import ECSError, ECSServiceError

R = TypeVar("R", covariant=True)


@attrs.frozen
class Answered(Generic[R]):
    """ECS did it, and this is its answer."""

    answer: R
    request_id: str | None = None


@attrs.frozen
class Rejected:
    """ECS said no before it did anything; `error.throttled` tells a matter of rate from one of substance."""

    error: ECSServiceError


@attrs.frozen
class NotSent:
    """Not a byte of the request's body was written: ECS can't have acted."""

    error: ECSError


@attrs.frozen
class Lost:
    """It was sent, and no answer came that can be believed: ECS may have acted."""

    error: ECSError


Attempt = Answered[R] | Rejected | NotSent | Lost
