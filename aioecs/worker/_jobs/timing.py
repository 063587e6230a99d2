"""The times of a job: for how long it is held, and after how long its message comes back. Without I/O or a clock."""

from __future__ import annotations

import attrs

from aioecs.errors import InvalidRequest
from aioecs.worker._jobs.decisions import MessageAction

LONGEST_DELAY = 900.0
"""The longest growing delay, in seconds."""
_LONGEST_RETRY_DELAY = 10.0  # in seconds
LONGEST_IDLE = 1.0
"""The longest time between two receives that bring nothing and don't wait, in seconds."""
LONGEST_INVISIBLE = 12 * 3600.0
"""How long SQS hides a message after it was received, in seconds [docs]."""
LONGEST_HOLD = LONGEST_INVISIBLE - 3600.0
"""How long a message is held for capacity or for the end of its tasks, in seconds, before it is received again."""


@attrs.frozen
class Lease:
    """For how long a job is held, in seconds."""

    guard: float
    """What must be left of it when a request is sent: within it the request ends, and its tasks show in ECS's lists."""
    length: float
    skew: float
    """How far the clocks of two workers may differ."""

    @property
    def renewal_interval(self) -> float:
        """Return how long after a claim or a renewal the next one is due."""
        return (self.length - self.guard) / 3

    def cutoff(self, until: float) -> float:
        """Return from when on nothing more may be sent under a lease that ends at `until`."""
        return until - self.guard


def make_lease(attempt: float, consistency: float, skew: float, given: object) -> Lease:
    """Return the lease for a client's `timeouts.attempt` and `timeouts.consistency`, of the given length if any.

    Raises:
        InvalidRequest: it is no longer than the guard, or endless.
    """
    guard = attempt + consistency + skew
    length = 2 * guard if given is None else given
    if not isinstance(length, (int, float)) or not guard < length < float("inf"):
        rule = f"longer than timeouts.attempt + timeouts.consistency + skew = {guard:g} s, and finite"
        raise InvalidRequest("lease", rule, repr(given))
    return Lease(guard, length, skew)


def growing_delay(tries: int, jitter: float) -> float:
    """Return the delay, in seconds, of a message that was received or attempted so many times.

    It is between half of 1, 2, 4 … seconds and all of it, 900 at most.
    """
    return float(min(2.0 ** min(max(tries - 1, 0), 32), LONGEST_DELAY)) * (1 + jitter) / 2


def retry_delay(tries: int, jitter: float) -> float:
    """Return the delay before the next try of what is not returned to the queue meanwhile: it grows to 10 seconds."""
    return min(growing_delay(tries, jitter), _LONGEST_RETRY_DELAY)


def idle_delay(empties: int, took: float) -> float:
    """Return the delay before the next receive, in seconds, after so many in a row that brought nothing.

    It grows from 0.1 s to 1 s. The time that the last receive took counts: a long poll has waited already.
    """
    return max(0.0, min(0.1 * 2.0 ** min(max(empties - 1, 0), 10), LONGEST_IDLE) - took)


def is_last_receive(receives: int, max_receives: int | None) -> bool:
    """Return whether the queue would move the message to its dead-letter queue at the next receive."""
    return max_receives is not None and receives >= max_receives


def delay(action: MessageAction, *, tries: int, jitter: float, now: float, lease: float, skew: float) -> float:
    """Return how long a message stays hidden, in seconds; the job is held until `lease`, in epoch seconds."""
    if action is MessageAction.RETURN_NOW:
        return 0.0
    if action is MessageAction.RETURN_AFTER_LEASE:
        return max(1.0, lease + skew - now) + jitter  # the jitter spreads the workers that wait for the same job
    return growing_delay(tries, jitter)
