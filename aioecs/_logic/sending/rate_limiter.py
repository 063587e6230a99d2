"""What says when to send, and the two kinds that learn nothing; time is given, in seconds."""

from __future__ import annotations

import math
from typing import Protocol

import attrs


class RateLimiter(Protocol):
    """What the shell asks when to send, and tells what came of it."""

    @property
    def rate(self) -> float:
        """Calls a second in the long run."""
        ...

    @property
    def burst(self) -> float:
        """Calls that a rested bucket lets through at once."""
        ...

    def next_at(self, now: float, left: int | None = None, /) -> float | None:
        """Return when to send next; None: not before an answer has come. `left` calls are queued, if that is known."""
        ...

    def sent(self, now: float, /) -> None:
        """Note that a call took its turn."""
        ...

    def answered(self, now: float, ok: bool, at: float, /) -> None:
        """Note that the call sent at `at` has ended; `ok` False is a throttle, any other end counts as served."""
        ...

    def unsent(self, now: float, at: float, /) -> None:
        """Note that the turn taken at `at` was not used."""
        ...


@attrs.frozen
class Unlimited:
    """As fast as asked."""

    rate: float = math.inf
    burst: float = math.inf

    def next_at(self, now: float, _left: int | None = None) -> float | None:
        """Now."""
        return now

    def sent(self, _now: float) -> None:
        """Nothing to note."""

    def answered(self, _now: float, _ok: bool, _at: float) -> None:
        """Nothing to learn."""

    def unsent(self, _now: float, _at: float) -> None:
        """Nothing to give back."""


@attrs.define
class FixedRate:
    """A bucket whose numbers are given and pinned; a throttle finds it empty and teaches nothing else."""

    burst: float
    rate: float
    _level: float = attrs.field(init=False)
    _now: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._level = max(1.0, self.burst)

    def next_at(self, now: float, _left: int | None = None) -> float | None:
        """When there is a whole token again."""
        self._advance(now)
        return now + max(0.0, 1 - 1e-9 - self._level) / self.rate

    def sent(self, now: float) -> None:
        """Take a token."""
        self._advance(now)
        self._level -= 1

    def answered(self, now: float, ok: bool, _at: float) -> None:
        """Begin again at nothing after a throttle."""
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
