"""How fast a client sends: at what it learns of the account's token bucket, or at what it is told."""

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
    """How the calls that start tasks are spaced out, so that few are throttled and no time is lost.

    ECS keeps a token bucket per account and Region, which everyone there drinks from: it holds `burst` calls and
    regains `rate` a second. As published it is 100 and 40 for the cluster resources that StartTask belongs to
    [AmazonECS/latest/APIReference/request-throttling.html], and other numbers can be agreed with AWS. So both are
    learnt, from those two on, by what is throttled; all clients of a process share what they learn.

    Given, both are pinned: nothing is learnt. Reads have a bucket of their own, which is always learnt.

    Raises:
        InvalidRequest: a number isn't above 0, or one is given without the other.
    """

    burst: float | None = attrs.field(default=None, validator=_pinned)
    """Calls that a rested bucket lets through at once."""
    rate: float | None = attrs.field(default=None, validator=_pinned)
    """Calls a second that it regains."""

    def __attrs_post_init__(self) -> None:
        if (self.burst is None) != (self.rate is None):
            given, missing = ("burst", "rate") if self.rate is None else ("rate", "burst")
            raise InvalidRequest(f"Pacing.{missing}", f"given, as {given} is: both are pinned or both are learnt")
