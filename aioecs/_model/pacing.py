"""Client-side rate limiting: learnt from the account's throttles, or pinned."""

from __future__ import annotations

import math
from typing import Any

import attrs

from aioecs.errors import InvalidRequest


def _pinned(value: Any, attribute: attrs.Attribute[Any], given: Any) -> None:
    if given is None:
        return
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < math.inf:
        raise InvalidRequest(f"{type(value).__name__}.{attribute.name}", "a number above 0, or None", repr(given))


@attrs.frozen(kw_only=True)
class Pacing:
    """Client-side rate limiting of the calls that start tasks.

    ECS keeps a token bucket per account and Region, shared by all callers: it holds `burst` calls and
    refills by `rate` a second. As published they are 100 and 40 for the cluster resources that StartTask belongs to
    [AmazonECS/latest/APIReference/request-throttling.html], and AWS raises them on request. By default
    both are learnt from throttles, beginning with the published values; all clients of a process share what they learn.
    If given, both are pinned and nothing is learnt. Reads have a bucket of their own, which is always learnt.

    Raises:
        InvalidRequest: a number isn't above 0, or one is given without the other.
    """

    burst: float | None = attrs.field(default=None, validator=_pinned)
    """Capacity of the bucket: calls that a full one lets through at once."""
    rate: float | None = attrs.field(default=None, validator=_pinned)
    """Refill of the bucket, in calls a second."""

    def __attrs_post_init__(self) -> None:
        if (self.burst is None) != (self.rate is None):
            given, missing = ("burst", "rate") if self.rate is None else ("rate", "burst")
            raise InvalidRequest(f"Pacing.{missing}", f"given, as {given} is: both are pinned or both are learnt")
