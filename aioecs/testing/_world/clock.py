"""A clock for the local ECS that a test can put forward."""

from __future__ import annotations

import time
from threading import Lock


class VirtualClock:
    """A clock for `LocalECS(clock=...)` that leaps when it is told to: the life of tasks, lags and buckets follow it.

    at: epoch seconds. It stands still there until it is advanced; None goes with the machine's clock, and leaps
        beside. Where it stands still, an empty token bucket never fills and a task never ends by itself.

    It may be advanced from any thread. It hurries the server alone: a client's own clocks go on as they do.
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
        """Put it forward.

        Raises:
            ValueError: it would go back, or nowhere: ECS's time does neither.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"a clock advances by a number of seconds, 0 or more, not {seconds!r}")
        with self._lock:
            self._ahead += seconds

    def __repr__(self) -> str:
        return f"<VirtualClock at {self():.3f}{'' if self._at is None else ', standing still'}>"
