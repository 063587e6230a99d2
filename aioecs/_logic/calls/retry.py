"""Whether an operation that does no harm twice is tried again: reads, stops, and RunTask under its client token."""

from __future__ import annotations

import attrs

from aioecs._model.attempt import Lost, NotSent, Rejected
from aioecs._model.options import Retries
from aioecs.errors import ConfigurationError


@attrs.define
class Tries:
    """The tries of one such call. Throttled ones don't count; the clock bounds them."""

    retries: Retries
    deadline: float
    counted: int = 0
    throttled: int = 0

    def rest(self, what: Rejected | NotSent | Lost, now: float, dice: float) -> float | None:
        """Return how long to rest before the next try, in seconds; None: there is none, raise what came."""
        if isinstance(what, Rejected) and not what.error.throttled:
            return None
        if isinstance(what, Rejected):
            self.throttled += 1
        else:
            self.counted += 1
        if isinstance(what.error, ConfigurationError) or self.counted >= self.retries.max_attempts:
            return None
        step = self.retries.initial_backoff * 2.0 ** min(self.counted + self.throttled - 1, 32)
        rest = dice * min(step, self.retries.max_backoff)
        return rest if now + rest < self.deadline else None
