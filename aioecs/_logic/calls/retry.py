"""Decides whether an operation that is safe to repeat is retried: reads, stops, and RunTask with its client token."""

from __future__ import annotations

import attrs

from aioecs._model.attempt import Lost, NotSent, Rejected
from aioecs._model.options import Retries
from aioecs.errors import ConfigurationError


@attrs.define
class RetryState:
    """The attempts of one such call. Throttled ones don't count; the deadline limits them."""

    retries: Retries
    deadline: float
    counted: int = 0
    throttled: int = 0

    def backoff(self, what: Rejected | NotSent | Lost, now: float, jitter: float) -> float | None:
        """Return the backoff before the next attempt, in seconds; None if there is none: raise the last error."""
        if isinstance(what, Rejected) and not what.error.throttled:
            return None
        if isinstance(what, Rejected):
            self.throttled += 1
        else:
            self.counted += 1
        if isinstance(what.error, ConfigurationError) or self.counted >= self.retries.max_attempts:
            return None
        backoff = jitter * max_backoff(self.retries, self.counted + self.throttled - 1)
        return backoff if now + backoff < self.deadline else None


def max_backoff(retries: Retries, retries_before: int) -> float:
    """Return the longest backoff after this many earlier ones, in seconds: twice as long each time, up to a bound."""
    return min(retries.initial_backoff * 2.0 ** min(retries_before, 32), retries.max_backoff)
