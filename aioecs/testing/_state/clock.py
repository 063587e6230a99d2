"""A clock for the local ECS that a test can advance."""

from __future__ import annotations

import time
from threading import Lock


class VirtualClock:
    """A clock for `LocalECS(clock=...)` that can be advanced: task lifecycles, lags and buckets follow it.

    at: epoch seconds. The clock stays at this time until it is advanced; meanwhile an empty token bucket doesn't refill
        and no task ends. None follows the machine's clock, plus what it was advanced by.

    It may be advanced from any thread. It affects the server only, never the clocks of a client.
    """

    def __init__(self, at: float | None = None) -> None:
        self._at = at
        self._ahead = 0.0
        self._lock = Lock()

    def __call__(self) -> float:
        """Return the time, in epoch seconds."""
        with self._lock:
            return (time.time() if self._at is None else self._at) + self._ahead

    def advance(self, seconds: float) -> None:
        """Advance it by a number of seconds.

        Raises:
            ValueError: the number is negative or infinite.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds: a finite number of at least 0, not {seconds!r}")
        with self._lock:
            self._ahead += seconds

    def __repr__(self) -> str:
        return f"<VirtualClock at {self():.3f}{'' if self._at is None else ', standing still'}>"
