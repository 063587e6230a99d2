"""The interface of rate limiters, and the two kinds that learn nothing; times are arguments, in seconds."""

from __future__ import annotations

import math
from typing import Protocol

import attrs


class RateLimiter(Protocol):
    """Decides when the next call may be sent, from the calls that were sent and answered before."""

    @property
    def rate(self) -> float:
        """Calls a second in the long run."""
        ...

    @property
    def burst(self) -> float:
        """Calls that a full bucket admits at once."""
        ...

    def next_at(self, now: float, left: int | None = None, /) -> float | None:
        """Return when to send next; None: not before the next answer. `left` calls are queued, if that is known."""
        ...

    def sent(self, now: float, /) -> None:
        """Note that a call took a permit."""
        ...

    def answered(self, now: float, ok: bool, at: float, /) -> None:
        """Note that the call sent at `at` has ended; `ok` False is a throttle, any other end counts as served."""
        ...

    def unsent(self, now: float, at: float, /) -> None:
        """Note that the permit taken at `at` was not used."""
        ...


@attrs.frozen
class Unlimited:
    """No limit."""

    rate: float = math.inf
    burst: float = math.inf

    def next_at(self, now: float, _left: int | None = None) -> float | None:
        """Return now."""
        return now

    def sent(self, _now: float) -> None:
        """Do nothing."""

    def answered(self, _now: float, _ok: bool, _at: float) -> None:
        """Do nothing."""

    def unsent(self, _now: float, _at: float) -> None:
        """Do nothing."""


@attrs.define
class FixedRate:
    """A bucket with pinned numbers; a throttle shows that it is empty, and changes nothing else."""

    burst: float
    rate: float
    _level: float = attrs.field(init=False)
    _now: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._level = max(1.0, self.burst)

    def next_at(self, now: float, _left: int | None = None) -> float | None:
        """Return when the bucket has a whole token."""
        self._advance(now)
        return now + max(0.0, 1 - 1e-9 - self._level) / self.rate

    def sent(self, now: float) -> None:
        """Take a token."""
        self._advance(now)
        self._level -= 1

    def answered(self, now: float, ok: bool, _at: float) -> None:
        """Empty the bucket after a throttle."""
        self._advance(now)
        if not ok:
            self._level = min(0.0, self._level)

    def unsent(self, now: float, _at: float) -> None:
        """Put a token back."""
        self._advance(now)
        self._level += 1

    def _advance(self, now: float) -> None:
        elapsed = 0.0 if self._now is None else max(0.0, now - self._now)
        self._level = min(max(1.0, self.burst), self._level + elapsed * self.rate)
        self._now = now
