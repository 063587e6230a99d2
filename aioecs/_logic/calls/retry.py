"""Decides when something is tried again: an operation that is safe to repeat, and the lookup of an ambiguous call.

Reads, stops, and RunTask with its client token are safe to repeat.
"""

from __future__ import annotations

import attrs

from aioecs._model.attempt import Lost, NotSent, Rejected
from aioecs._model.options import Retries
from aioecs.errors import ConfigurationError

EARLY_LOOKUPS = 2  # lookups just after an answer was lost, which list running tasks alone
LATE_LOOKUP_DELAY = 0.5  # in seconds: the longest time that a lookup which may prove absence waits for other calls


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


def longest_before_lookup(retries: Retries, lookups_before: int, *, late: bool) -> float:
    """Return the longest backoff before the next lookup, in seconds: three times as long each time.

    So a task that shows late is found late in proportion, and one that never shows takes few reads. `late` are the
    lookups that may prove absence: what failed then is tried again within `max_backoff`.
    """
    longest = retries.initial_backoff * 3.0 ** min(lookups_before, 32)
    return min(longest, retries.max_backoff) if late else longest


def lookup_delay(retries: Retries, lookups: int, *, late: bool) -> float:
    """Return how long the lookup of this number may wait to be made together with others, in seconds.

    The first doesn't wait, later ones half a backoff. A caller waits for one that may prove absence: it waits less.
    """
    if lookups <= 1:
        return 0.0
    longest = longest_before_lookup(retries, lookups - 1, late=True)
    return min(longest / 2, LATE_LOOKUP_DELAY) if late else longest / 2
